"""`fitcheck audit` evaluates in a process of its own, which reads what the request names and nothing else."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from audits.isolation import probe
from schemas.job import Progress
from schemas.problem import EvaluatorError, ProblemError, RequestError
from schemas.request import AuditRequest
from service.cli import auditing
from service.settings import Settings
from service.worker import children as children_module
from tests.service.conftest import make_request

ROOT = Path(__file__).parents[3]
FAKE = "tests.service.evaluators"


@pytest.fixture(autouse=True)
def our_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluators of the tests are found by the processes that are started."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def evaluate(model: str, *roots: Path, told: list[Progress] | None = None, evaluator: str = FAKE, **settings: object):
    heard = told if told is not None else []
    return auditing.evaluate(make_request(model), roots, Settings(**settings), heard.append, evaluator=evaluator)


def children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


class TestEvaluation:
    def test_the_report_and_the_progress_come_back(self):
        told: list[Progress] = []

        assert evaluate("quick", told=told).summary == "All is well."
        assert [one.detail for one in told] == ["quick"]

    def test_it_waits_for_as_long_as_loading_takes(self, monkeypatch):
        """A slot would give up, and another try again; here there is none."""
        monkeypatch.setattr("service.worker.evaluation.HELLO_SECONDS", 0.5)

        assert evaluate("quick").summary == "All is well."

    def test_one_process_is_enough(self, monkeypatch):
        """Loading TensorFlow a second time would take as long as the audit."""
        started = []
        start = children_module.Child._start
        monkeypatch.setattr(children_module.Child, "_start", lambda child: started.append(child.name) or start(child))
        evaluate("sleep:1")

        assert started == ["fork-server"]

    def test_its_problem_is_raised(self):
        with pytest.raises(ProblemError) as caught:
            evaluate("problem")

        assert (caught.value.code, caught.value.field) == ("label_missing", "data.label")

    def test_a_crash_of_native_code_is_a_problem(self):
        with pytest.raises(EvaluatorError) as caught:
            evaluate("segfault")

        assert caught.value.code == "evaluator_crashed"

    def test_what_cannot_be_started_is_told_at_once(self):
        begun = time.monotonic()
        with pytest.raises(EvaluatorError) as caught:
            evaluate("quick", evaluator="tests.service.nothing")

        assert caught.value.code == "evaluator_not_started"
        assert time.monotonic() - begun < 60

    def test_credentials_are_there_to_fetch_with_and_no_setting_of_ours(self, monkeypatch):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sentinel")
        monkeypatch.setenv("FITCHECK_API_KEYS", "sentinel")
        environment = json.loads(evaluate("surroundings").summary)["environment"]

        assert environment["AWS_SECRET_ACCESS_KEY"] == "sentinel"
        assert "FITCHECK_API_KEYS" not in environment
        assert Path(environment["TMPDIR"]).parent != Path(environment.get("HOME", "/"))

    @pytest.mark.skipif(probe().level not in {"full", "strong"}, reason="this machine offers no cage")
    def test_it_reads_what_is_named_and_nothing_else(self, tmp_path: Path):
        for name in ("named", "other"):
            (tmp_path / name).write_text(f"in {name}")

        assert evaluate(f"caged:{tmp_path}/named", tmp_path / "named").summary == "in named"
        assert evaluate(f"caged:{tmp_path}/other", tmp_path / "named").summary == "denied"


class TestNamed:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "model").mkdir()
        (tmp_path / "data" / "more").mkdir(parents=True)
        for name in ("model/saved_model.pb", "data/a.csv", "data/more/b.csv", "elsewhere.csv", "validation.csv"):
            (tmp_path / name).write_text("a,y\n")
        (tmp_path / "data" / "more" / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
        return tmp_path

    @staticmethod
    def named(model: str, train: str | list[str], validation: str) -> set[Path]:
        data = {"train": {"uri": train}, "validation": {"uri": validation}, "label": "y"}
        return set(auditing.named_by(AuditRequest.model_validate({"model": {"uri": model}, "data": data})))

    def test_files_and_folders_with_what_they_link_to(self, folder: Path):
        assert self.named(f"{folder}/model", f"file://{folder}/data", f"{folder}/validation.csv") == {
            folder / "model",
            folder / "data",
            folder / "elsewhere.csv",
            folder / "validation.csv",
        }

    def test_a_model_named_by_its_graph_is_its_folder(self, folder: Path):
        found = self.named(f"{folder}/model/saved_model.pb", f"{folder}/data/a.csv", f"{folder}/validation.csv")

        assert folder / "model" in found

    def test_a_glob_opens_the_folder_that_it_starts_in(self, folder: Path):
        found = self.named(f"{folder}/model", f"{folder}/data/*.csv", f"{folder}/validation.csv")

        assert found == {folder / "model", folder / "data", folder / "data" / "a.csv", folder / "validation.csv"}

    def test_what_lies_elsewhere_is_fetched_and_named_by_nothing(self, folder: Path):
        found = self.named(f"{folder}/model", "s3://bucket/train.csv", f"{folder}/validation.csv")

        assert found == {folder / "model", folder / "validation.csv"}

    def test_what_is_not_there_is_told(self, folder: Path):
        with pytest.raises(ProblemError) as caught:
            self.named(f"{folder}/model", f"{folder}/nothing.csv", f"{folder}/validation.csv")

        assert (caught.value.code, caught.value.field) == ("data_not_found", "data.train.uri")

    def test_uploads_are_a_services(self, folder: Path):
        with pytest.raises(RequestError) as caught:
            self.named("upload://0190c3b4-0000-7000-8000-000000000000", f"{folder}/data", f"{folder}/validation.csv")

        assert caught.value.code == "uri_scheme_forbidden"


def test_warnings_alone_are_logged_unless_more_is_asked_for(monkeypatch):
    monkeypatch.setattr(auditing, "get_settings", Settings)
    assert auditing.settings_here().log_level == "warning"
    monkeypatch.setenv("FITCHECK_LOG_LEVEL", "debug")
    assert auditing.settings_here().log_level == "debug"
    assert "s3://" in auditing.settings_here().remote
