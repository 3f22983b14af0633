"""The coordinator of a cluster, against workers that live here. A real one: tests/audits/test_audits_in_parts.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audits.artefacts import Array, Rows, Span, SplitName
from audits.evidence import collect as module
from audits.evidence.collect import Plan, collect, fold_span
from audits.evidence.fold import RawSplit, SplitFold
from audits.executors import ray_cluster
from audits.executors.ray_cluster import RayExecutor
from audits.executors.ray_worker import Failure
from audits.opening import Safety
from audits.sources import Roots
from schemas.problem import DataError, EvaluatorError, ModelError, ProblemError
from tests.factories import MemorySplit, request_for, splits

PART, _ = splits(n_train=2000, columns=2)


class LostError(Exception):
    pass


def answers(rows: Rows) -> dict[str, Array]:
    return {"output": np.asarray(rows)[:, 0].astype(float)}


@dataclass
class Opened:
    """What the coordinator itself has opened."""

    asked: int = 0

    def outputs(self, rows: Rows) -> Mapping[str, Array]:
        self.asked += len(rows)
        return answers(rows)

    def answers_for(self, tensor: str | None) -> Callable[[Rows], Mapping[str, Array]]:
        return answers


@dataclass
class Cluster:
    """As much of the module `ray` as is used; every worker is told by its number what to do with a part.

    Attributes:
        does: (worker, span) -> None to go on, or what happens instead.
        absent: numbers of the workers that never start.
        folded: (worker, first row) of the parts that were asked for.
    """

    cpus: int = 3
    does: Callable[[int, Span], Failure | None] = lambda _worker, _span: None
    absent: frozenset[int] = frozenset()
    folded: list[tuple[int, int]] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)
    hired: int = 0
    silent: list[Callable[[], bool]] = field(default_factory=list)
    exceptions = SimpleNamespace(RayActorError=LostError)

    def is_initialized(self) -> bool:
        return True

    def available_resources(self) -> dict[str, float]:
        return {"CPU": float(self.cpus - self.hired)}

    def remote(self, **_: object) -> Callable[[type], Any]:
        return lambda _worker: SimpleNamespace(remote=self._hire)

    def wait(self, references: list[Any], **_: object) -> tuple[list[Any], list[Any]]:
        answering = [one for one in references if one not in self.silent]
        return answering[-1:], answering[:-1]  # the last that was asked is the first to answer

    def get(self, reference: Callable[[], Any]) -> Any:
        return reference()

    def kill(self, worker: Any) -> None:
        self.killed.append(worker.number)

    def _hire(self, *_: object) -> Any:
        number, self.hired = self.hired, self.hired + 1

        def ready() -> Callable[[], bool]:
            answer = lambda: True  # noqa: E731 - each its own
            if number in self.absent:
                self.silent.append(answer)
            return answer

        def fold(name: SplitName, span: Span, tensor: str | None, plan: Plan) -> Callable[[], SplitFold | Failure]:
            self.folded.append((number, span.first))
            return lambda: self._fold(number, name, span, plan)

        return SimpleNamespace(number=number, ready=SimpleNamespace(remote=ready), fold=SimpleNamespace(remote=fold))

    def _fold(self, worker: int, name: SplitName, span: Span, plan: Plan) -> SplitFold | Failure:
        instead = self.does(worker, span)
        if instead is not None:
            return instead
        fold = plan.fold(name)
        fold_span(MemorySplit(name, PART), span, answers, fold, plan.rows, lambda _: None)
        return fold


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 64)
    monkeypatch.setattr(module, "MAX_SAMPLE_ROWS", 300)


def collected(cluster: Cluster, told: list[int] | None = None) -> RawSplit:
    executor = RayExecutor(cluster, "", Opened(), request_for(), Roots(()), Safety())  # type: ignore[arg-type]
    try:
        on_rows = (told if told is not None else []).append
        return executor.collect(MemorySplit("train", PART), "output", np.random.default_rng(1), on_rows)
    finally:
        executor.close()


def assert_whole(found: RawSplit) -> None:
    expected = collect(MemorySplit("train", PART), answers, np.random.default_rng(1))
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.outputs["output"], expected.outputs["output"])
    np.testing.assert_array_equal(found.sample_index, expected.sample_index)
    np.testing.assert_array_equal(np.asarray(found.sample_rows), np.asarray(expected.sample_rows))


def test_workers_fold_the_parts_and_go_at_the_end():
    cluster, told = Cluster(), []

    assert_whole(collected(cluster, told))

    assert {worker for worker, _ in cluster.folded} == {0, 1, 2}
    assert told == sorted(told)
    assert told[-1] == 2000
    assert cluster.killed == [0, 1, 2]


def test_a_cluster_without_room_leaves_the_data_to_this_machine():
    cluster = Cluster(cpus=0)

    assert_whole(collected(cluster))

    assert not cluster.folded


def test_a_worker_that_finds_no_place_holds_no_part():
    """Somebody else's job took it between the look at the cluster and the hiring."""
    cluster = Cluster(absent=frozenset({1}))

    assert_whole(collected(cluster))

    assert {worker for worker, _ in cluster.folded} == {0, 2}
    assert sorted(cluster.killed) == [0, 1, 2]


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_where_no_worker_comes_the_data_are_left_to_this_machine(monkeypatch: pytest.MonkeyPatch, seconds: float):
    monkeypatch.setattr(ray_cluster, "START_SECONDS", seconds)
    cluster, told = Cluster(absent=frozenset({0, 1, 2})), []

    assert_whole(collected(cluster, told))

    assert not cluster.folded
    assert told[-1] == 2000
    assert sorted(cluster.killed) == [0, 1, 2]


def test_a_part_is_not_left_to_a_worker_that_never_comes(monkeypatch: pytest.MonkeyPatch):
    """The only worker that came dies over it."""
    monkeypatch.setattr(ray_cluster, "START_SECONDS", 0.3)

    def does(worker: int, span: Span) -> None:
        raise LostError("its machine is gone")

    assert_whole(collected(Cluster(cpus=2, does=does, absent=frozenset({1}))))


def test_parts_of_a_worker_that_dies_are_folded_by_others():
    def does(worker: int, span: Span) -> None:
        if worker == 1:
            raise LostError("its machine is gone")

    cluster = Cluster(does=does)

    assert_whole(collected(cluster))

    lost = {first for worker, first in cluster.folded if worker == 1}
    assert lost
    assert lost <= {first for worker, first in cluster.folded if worker != 1}


@pytest.mark.parametrize("cpus", [2, 8], ids=["all workers die", "some part kills whoever folds it"])
def test_workers_that_die_without_end_are_a_problem(cpus: int):
    def does(worker: int, span: Span) -> None:
        if cpus == 2 or span.first == 0:
            raise LostError("out of memory")

    with pytest.raises(EvaluatorError) as problem:
        collected(Cluster(cpus, does))

    assert problem.value.code == "ray_worker_lost"


def test_the_first_problem_in_the_order_of_the_rows_is_told():
    """Though that of a later part was known before."""

    def does(worker: int, span: Span) -> Failure | None:
        return Failure.of(DataError("label_missing_values", "No.", row=span.first)) if span.first < 500 else None

    with pytest.raises(DataError) as problem:
        collected(Cluster(does=does))

    assert (problem.value.code, problem.value.row) == ("label_missing_values", 0)


@pytest.mark.parametrize(
    "error",
    [
        DataError("data_malformed", "Cut off.", field="data.train.uri", file="a.parquet", row=7, column="c"),
        ModelError("model_refused_input", "No.", op="MatMul"),
        EvaluatorError("model_crashed", "Gone."),
    ],
)
def test_a_problem_survives_its_way(error: ProblemError):
    back = Failure.of(error).as_error()

    assert type(back) is type(error)
    assert back.problem == error.problem


def test_a_cluster_that_does_not_answer_is_a_problem():
    def refuses(**_: object) -> None:
        raise ConnectionError("nobody there")

    ray = SimpleNamespace(is_initialized=lambda: False, init=refuses)

    with pytest.raises(EvaluatorError) as problem:
        RayExecutor(ray, "127.0.0.1:1", Opened(), request_for(), Roots(()), Safety())  # type: ignore[arg-type]

    assert problem.value.code == "ray_unreachable"
    assert ray_cluster.MAX_TRIES > 1
