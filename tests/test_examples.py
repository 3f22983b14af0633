"""Each example ends in the right diagnosis, and its remedy's code works.

The expectations are the stories of examples/*/README.md; the engine is called as the service calls it.
"""

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audits.engine import audit
from audits.models import import_tensorflow
from audits.sources import Roots
from schemas.data import DataReference
from schemas.report import Cause, Finding, Report
from schemas.request import AuditRequest
from scripts.demo import EXAMPLES, request_of

REQUESTS = sorted(str(path.parent.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("request.json"))

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def _tensorflow_is_loaded_once() -> None:
    """Models run in processes that are forked from this one."""
    import_tensorflow()


def run(request: AuditRequest, *roots: Path) -> Report:
    return audit(request, audit_id="example", roots=Roots((EXAMPLES, *roots)))


@cache
def report_of(example: str) -> Report:
    return run(request_of(example))


def codes(report: Report) -> list[str]:
    return [cause.code for cause in report.diagnosis]


def finding(report: Report, code: str) -> Finding:
    return next(found for found in report.findings if found.code == code)


def cause(report: Report, code: str) -> Cause:
    return next(found for found in report.diagnosis if found.code == code)


def run_code(code: str | None) -> dict[str, Any]:
    """What the remedy's code defines."""
    assert code is not None
    names: dict[str, Any] = {}
    exec(compile(code, "<remedy>", "exec"), names)
    return names


def audit_repaired(example: str, repaired: pd.DataFrame, folder: Path) -> Report:
    """The example's audit with another validation file."""
    path = folder / "validation.csv"
    repaired.to_csv(path, index=False)
    request = request_of(example)
    data = request.data.model_copy(update={"validation": DataReference(uri=path.as_uri())})
    return run(request.model_copy(update={"data": data}), folder)


@pytest.mark.parametrize("example", REQUESTS)
def test_every_remedy_has_code_that_runs(example: str) -> None:
    report = report_of(example)

    assert report.findings
    for remedy in [found.remedy for found in report.findings] + [found.remedy for found in report.diagnosis]:
        assert remedy.text
        if remedy.code is not None:
            run_code(remedy.code)


@pytest.mark.parametrize("example", REQUESTS)
def test_no_check_crashes_on_an_example(example: str) -> None:
    assert [record.code for record in report_of(example).checks if record.outcome == "error"] == []


@pytest.mark.parametrize("example", REQUESTS)
def test_every_cause_is_a_finding(example: str) -> None:
    report = report_of(example)

    assert set(codes(report)) <= {found.code for found in report.findings}


class TestRandomLabels:
    def test_the_model_recites_its_training_labels(self) -> None:
        report = report_of("random_labels")

        assert report.verdict == "fail"
        assert "overfitting.memorization" in codes(report)[:2]
        assert report.metrics.train.values["balanced_accuracy"].estimate == pytest.approx(1.0)

    def test_no_learner_finds_a_signal_so_regularisation_will_not_help(self) -> None:
        found = finding(report_of("random_labels"), "overfitting.no_signal")

        assert "no_signal" in cause(report_of("random_labels"), "overfitting.memorization").remedy.text
        assert found.remedy.text

    def test_nothing_is_blamed_on_the_data(self) -> None:
        """Features and labels of both files come from the same generator."""
        assert not [code for code in codes(report_of("random_labels")) if code.startswith("preprocessing.")]

    def test_the_remedy_is_a_smaller_network(self) -> None:
        """Built in a process of its own, because one that has used TensorFlow cannot be forked any more."""
        code = cause(report_of("random_labels"), "overfitting.memorization").remedy.code or ""
        code += "\nprint(smaller_network(20, 1).count_params(), len(callbacks()))\n"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

        assert ran.returncode == 0, ran.stderr
        parameters, callbacks = map(int, ran.stdout.split())
        assert parameters < 1000
        assert callbacks > 0


class TestImbalanced:
    def test_accuracy_is_inadequate_and_the_model_always_says_no(self) -> None:
        report = report_of("imbalanced")

        assert report.verdict == "fail"
        assert set(codes(report)[:2]) == {"metrics.imbalanced_accuracy", "metrics.majority_class"}
        assert report.metrics.validation.values["accuracy"].estimate == pytest.approx(0.9)
        assert report.metrics.validation.values["balanced_accuracy"].estimate == pytest.approx(0.5)

    def test_the_recommended_metrics_come_with_intervals(self) -> None:
        metrics = report_of("imbalanced").metrics

        assert metrics.recommended
        assert "accuracy" not in metrics.recommended
        for name in metrics.recommended:
            if name in metrics.validation.values:
                assert metrics.validation.values[name].interval is not None
        assert set(metrics.recommended) & set(metrics.validation.values)

    @pytest.mark.parametrize("split", ["train", "validation"])
    def test_the_classification_report_covers_both_splits(self, split: str) -> None:
        no, yes = getattr(report_of("imbalanced").metrics, split).per_class

        assert (no.label, no.support, no.recall.estimate) == ("0", 900, 1.0)
        assert (yes.label, yes.support, yes.recall.estimate) == ("1", 100, 0.0)
        assert yes.recall.interval is not None
        assert yes.recall.interval[0] == pytest.approx(0.0)

    def test_the_class_weights_are_computed(self) -> None:
        """n / (classes * count): 1000 / (2 * 900) and 1000 / (2 * 100)."""
        names = run_code(cause(report_of("imbalanced"), "metrics.imbalanced_accuracy").remedy.code)

        assert names["CLASS_WEIGHT"] == pytest.approx({0: 0.5556, 1: 5.0})

    def test_the_order_of_the_file_is_noted(self) -> None:
        found = finding(report_of("imbalanced"), "preprocessing.unshuffled")

        assert found.severity == "info"


class TestMissingValuesLeftIn:
    def test_the_holes_are_the_first_cause_and_proven(self) -> None:
        report = report_of("missing_values/left_in")
        first = report.diagnosis[0]

        assert first.code == "preprocessing.missing_values"
        assert first.confirmation is not None
        assert first.confirmation.confirmed
        assert first.confirmation.after > first.confirmation.before + 0.05

    def test_the_imputations_are_compared_and_the_neighbours_win(self) -> None:
        """The columns of the second reading follow from those of the first, which a mean ignores."""
        compared = imputations("missing_values/left_in", "preprocessing.missing_values", "imputations")

        assert compared["k nearest neighbours"]["gain_interval"][0] > 0
        assert best_of(compared) == "k nearest neighbours"

    def test_the_remedy_fills_the_holes_from_the_training_data_alone(self, tmp_path: Path) -> None:
        report = report_of("missing_values/left_in")
        names = run_code(cause(report, "preprocessing.missing_values").remedy.code)
        train = pd.read_csv(EXAMPLES / "missing_values/train.csv")
        holed = pd.read_csv(EXAMPLES / "missing_values/left_in/validation.csv")
        repaired = names["impute"](train, holed)

        assert not repaired.isna().any(axis=None)
        before = report.metrics.validation.values["balanced_accuracy"].estimate
        after = audit_repaired("missing_values/left_in", repaired, tmp_path).metrics
        assert before is not None
        assert (after.validation.values["balanced_accuracy"].estimate or 0) > before + 0.05


def imputations(example: str, code: str, evidence: str) -> Mapping[str, Mapping[str, Any]]:
    """Method -> what it brought back, fitted on the training data alone."""
    compared = finding(report_of(example), code).evidence[evidence]
    assert isinstance(compared, dict)
    methods = {name: value for name, value in compared.items() if isinstance(value, dict)}
    assert set(methods) == {"mean", "median", "mode", "k nearest neighbours"}
    return methods


def best_of(compared: Mapping[str, Mapping[str, Any]]) -> str:
    return max(compared, key=lambda method: float(compared[method]["after"]))


def test_dropped_rows_are_seen_by_the_holes_of_the_training_data() -> None:
    """The validation file says nothing of the samples whose second reading was skipped: most of them malignant."""
    report = report_of("missing_values/rows_dropped")
    found = finding(report, "preprocessing.missing_values")

    assert codes(report)[0] == "preprocessing.missing_values"
    shares = found.evidence["label_mean_of_rows"]
    assert isinstance(shares, dict)
    assert shares["complete"] == pytest.approx(0.714, abs=0.001)
    assert shares["with_holes"] == pytest.approx(0.439, abs=0.001)


def test_the_mean_of_all_data_before_the_split_leaves_a_trace() -> None:
    """And what an imputation fitted on the training data would have given is measured."""
    report = report_of("missing_values/mean_imputed")
    found = finding(report, "preprocessing.imputation_spike")
    reimputed = imputations("missing_values/mean_imputed", found.code, "reimputed")

    assert codes(report)[0] == "preprocessing.imputation_spike"
    assert set(found.affected.columns) >= {"worst_radius", "worst_area"}
    assert best_of(reimputed) == "k nearest neighbours"
    assert reimputed["k nearest neighbours"]["gain_interval"][0] > 0


@pytest.mark.parametrize(
    ("variant", "code", "evidence"),
    [
        ("left_in", "preprocessing.missing_values", "imputations"),
        ("rows_dropped", "preprocessing.missing_values", "imputations_on_training_rows"),
        ("mean_imputed", "preprocessing.imputation_spike", "reimputed"),
    ],
)
def test_the_numbers_of_the_story_are_those_of_the_report(variant: str, code: str, evidence: str) -> None:
    story = (EXAMPLES / "missing_values/README.md").read_text(encoding="utf-8")
    compared = imputations(f"missing_values/{variant}", code, evidence)

    assert any(all(f"{compared[method]['after']:.3f} (" in line for method in compared) for line in story.splitlines())


class TestWrongScaling:
    def test_the_forgotten_scaler_is_the_first_cause_and_proven(self) -> None:
        report = report_of("wrong_scaling")
        first = report.diagnosis[0]

        assert report.verdict == "fail"
        assert first.code == "preprocessing.scaling_mismatch"
        assert first.confirmation is not None
        assert first.confirmation.confirmed
        assert first.confirmation.before == pytest.approx(0.5, abs=0.05)
        assert first.confirmation.after > 0.9
        assert (first.confirmation.placebo_gain or 0) < first.confirmation.after - first.confirmation.before

    def test_the_remedy_brings_the_validation_file_onto_the_training_scale(self, tmp_path: Path) -> None:
        """The maps are estimated from the files, and come near the scaler's own mean and deviation."""
        names = run_code(report_of("wrong_scaling").diagnosis[0].remedy.code)
        raw = pd.read_csv(EXAMPLES / "wrong_scaling/validation.csv")
        repaired = names["onto_training_scale"](raw)

        assert np.abs(repaired.drop(columns="benign").mean()).max() < 0.5
        healthy = audit_repaired("wrong_scaling", repaired, tmp_path)
        assert "preprocessing.scaling_mismatch" not in codes(healthy)
        assert (healthy.metrics.validation.values["balanced_accuracy"].estimate or 0) > 0.9
