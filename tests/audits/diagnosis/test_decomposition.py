"""The terms of the gap."""

import numpy as np
import pytest

from audits import diagnosis
from audits.evidence.case import Case
from audits.results import CheckResult
from schemas.report import Outcome
from tests.audits.diagnosis.findings import MEMORY, SCALE, found
from tests.factories import (
    Task,
    case,
    case_of,
    copied,
    examined,
    fitted,
    memoriser,
    miscut,
    request_for,
    scaled,
    splits,
)


def told(one: Case, attribution: diagnosis.Attribution | None = None, **results: CheckResult) -> dict[str, float]:
    """Kind -> estimate, summed over the terms of that kind."""
    by_code = {r.finding.code: r for r in results.values() if r.finding}
    gap = diagnosis.measure_gap(one, by_code, attribution)
    assert sum(term.estimate for term in gap.terms) == pytest.approx(gap.gap, abs=1e-9)
    kinds: dict[str, float] = {}
    for term in gap.terms:
        kinds[term.kind] = kinds.get(term.kind, 0.0) + term.estimate
    return kinds


def of(one: Case) -> tuple[diagnosis.Attribution | None, dict[str, float], dict[str, CheckResult]]:
    """The case repaired and checked: its attribution, its terms by kind, its results."""
    mended, results = examined(one)
    attribution = diagnosis.attribute(mended, results)
    gap = diagnosis.measure_gap(mended, results, attribution)
    assert sum(term.estimate for term in gap.terms) == pytest.approx(gap.gap, abs=1e-9)
    kinds: dict[str, float] = {}
    for term in gap.terms:
        kinds[term.kind] = kinds.get(term.kind, 0.0) + term.estimate
    return attribution, kinds, results


def test_the_gap_is_unexplained_until_a_cause_tells_it(wide_gap: Case):
    silent = diagnosis.measure_gap(wide_gap, {})
    telling = diagnosis.measure_gap(wide_gap, {MEMORY: found(MEMORY, recovered=0.5)})

    assert silent.gap == pytest.approx(silent.reference - silent.validation)
    assert silent.unexplained > 0.3
    assert silent.unexplained_share == pytest.approx(silent.unexplained / silent.gap)
    assert telling.unexplained == 0.0
    assert [t.kind for t in telling.terms][-2:] == ["overfitting", "unexplained"]


def test_what_a_repair_leaves_is_unexplained():
    """The scale is mended; what the healthy model loses on new rows remains."""
    healthy, spoilt = case(), case(fault=scaled(3.0))

    mended, results = examined(spoilt, {SCALE})
    gap = diagnosis.measure_gap(mended, results, diagnosis.attribute(mended, results))

    assert gap.gap > 0.25
    assert gap.unexplained == pytest.approx(max(0.0, healthy.train_score[0] - healthy.validation_score[0]), abs=0.04)


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_a_repair_of_the_training_file_is_no_term(task: Task):
    """The validation rows are as the model saw them: made on them, the repair would ruin the metric."""
    attribution, kinds, results = of(case(task, train_fault=scaled(1000.0)))

    assert results[SCALE].finding is not None
    assert attribution is None
    assert set(kinds) <= {"unexplained", "label_shift", "overfitting", "threshold"}
    assert sum(kinds.values()) < 0.1


def test_a_repaired_fault_is_the_gap():
    _, kinds, _ = of(case(fault=scaled(3.0)))

    assert kinds["repaired_fault"] > 0.25
    assert "overfitting" not in kinds


def test_a_memoriser_overfits():
    _, kinds, _ = of(case(model=memoriser, signal=0.5))

    assert kinds["overfitting"] > 0.2
    assert kinds["unexplained"] == 0.0


def test_copies_hide_a_part_of_the_gap():
    _, kinds, _ = of(case(model=memoriser, signal=0.5, fault=copied(0.4)))

    assert kinds["contamination"] < -0.05
    assert kinds["overfitting"] > 0.2


def test_a_bad_cut_is_no_overfitting():
    _, kinds, results = of(case(model=miscut(4.0)))

    assert results["metrics.decision_threshold"].outcome is Outcome.FAIL
    assert "overfitting" not in kinds


def test_a_shift_of_the_labels_of_a_regression_is_told():
    """Answers pulled to the middle: errors grow towards the ends, of which validation holds more."""
    rng = np.random.default_rng(0)
    train, validation = splits("regression", n_train=4000, n_validation=4000, seed=1)
    ends = np.abs(validation.y - np.median(validation.y)) + rng.normal(0, 5, len(validation))
    shifted = validation.at(np.argsort(ends)[:1500])
    one = case_of(train, shifted, fitted(train, "regression"), request=request_for(task="regression"))

    kinds = told(one)

    assert one.validation_score[0] < one.train_score[0] - 0.05
    assert kinds["label_shift"] > 0.02
