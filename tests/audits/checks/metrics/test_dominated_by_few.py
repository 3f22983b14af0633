"""metrics.dominated_by_few: R2 tells of a handful of rows."""

from dataclasses import replace

import numpy as np
import pytest

from audits.checks.metrics.dominated_by_few import dominated_by_few
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Fault, Part, case, case_of, examined, fitted, outlying, request_for, splits


def wrong_targets(rows: int, deviations: float) -> Fault:
    """So many validation targets moved away."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        y = part.y.copy()
        hit = rng.choice(len(y), rows, replace=False)
        y[hit] += deviations * train.y.std() * rng.choice([-1, 1], rows)
        return replace(part, y=y)

    return spoil


def dominated() -> Case:
    return case("regression", n_validation=500, fault=wrong_targets(5, 12.0))


def of_errors(errors: np.ndarray, seed: int, n: int) -> Case:
    """A model whose errors are the given ones."""
    train, validation = splits("regression", n_train=max(300, n), n_validation=n, seed=seed)
    answer = fitted(train, "regression")
    noisy = replace(validation, y=answer(validation.numbers) + errors)
    return case_of(train, noisy, answer, request=request_for(task="regression"))


def test_fires_on_five_wrong_targets_in_five_hundred():
    one = dominated()
    result = dominated_by_few(one)

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    moved = np.argsort(-np.abs(one.validation.labels - one.validation.predictions.values))[:5]
    assert set(result.finding.affected.rows) == set(moved.tolist())
    assert result.confirmation.after > result.confirmation.before + 0.3
    assert abs(result.confirmation.placebo_gain) < 0.3
    assert result.finding.evidence["rmse_over_mae"] > 2


def test_fires_on_a_target_with_a_very_long_tail():
    rng = np.random.default_rng(0)

    result = dominated_by_few(of_errors(20 * rng.standard_t(1.1, 2000), 0, 2000))

    assert result.outcome is Outcome.FAIL


@pytest.mark.parametrize("n", [50, 100, 400, 2000])
@pytest.mark.parametrize("tail", ["normal", "laplace", "student", "uneven"])
def test_stays_silent_on_usual_errors(n: int, tail: str):
    """Normal, Laplace and t errors, and errors that grow with a column."""
    for seed in range(10):
        rng = np.random.default_rng([n, seed])
        errors = {
            "normal": rng.normal(size=n),
            "laplace": rng.laplace(size=n),
            "student": rng.standard_t(4, n),
            "uneven": rng.normal(size=n) * np.exp(0.5 * rng.normal(size=n)),
        }[tail]

        assert dominated_by_few(of_errors(15 * errors, seed, n)).finding is None


def test_stays_silent_on_usual_errors_however_small_the_margins():
    """What chance gives the few is no finding, even where any share and any change would matter."""
    loose = {"metrics.dominated_by_few": {"min_share": 0.05, "min_change": 0.001}}
    found = [
        dominated_by_few(case("regression", n_validation=n, seed=seed, signal=1.0, limits=loose)).finding
        for n in (50, 100, 300)
        for seed in range(6)
    ]

    assert found == [None] * len(found)


def test_stays_silent_where_the_metric_does_not_depend_on_them():
    """A model that is right to a thousandth: a few rows carry the rest of the loss, and it is no matter."""
    errors = np.full(500, 1e-3)
    errors[:5] = 5.0

    result = dominated_by_few(of_errors(errors, 1, 500))

    assert result.outcome is Outcome.PASS
    assert "hardly depends" in result.reason


def test_stays_silent_on_outlying_features_that_were_repaired():
    """They carry the loss; preprocessing.outliers tells of them, and what is left is even."""
    one = case("regression", n_validation=1500, fault=outlying(0.02, 300.0))

    assert dominated_by_few(one).finding is not None
    _, results = examined(one, {"preprocessing.outliers", "metrics.dominated_by_few"})
    assert results["preprocessing.outliers"].outcome is Outcome.FAIL
    assert results["metrics.dominated_by_few"].finding is None


def test_the_remedys_code_reports_what_the_finding_says():
    one = dominated()
    result = dominated_by_few(one)
    report = defined_by(remedy_of(result))["robust_report"](one.validation.labels, one.validation.predictions.values)

    assert report["mae"] == pytest.approx(result.finding.evidence["mae"])
    assert report["rmse_without_these_rows"] == pytest.approx(result.finding.evidence["rmse_without"])


def test_inconclusive_on_few_rows_and_not_applicable_to_classes():
    assert dominated_by_few(case("regression", n_validation=40)).outcome is Outcome.INCONCLUSIVE
    assert dominated_by_few(case()).outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize(("rows", "found"), [(1, False), (2, True)])
def test_two_targets_far_beyond_training_are_told_whatever_another_draw_would_show(rows: int, found: bool):
    """One resample in seven holds none of the two: the bootstrap alone could not tell."""
    result = dominated_by_few(case("regression", n_validation=1000, fault=wrong_targets(rows, 40.0)))

    assert (result.finding is not None) == found
    if found:
        assert len(result.finding.affected.rows) == 2
        assert result.confirmation.confirmed


def test_fires_where_one_target_in_twenty_five_is_wrong():
    """One in a hundred then has a quarter of the error, one in twenty nearly all of it; none lies beyond training."""
    errors = 10 * np.random.default_rng(0).normal(size=1000)
    errors[:40] += np.where(np.arange(40) % 2, 120.0, -120.0)

    result = dominated_by_few(of_errors(errors, 0, 1000))

    assert result.outcome is Outcome.FAIL
    assert len(result.finding.affected.rows) == 50
