"""The engine's five steps, with a model and data from memory."""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audits import engine, opening
from audits.artefacts import Array, ModelDescription, TensorSpec
from audits.evidence import collect
from audits.evidence.case import Case
from audits.registry import CHECKS
from audits.results import CheckResult
from audits.sources import Roots, looked_at
from schemas.job import STAGES, Progress
from schemas.problem import DataError, EvaluatorError, ModelError, ProblemError, RequestError
from schemas.report import Report
from tests.factories import (
    Answer,
    Fault,
    MemorySplit,
    ModelFactory,
    Part,
    Task,
    both,
    case,
    constant,
    examined,
    fitted,
    holes,
    memoriser,
    on_column,
    permuted_labels,
    relabelled,
    request_for,
    scaled,
    splits,
)

CODES = [code for code, _ in CHECKS]


@dataclass
class MemoryModel:
    """A model whose only input takes all columns."""

    description: ModelDescription
    answer: Answer
    closed: bool = False
    tensorflow_version: str = "2.20.0"
    device: str = "memory"

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        (values,) = inputs.values()
        return {"output": np.asarray(self.answer(np.asarray(values, dtype=np.float64).reshape(len(values), -1)))}

    def variables(self, keys: Sequence[str]) -> dict[str, Array]:
        return {}

    def close(self) -> None:
        self.closed = True


@dataclass
class Workbench:
    """Runs the engine on what stands in memory."""

    monkeypatch: pytest.MonkeyPatch
    told: list[Progress] = field(default_factory=list)
    model: MemoryModel | None = None

    def __call__(
        self,
        task: Task = "binary",
        *,
        model: ModelFactory = fitted,
        fault: Fault | None = None,
        answer: Callable[[Answer], Answer] = lambda a: a,
        history: dict[str, list[float]] | None = None,
        request: Mapping[str, Any] | None = None,
        parts: int | None = None,
        **world: Any,
    ) -> Report:
        train, validation = splits(task, **world)
        fitted_answer = answer(model(train, task))
        spoilt = fault(validation, train, np.random.default_rng([0, 2])) if fault else validation
        self.model = MemoryModel(describe(train, task), fitted_answer)
        opened = MemorySplit("train", train), MemorySplit("validation", spoilt)
        for module, name, value in (
            (engine, "resolve", lambda uri, *_, **__: [uri]),
            (engine, "read_history", lambda *_, **__: history),
            (opening, "resolve", lambda uri, *_, **__: [uri]),
            (opening, "open_model", lambda *_, **__: nullcontext(self.model.description)),
            (opening, "open_splits", lambda *_, **__: opened),
            (opening, "reserve_process", lambda *_, **__: nullcontext()),
            (opening, "start_model", lambda *_, **__: self.model),
        ):
            self.monkeypatch.setattr(module, name, value)
        asked = dict(request or {}) | ({"history": {"uri": "history.json"}} if history else {})
        return engine.audit(
            request_for(**{"task": task} | asked),
            audit_id="one",
            roots=Roots(()),
            progress=self.told.append,
            parts=parts,
        )


def describe(train: Part, task: Task) -> ModelDescription:
    shape = train.x.shape[1:]
    outputs = 3 if task == "multiclass" else 1
    return ModelDescription(
        path="model",
        signature="serving_default",
        signatures=("serving_default",),
        tags=("serve",),
        inputs=(TensorSpec("x", "float32", (None, *shape)),),
        outputs=(TensorSpec("output", "float32", (None, outputs)),),
        tensorflow_version="2.20.0",
        parameters=42,
    )


# Of the checks those whose findings have figures; the others would only cost time.
FEW = ["preprocessing.scaling_mismatch", "preprocessing.missing_values", "preprocessing.duplicate_leakage"]
KINDS = {"binary": "probability", "multiclass": "probability", "regression": "value"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Workbench:
    return Workbench(monkeypatch)


def test_data_that_change_while_they_are_read_are_a_problem(run: Workbench, tmp_path: Path):
    """The heads of one file and the rows of another are data that nobody has."""
    train = tmp_path / "train.csv"
    train.write_text("a,y\n")

    class Told(list):
        def append(self, progress: Progress) -> None:
            if progress.stage == "collecting":
                train.write_text("b,y\n1,0\n")

    run.told = Told()
    run.monkeypatch.setattr(looked_at, "resolve", lambda address, *_, **__: [tmp_path / address])
    with pytest.raises(DataError) as caught:
        run()

    assert (caught.value.code, caught.value.file) == ("data_changed", str(train))
    assert run.model is not None
    assert run.model.closed


def outcomes(report: Report) -> dict[str, str]:
    return {record.code: record.outcome.value for record in report.checks}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("layout", ["table", "vector", "image"])
def test_a_fault_is_found_proven_and_explained(run: Workbench, task: Task, layout: str):
    report = run(task, layout=layout, signal=5.0, model=memoriser, fault=scaled(200.0, 50.0))

    first = report.diagnosis[0]
    assert first.code == "preprocessing.scaling_mismatch"
    assert first.confirmation.confirmed
    assert first.share_of_gap.estimate > 0.3
    assert report.verdict == "fail"
    assert report.summary.startswith(first.explanation)


def test_every_cause_is_also_a_finding(run: Workbench):
    report = run("multiclass", signal=4.0, fault=both(scaled(4.0), permuted_labels(1, 2, 0)))

    causes = {cause.code for cause in report.diagnosis}

    assert causes >= {"preprocessing.scaling_mismatch", "preprocessing.label_encoding"}
    assert causes <= {finding.code for finding in report.findings}
    assert 0.8 < sum(cause.share_of_gap.estimate for cause in report.diagnosis if cause.share_of_gap) < 1.3


def test_a_healthy_model_passes(run: Workbench):
    report = run("multiclass", n_train=2500, n_validation=1500)

    assert report.verdict == "pass"
    assert report.diagnosis == []
    assert report.summary.startswith("No fault was found")


def test_findings_stand_by_severity(run: Workbench):
    report = run(model=memoriser, signal=0.0, n_train=100, n_validation=100)

    rank = ["critical", "warning", "info"]
    places = [rank.index(finding.severity.value) for finding in report.findings]
    assert places == sorted(places)
    assert {"overfitting.memorization", "overfitting.no_signal"} <= {cause.code for cause in report.diagnosis}


def test_refuted_repairs_are_reported(run: Workbench):
    report = run(model=on_column(0), fault=scaled(9.0, columns=[3]))

    assert "preprocessing.scaling_mismatch" in {tested.code for tested in report.tested_not_a_cause}
    assert outcomes(report)["preprocessing.scaling_mismatch"] == "pass"


def test_every_check_is_recorded_with_its_limits(run: Workbench):
    report = run(request={"checks": {"limits": {"metrics.weak_model": {"min_skill": 0.9}}}})

    assert list(outcomes(report)) == CODES
    records = {record.code: record for record in report.checks}
    assert records["metrics.weak_model"].limits["min_skill"] == 0.9
    assert records["preprocessing.unshuffled"].limits == {}
    assert all(record.seconds >= 0 for record in report.checks)


@pytest.mark.parametrize(
    ("checks", "codes"),
    [
        (
            {"include": ["metrics.weak_model", "overfitting.underfitting"]},
            {"metrics.weak_model", "overfitting.underfitting"},
        ),
        ({"exclude": ["preprocessing.*", "overfitting.*"]}, {code for code in CODES if code.startswith("metrics.")}),
    ],
)
def test_only_the_checks_asked_for_are_run(run: Workbench, checks: dict[str, list[str]], codes: set[str]):
    report = run(fault=scaled(3.0), request={"checks": checks})

    assert set(outcomes(report)) == codes
    assert report.tested_not_a_cause == []


def test_the_engine_and_the_factories_build_the_same_case(run: Workbench):
    report = run(fault=scaled(3.0))

    _, results = examined(case(fault=scaled(3.0), parameters=report.model["parameters"]))

    # the model's input is float32 here
    assert outcomes(report) == {code: result.outcome.value for code, result in results.items()}


def test_a_crash_in_a_check_costs_that_check_alone(run: Workbench, monkeypatch: pytest.MonkeyPatch, caplog):
    def crashing(one: Case) -> CheckResult:
        raise ZeroDivisionError("secret row contents")

    broken = tuple((code, crashing if code == "metrics.weak_model" else check) for code, check in CHECKS)
    monkeypatch.setattr(engine, "CHECKS", broken)

    report = run(fault=scaled(3.0))

    records = {record.code: record for record in report.checks}
    assert records["metrics.weak_model"].outcome == "error"
    assert "secret" not in report.model_dump_json()
    assert report.diagnosis[0].code == "preprocessing.scaling_mismatch"
    assert "metrics.weak_model crashed" in caplog.text


def test_a_model_that_refuses_a_checks_rows_is_told(run: Workbench, monkeypatch: pytest.MonkeyPatch):
    def refused(one: Case) -> CheckResult:
        raise ModelError("model_failed", "The op MatMul refused.")

    monkeypatch.setattr(engine, "CHECKS", (("metrics.weak_model", refused),))

    (record,) = run(request={"checks": {"include": ["metrics.weak_model"]}}).checks

    assert (record.outcome, record.reason) == ("error", "The op MatMul refused.")


def test_the_death_of_the_models_process_ends_the_audit(run: Workbench):
    """No check can go on without it, and the worker decides about another attempt."""

    def dying(answer: Answer) -> Answer:
        calls: list[int] = []

        def once_or_twice(m: Array) -> Array:
            calls.append(1)
            if len(calls) > 2:
                raise EvaluatorError("model_crashed", "The model's process died.")
            return answer(m)

        return once_or_twice

    with pytest.raises(EvaluatorError):
        run(fault=scaled(3.0), answer=dying)
    assert run.model.closed


def test_the_death_of_the_models_process_within_a_check_ends_the_audit(run: Workbench, monkeypatch: pytest.MonkeyPatch):
    def killed(one: Case) -> CheckResult:
        raise EvaluatorError("model_crashed", "The model's process died.")

    monkeypatch.setattr(engine, "CHECKS", (("metrics.weak_model", killed),))

    with pytest.raises(EvaluatorError):
        run()


def test_the_model_is_closed_after_the_audit(run: Workbench):
    run(n_train=100, n_validation=100)

    assert run.model.closed


def test_progress_goes_from_nought_to_one_through_the_stages(run: Workbench):
    run(fault=scaled(3.0))

    fractions = [progress.fraction for progress in run.told]
    stages = list(dict.fromkeys(progress.stage for progress in run.told))
    assert fractions[0] == 0.0
    assert fractions == sorted(fractions)
    assert 0.95 < fractions[-1] <= 1.0
    assert stages == ["opening", "collecting", "repairing", "checking", "diagnosing"]
    assert ("queued", *stages, "done") == STAGES
    assert any("repairing preprocessing.scaling_mismatch" in (p.detail or "") for p in run.told)


@pytest.mark.parametrize("answer", [math.nan, math.inf, 1e30, 0.5])
def test_odd_answers_give_a_report_of_finite_numbers(run: Workbench, answer: float):
    report = run("regression", model=constant(answer))

    told = json.dumps(report.model_dump(mode="json"), allow_nan=False)
    assert Report.model_validate_json(told) == report
    assert "error" not in set(outcomes(report).values())


@pytest.mark.parametrize("answer", [math.nan, 0.0, 1.0])
def test_odd_probabilities_give_a_report_of_finite_numbers(run: Workbench, answer: float):
    report = run(model=constant(answer), request={"output": {"kind": "probability"}})

    json.dumps(report.model_dump(mode="json"), allow_nan=False)
    assert "error" not in set(outcomes(report).values())


@pytest.mark.parametrize(
    "world",
    [
        {"n_validation": 2, "n_train": 3},
        {"n_validation": 1, "prevalence": 0.5},
        {"columns": 1},
        {"columns": 1, "layout": "vector", "n_validation": 12},
        {"prevalence": 0.01},
    ],
    ids=str,
)
def test_little_data_crash_no_check(run: Workbench, world: dict[str, Any]):
    report = run("regression" if "prevalence" not in world else "binary", **world)

    assert "error" not in set(outcomes(report).values())


def test_the_same_audit_gives_the_same_report(run: Workbench):
    def told() -> dict[str, Any]:
        report = run(fault=scaled(3.0)).model_dump(mode="json")
        for record in report["checks"]:
            del record["seconds"]
        return report

    assert told() == told()


def test_one_answer_per_row_is_needed(run: Workbench):
    with pytest.raises(ModelError) as refusal:
        run(answer=lambda answer: lambda m: answer(m)[:1])

    assert (refusal.value.code, refusal.value.field) == ("output_rows_mismatch", "output.tensor")
    assert run.model.closed


@pytest.mark.parametrize(
    ("request_changes", "code"),
    [
        ({"output": {"tensor": "logits"}}, "output_missing"),
        ({"checks": {"include": ["nonsense"]}}, "unknown_check"),
        ({"checks": {"limits": {"metrics.weak_model": {"min_skill": 2}}}}, "invalid_limit"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(run: Workbench, request_changes: dict[str, Any], code: str):
    with pytest.raises(RequestError) as refusal:
        run(request=request_changes)

    assert refusal.value.code == code


def test_labels_of_which_none_is_a_class_are_refused(run: Workbench):
    with pytest.raises(DataError) as refusal:
        run(fault=relabelled(lambda y: y + 40))

    problem = refusal.value.problem
    assert problem.code == "label_values_unknown"
    assert f"the labels in {Path(problem.file).name} are 40, 41" in problem.detail
    assert problem.row is None  # all of them are to blame


@pytest.mark.parametrize("world", [{"n_validation": 1}, {"fault": relabelled(lambda y: 0 * y + 7)}])
def test_quantities_that_do_not_vary_are_refused(run: Workbench, world: dict[str, Any]):
    with pytest.raises(DataError) as refusal:
        run("regression", **world)

    assert (refusal.value.code, refusal.value.field) == ("label_constant", "data.label")
    assert "Every validation label is" in refusal.value.detail


def test_one_class_only_is_refused(run: Workbench):
    with pytest.raises(ProblemError) as refusal:
        run(prevalence=0.0, model=constant(0.5))

    assert refusal.value.code == "one_class_only"


def test_the_history_is_told_with_null_for_nan(run: Workbench):
    report = run(history={"loss": [1.0, math.nan], "val_loss": [1.0, 2.0]})

    assert report.history is not None
    assert report.history["epochs"] == 2
    assert report.history["metrics"] == {"loss": [1.0, None], "val_loss": [1.0, 2.0]}
    assert report.history["best_epoch"] == 1
    assert report.history["exported_epoch"] is None
    assert run().history is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("s3://models/churn/7", "s3://models/churn/7"),
        ("https://me:secret@host:8/churn.keras?sig=secret#x", "https://host:8/churn.keras"),
        ("file:///a b/100%?#/model", "file:///a b/100%?#/model"),
        ("runs/#7", "runs/#7"),
    ],
)
def test_the_model_s_address_is_told_without_its_secrets(asked: str, told: str):
    assert engine._told(asked) == told


def test_model_and_data_are_described(run: Workbench):
    report = run()

    assert report.model["parameters"] == 42
    assert report.model["uri"] == "model"
    assert report.model["output"]["kind"] == "probability"
    assert report.data["train"]["rows"] == 500
    assert report.data["layout"] == "table"
    assert report.data["control_learner"]["scores"]["train->train"]["estimate"] > 0.6
    assert report.data["changed_by_cast"] == {"train": {}, "validation": {}}
    assert report.environment["device"] == "memory"
    assert report.metrics.primary == "balanced_accuracy"


def test_two_faults_come_apart_in_the_report(run: Workbench):
    """Each has its share, the shares are of one gap, and the terms of the gap add up."""
    report = run(fault=both(scaled(6.0, columns=[0, 1]), holes(0.3, [5])), n_train=1500, n_validation=1000)

    codes = {cause.code for cause in report.diagnosis if cause.confirmation and cause.confirmation.confirmed}
    assert {"preprocessing.scaling_mismatch", "preprocessing.missing_values"} <= codes
    repaired = {term.code: term.estimate for term in report.gap.terms if term.kind == "repaired_fault"}
    shares = {cause.code: cause.share_of_gap.estimate for cause in report.diagnosis if cause.code in repaired}
    for code, share in shares.items():
        assert share == pytest.approx(repaired[code] / report.gap.gap)
    assert sum(term.estimate for term in report.gap.terms) == pytest.approx(report.gap.gap)
    assert report.gap.interaction is not None


def test_the_same_audit_twice_gives_the_same_report(run: Workbench):
    def told() -> dict[str, Any]:
        report = run(fault=both(scaled(6.0, columns=[0, 1]), holes(0.3, [5])), n_train=400, n_validation=300)
        whole = json.loads(report.model_dump_json())
        for record in whole["checks"]:
            del record["seconds"]
        return whole

    assert told() == told()


def told_by(report: Report) -> dict[str, Any]:
    """A report without what no two audits have in common."""
    content = report.model_dump()
    for check in content["checks"]:
        del check["seconds"]
    return content


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_an_audit_in_parts_gives_the_report_of_one_in_a_single_pass(
    run: Workbench, monkeypatch: pytest.MonkeyPatch, layout: str
):
    """Of 3,000 rows, of which a sample of 700 is kept, in batches of 64."""
    monkeypatch.setattr(collect, "BATCH_ROWS", 64)
    monkeypatch.setattr(collect, "MAX_SAMPLE_ROWS", 700)
    world = {"layout": layout, "n_train": 3000, "n_validation": 1500, "fault": scaled(3.0)}

    whole, divided = (run(parts=parts, **world) for parts in (1, 3))

    assert told_by(divided) == told_by(whole)
    assert whole.data["train"]["sampled"] == 700


def test_a_ray_cluster_that_is_not_configured_is_refused_before_anything_is_opened(run: Workbench):
    pytest.importorskip("ray")
    with pytest.raises(RequestError) as refusal:
        run(request={"resources": {"engine": "ray"}})

    assert (refusal.value.code, refusal.value.field) == ("ray_not_configured", "resources.engine")
    assert not run.told or run.told[-1].stage == "opening"


def test_a_ray_cluster_is_refused_where_ray_is_not_installed(run: Workbench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RequestError) as refusal:
        run(request={"resources": {"engine": "ray"}})

    assert (refusal.value.code, refusal.value.field) == ("ray_missing", "resources.engine")


def test_figures_show_the_whole_and_what_each_finding_means(run: Workbench):
    report = run(fault=scaled(200.0, 50.0), request={"checks": {"include": ["preprocessing.scaling_mismatch"]}})

    kinds = [figure.kind for figure in report.figures]
    assert kinds[0] == "waterfall"
    assert {"confusion", "roc", "precision_recall", "class_shares"} <= set(kinds)
    assert {figure.kind for figure in report.findings[0].figures} == {"proof", "quantiles"}


@pytest.mark.parametrize(
    ("task", "answer", "world"),
    [
        ("binary", math.nan, {}),
        ("binary", 1.0, {}),
        ("binary", None, {"n_train": 3, "n_validation": 2}),
        ("binary", None, {"columns": 1, "prevalence": 0.01}),
        ("binary", None, {"fault": holes(1.0)}),
        ("multiclass", None, {"layout": "vector", "n_validation": 12}),
        ("multiclass", None, {"layout": "image", "fault": scaled(0.0)}),
        ("regression", math.inf, {}),
        ("regression", 1e30, {}),
        ("regression", None, {"layout": "image", "channels": 3, "n_validation": 30}),
    ],
    ids=[
        "nan",
        "certain",
        "few rows",
        "one column",
        "nothing but holes",
        "few rows of three classes",
        "black images",
        "infinite",
        "huge",
        "coloured images",
    ],
)
def test_figures_of_odd_data_are_drawn_or_left_out(
    run: Workbench, task: Task, answer: float | None, world: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    """None of them crashes, which the log would tell."""
    model = fitted if answer is None else constant(answer)
    report = run(task, model=model, request={"checks": {"include": FEW}, "output": {"kind": KINDS[task]}}, **world)

    assert "could not be drawn" not in caplog.text
    json.dumps(report.model_dump(mode="json"), allow_nan=False)
