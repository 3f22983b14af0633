"""preprocessing.prior_shift: other class shares in validation than in training."""

from dataclasses import replace

import numpy as np
import pytest

from audits.checks.preprocessing.prior_shift import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Fault, Part, both, case, examined, faults_found, permuted_labels, result_of


def thinned(share: float, k: int = 1) -> Fault:
    """Rows of class k are left out until they make up this share."""

    def spoil(part: Part, train: Part, rng: np.random.Generator) -> Part:
        inside, others = np.flatnonzero(part.y == k), np.flatnonzero(part.y != k)
        kept = rng.choice(inside, max(1, round(share / (1 - share) * len(others))), replace=False)
        return part.at(np.sort(np.concatenate([others, kept])))

    return spoil


@pytest.mark.parametrize("layout", ["table", "image"])
def test_fires_on_a_class_that_became_rare(layout: str):
    result = result_of(CODE, case(layout=layout, signal=4.0, fault=thinned(0.08)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.WARNING
    assert result.finding.effect.interval[0] > 2
    assert result.finding.evidence["shares"]["1"]["validation"] == pytest.approx(0.08, abs=0.01)
    assert result.confirmation.confirmed


def test_fires_on_one_class_of_many():
    result = result_of(CODE, case("multiclass", classes=4, n_validation=600, fault=thinned(0.05, k=2)))

    assert result.outcome is Outcome.FAIL
    assert "Class 2" in result.finding.summary


def test_the_shares_are_found_without_labels():
    """By maximum likelihood and by the confusion, within the error of three hundred rows."""
    told = result_of(CODE, case(n_validation=800, fault=thinned(0.1))).finding.evidence["shares"]["1"]

    assert told["told_by_likelihood"] == pytest.approx(0.1, abs=0.05)
    assert told["told_by_confusion"] == pytest.approx(0.1, abs=0.06)


def test_correcting_the_probabilities_lowers_the_loss():
    result = result_of(CODE, case(signal=2.0, n_validation=1500, fault=thinned(0.1)))

    assert (result.confirmation.metric, result.confirmation.higher_is_better) == ("log_loss", False)
    assert result.confirmation.after < result.confirmation.before
    assert result.confirmation.gain_interval[0] > 0
    assert result.confirmation.gain_interval[0] > result.confirmation.placebo_gain


def test_says_what_precision_would_be():
    result = result_of(CODE, case(signal=2.0, n_validation=1500, fault=thinned(0.1)))
    cost = result.finding.evidence["metrics"]["macro_precision"]

    assert cost["at_training_shares"] > cost["as_is"] + 0.05
    assert "mean precision" in result.explanation


def test_class_ids_are_told_by_the_confusion_alone():
    one = case(n_validation=800, fault=thinned(0.05))
    hard = replace(one.meaning, kind="class")

    told = result_of(CODE, replace(one, meaning=hard)).finding.evidence["shares"]["1"]

    assert told["told_by_likelihood"] is None
    assert told["told_by_confusion"] == pytest.approx(0.05, abs=0.06)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("n_validation", [60, 300, 1000])
def test_stays_silent_on_shares_that_differ_by_chance(task: str, n_validation: int):
    for seed in range(10):
        assert result_of(CODE, case(task, n_validation=n_validation, seed=seed)).finding is None


def test_stays_silent_on_labels_that_were_swapped():
    """Three classes in four are positive; written the wrong way round, one in four is."""
    one = case(prevalence=0.75, n_validation=400, fault=permuted_labels(1, 0))

    result = result_of(CODE, one)

    assert result.finding.severity is Severity.INFO
    assert "answers do not show it" in result.reason


def test_is_judged_after_the_labels_were_repaired():
    _, results = examined(
        case(prevalence=0.75, n_validation=400, fault=permuted_labels(1, 0)),
        {"preprocessing.label_encoding", CODE},
    )

    assert faults_found(results) == {"preprocessing.label_encoding"}


def test_both_faults_are_told():
    _, results = examined(
        case(signal=5.0, n_validation=800, fault=both(thinned(0.1), permuted_labels(1, 0))),
        {"preprocessing.label_encoding", CODE},
    )

    assert faults_found(results) == {"preprocessing.label_encoding", CODE}


def test_not_applicable_to_quantities():
    assert result_of(CODE, case("regression")).outcome is Outcome.NOT_APPLICABLE


def test_inconclusive_on_few_rows():
    assert result_of(CODE, case(n_validation=18)).outcome is Outcome.INCONCLUSIVE
    rare = case(prevalence=0.04, n_train=100, n_validation=60)
    assert result_of(CODE, rare).outcome in {Outcome.INCONCLUSIVE, Outcome.PASS}


@pytest.mark.parametrize("split", ["training", "validation"])
def test_the_split_that_is_too_small_is_named(split: str):
    world = {"n_train": 100, "n_validation": 300} if split == "training" else {"n_train": 300, "n_validation": 100}

    result = result_of(CODE, case(limits={CODE: {"min_rows": 150}}, **world))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.reason == f"100 of 150 {split} rows"


def test_the_remedys_code_corrects_the_probabilities():
    one = case(signal=2.0, n_validation=1500, fault=thinned(0.1))
    code = defined_by(remedy_of(result_of(CODE, one)))
    p = one.mended.predictions.probabilities

    corrected = code["corrected"](p)

    np.testing.assert_allclose(corrected.sum(axis=1), 1.0)
    np.testing.assert_allclose(code["corrected"](p[:, 1]), corrected[:, 1])
    truth = one.mended.labels == 1
    assert abs(corrected[:, 1].mean() - truth.mean()) < abs(p[:, 1].mean() - truth.mean())
