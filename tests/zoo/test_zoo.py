"""Hostile models: refused before they run where it can be seen, and contained by the cage where it cannot."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from audits.isolation import landlock, seccomp
from audits.models import conversation
from audits.models.process import ModelProcess, start_model
from audits.sources import describe_model, look_at_model
from audits.sources.graph.allowed_ops import refused
from schemas.problem import ProblemError
from tests.zoo.conftest import Zoo
from tests.zoo.zoo import ENDS_IN, REFUSED_UNSEEN

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

X = {"x": np.ones((5, 3), np.float32)}
TIMEOUT_SECONDS, GRACE_SECONDS = 10.0, 30.0
MEMORY_BYTES = 3 * 2**30


@pytest.mark.parametrize("name", REFUSED_UNSEEN)
def test_what_the_files_show_is_refused_before_anything_runs(zoo: Zoo, name: str) -> None:
    with pytest.raises(ProblemError) as caught:
        look_at_model(zoo.models / name, signature=None, tags=None)

    assert caught.value.code in REFUSED_UNSEEN[name]
    assert caught.value.code != "model_forbidden_op" or caught.value.op
    zoo.require_untouched()


@pytest.mark.parametrize("name", ["good", "variables", "asset"])
def test_honest_models_pass(zoo: Zoo, name: str) -> None:
    assert look_at_model(zoo.models / name, signature=None, tags=None)


def test_the_refusal_names_op_node_and_function(zoo: Zoo) -> None:
    with pytest.raises(ProblemError) as caught:
        describe_model(zoo.models / "read_file")

    assert caught.value.op == "ReadFile"
    assert "node 'ReadFile' of the function '__inference_" in caught.value.detail
    assert "FITCHECK_ALLOWED_OPS" in caught.value.detail


def test_an_operator_may_allow_an_op(zoo: Zoo) -> None:
    assert describe_model(zoo.models / "read_file", allowed_ops=frozenset({"ReadFile"}))


@pytest.mark.skipif(landlock.abi() < 1 or not seccomp.is_available(), reason="no sandbox here")
class TestInTheCage:
    @pytest.fixture(autouse=True)
    def _limits(self, monkeypatch) -> None:
        monkeypatch.setattr(conversation, "model_limit", lambda: MEMORY_BYTES)

    def started(self, zoo: Zoo, name: str) -> ModelProcess:
        """With the scan switched off."""
        description = describe_model(zoo.models / name, allowed_ops=EVERYTHING)
        return start_model(description, device="cpu", timeout_seconds=TIMEOUT_SECONDS)

    @pytest.mark.parametrize("name", ENDS_IN)
    def test_nothing_leaks_and_the_problem_comes_in_time(self, zoo: Zoo, name: str) -> None:
        begun, children = time.monotonic(), running_children()
        with pytest.raises(ProblemError) as caught, self.started(zoo, name) as model:
            model.predict(X)

        assert caught.value.code in ENDS_IN[name]
        assert time.monotonic() - begun < TIMEOUT_SECONDS + GRACE_SECONDS
        assert str(zoo.secret) not in caught.value.detail
        assert running_children() == children
        zoo.require_untouched()

    @pytest.mark.parametrize("name", ["good", "variables", "asset"])
    def test_honest_models_answer(self, zoo: Zoo, name: str) -> None:
        with self.started(zoo, name) as model:
            y = model.predict(X)["y"]
            assert model.isolation.level == ("full" if landlock.abi() >= landlock.NETWORK_ABI else "strong")

        assert y == pytest.approx([4.0] * 5 if name == "asset" else [3.0] * 5)

    def test_a_folder_outside_looks_empty(self, zoo: Zoo) -> None:
        with self.started(zoo, "list_folder") as model:
            assert model.predict(X)["y"].tolist() == [0] * 5

    def test_data_in_the_models_folder_are_not_its_own(self, zoo: Zoo) -> None:
        """Whoever keeps the labels beside the model does not hand them to it."""
        description = describe_model(zoo.models / "read_labels", allowed_ops=EVERYTHING)
        labels = Path(description.path) / "labels.csv"
        labels.write_bytes(zoo.secret.read_bytes())
        try:
            with pytest.raises(ProblemError), self.started(zoo, "read_labels") as model:
                model.predict(X)
        finally:
            labels.unlink()


def test_what_the_models_would_do_without_a_cage(zoo: Zoo) -> None:
    """Or the tests above would pass with models that do nothing."""
    description = describe_model(zoo.models / "read_labels", allowed_ops=EVERYTHING)
    with start_model(description, device="cpu", sandbox="off") as model:
        assert model.predict(X)["y"].tolist() == [1, 0, 1, 0, 1]
        assert model.isolation.level == "none"


def test_a_required_sandbox_that_is_not_there_is_said(zoo: Zoo, monkeypatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(ProblemError) as caught:
        start_model(describe_model(zoo.models / "good"), device="cpu", sandbox="require")

    assert caught.value.code == "isolation_unavailable"
    assert "landlock" in caught.value.detail


EVERYTHING = refused() | {"Const", "PrintV2", "FixedUnigramCandidateSampler", "SaveV2"}


def running_children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())
