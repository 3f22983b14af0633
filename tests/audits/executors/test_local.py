"""How a split is divided among processes of this machine, and when that pays."""

import os
import threading

import numpy as np
import pytest

from audits.artefacts import Rows, Span
from audits.evidence import collect as module
from audits.evidence.collect import SpanQueue, collect, divided
from audits.executors import local
from audits.executors.local import parts_that_pay
from tests.factories import MemorySplit, splits

LONG = 10_000_000


class LongSplit(MemorySplit):
    """That would take seconds to read."""

    def starts(self, rows: int = 8192) -> tuple[int, ...]:
        return (*range(0, LONG, rows), LONG)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores, of which we use one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(os, "getloadavg", lambda: (1.0, 1.0, 1.0))


@pytest.mark.usefixtures("idle")
def test_a_long_split_is_read_in_parts():
    assert parts_that_pay([LongSplit("train", splits()[0])], "cpu", 1.0) == 4


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(
    ("split", "device", "start_seconds", "cores"),
    [
        (MemorySplit("train", splits()[0]), "cpu", 1.0, 8),
        (LongSplit("train", splits()[0]), "gpu (a card)", 1.0, 8),
        (LongSplit("train", splits()[0]), "cpu", 60.0, 8),
        (LongSplit("train", splits()[0]), "cpu", 1.0, 2),
    ],
    ids=["short", "on a graphics card", "the model loads for a minute", "two cores"],
)
def test_another_process_is_not_started_where_that_does_not_pay(
    monkeypatch: pytest.MonkeyPatch, split: MemorySplit, device: str, start_seconds: float, cores: int
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))

    assert parts_that_pay([split], device, start_seconds) == 1


@pytest.mark.usefixtures("idle")
def test_a_busy_machine_has_no_cores_to_spare(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (7.0, 7.0, 7.0))

    assert parts_that_pay([LongSplit("train", splits()[0])], "cpu", 1.0) == 1


@pytest.mark.usefixtures("idle")
def test_wide_rows_leave_the_cores_to_the_model(monkeypatch: pytest.MonkeyPatch):
    split = LongSplit("train", splits(layout="image")[0])
    split.row_shape = (224, 224, 3)

    assert parts_that_pay([split], "cpu", 1.0) == 1
    assert local.MAX_PARTS > 1


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 100])
def test_spans_cover_every_row_once_and_begin_where_reading_may(parts: int):
    starts = (0, 30, 60, 70, 100, 130)

    spans = divided(starts, parts)

    assert [span.first for span in spans] == [0, *(span.stop for span in spans[:-1])]
    assert spans[-1].stop == 130
    assert {span.first for span in spans} <= set(starts)
    assert len(spans) <= parts


def test_what_cannot_be_divided_gives_no_spans():
    assert divided((), 4) == []


def test_the_first_problem_in_the_order_of_the_rows_is_told(monkeypatch: pytest.MonkeyPatch):
    """The second part fails first, in time."""
    monkeypatch.setattr(module, "BATCH_ROWS", 64)
    part, _ = splits(n_train=640, columns=1)
    failed = threading.Event()

    def fails(rows: Rows) -> dict[str, np.ndarray]:
        if threading.current_thread() is threading.main_thread():
            return {}  # asked before the parts are
        first = float(np.asarray(rows)[0, 0]) == float(np.asarray(part.x)[0, 0])
        if first:
            assert failed.wait(60)
        failed.set()
        raise RuntimeError("the first" if first else "a later one")

    with pytest.raises(RuntimeError, match="the first"):
        collect(MemorySplit("train", part), [fails, fails], np.random.default_rng(0))


def test_after_a_failure_no_more_parts_are_begun():
    queue = SpanQueue([Span(0, 1), Span(1, 2), Span(2, 3)])
    taken = queue.take()
    assert taken == (0, Span(0, 1))

    queue.fail(0, ValueError("no"))

    assert queue.take() is None
    with pytest.raises(ValueError, match="no"):
        queue.require_no_failure()


def test_a_part_that_is_given_back_is_the_next_unless_it_lies_behind_a_failure():
    queue = SpanQueue([Span(0, 1), Span(1, 2), Span(2, 3)])
    first, second = queue.take(), queue.take()

    queue.give_back(*first)
    assert queue.take() == first
    queue.fail(1, ValueError("no"))
    assert not queue.has_more()
    queue.give_back(*first)
    assert queue.has_more()
    assert queue.take() == first
    queue.give_back(*second)
    assert queue.take() is None


def test_a_model_is_asked_first_by_the_thread_that_outlives_the_parts(monkeypatch: pytest.MonkeyPatch):
    """It may have to be started anew then, and a process ends with the thread that started it."""
    monkeypatch.setattr(module, "BATCH_ROWS", 64)
    part, _ = splits(n_train=640, columns=1)
    asked_by: dict[int, list[threading.Thread]] = {0: [], 1: []}

    def asked(which: int, rows: Rows) -> dict[str, np.ndarray]:
        asked_by[which].append(threading.current_thread())
        return {"output": np.zeros(len(rows))}

    predicts = [lambda rows, which=which: asked(which, rows) for which in asked_by]
    collect(MemorySplit("train", part), predicts, np.random.default_rng(0))
    collect(MemorySplit("train", part), predicts[0], np.random.default_rng(0))

    assert [threads[0] for threads in asked_by.values()] == [threading.main_thread()] * 2
    assert len(asked_by[0]) + len(asked_by[1]) == 2 * 10 + 2
