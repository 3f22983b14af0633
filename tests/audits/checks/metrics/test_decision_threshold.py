"""metrics.decision_threshold: a good ranking, cut in the wrong place."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audits.checks.metrics import decision_threshold
from audits.checks.metrics.decision_threshold import CODE, cross_fitted
from audits.evidence.labels import UNKNOWN
from audits.statistics.metrics import roc_auc
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, case, case_of, constant, memoriser, miscut, result_of


@pytest.mark.parametrize("offset", [2.0, -2.0, 6.0])
def test_fires_on_probabilities_that_are_moved(offset: float):
    result = result_of(CODE, case(model=miscut(offset)))

    assert result.outcome is Outcome.FAIL
    assert result.confirmation.after == pytest.approx(case().validation_score[0], abs=0.04)
    better = result.finding.evidence["better_threshold"]
    assert (better > 0.5) == (offset > 0)


def test_fires_on_a_threshold_that_was_asked_for():
    result = result_of(CODE, case(threshold=0.95))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["threshold"] == 0.95


def test_severity_follows_the_gain():
    severities = [
        result_of(CODE, case(model=miscut(offset), n_validation=2000)).finding.severity for offset in (1.6, 5)
    ]

    assert severities == [Severity.WARNING, Severity.CRITICAL]


def test_says_what_the_threshold_costs_in_accuracy():
    """With rare positives, balanced accuracy gains what accuracy loses: a trade-off, and both are named."""
    result = result_of(CODE, case(prevalence=0.08, signal=2.5, n_train=2000, n_validation=2000))

    assert result.finding.evidence["accuracy_after"] < result.finding.evidence["accuracy_before"]
    assert "while accuracy goes from" in result.finding.summary


@pytest.mark.parametrize(("recalled_below", "severity"), [(0.12, Severity.INFO), (0.30, Severity.CRITICAL)])
def test_a_small_gain_that_accuracy_does_not_see_is_a_preference(recalled_below: float, severity: Severity):
    """A ninth is positive; cut at 0.2, more of them are found, and as many others are called positive."""
    rng = np.random.default_rng(0)
    y = (rng.random(20_000) < 0.11).astype(int)
    low = np.where(y == 1, recalled_below, recalled_below / 8.1)
    drawn = rng.random(20_000)
    score = np.where(drawn < low, 0.3, np.where((drawn < low + 0.1) == (y == 1), 0.05, 0.9))
    score = np.where((y == 0) & (drawn >= low), np.where(rng.random(20_000) < 0.009, 0.9, 0.05), score)
    part = Part(pd.DataFrame({"c0": score + rng.normal(0, 1e-3, 20_000), "c1": rng.normal(size=20_000)}), y)

    result = result_of(CODE, case_of(part.at(np.arange(10_000)), part.at(np.arange(10_000, 20_000)), lambda m: m[:, 0]))

    assert abs(result.finding.evidence["accuracy_after"] - result.finding.evidence["accuracy_before"]) < 0.005
    assert result.finding.severity is severity


def test_the_remedys_code_decides_as_the_repair_did():
    one = case(model=miscut(4.0))
    code = defined_by(remedy_of(result_of(CODE, one)))
    probabilities = one.validation.predictions.probabilities[:, 1]

    decided = code["decide"](probabilities)

    again = one.scorer.score(one.validation.labels, replace(one.validation.predictions, decisions=decided))
    assert again > one.validation_score[0] + 0.1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [60, 400])
def test_stays_silent_on_a_good_cut(seed: int, n: int):
    assert result_of(CODE, case(n_validation=n, seed=seed)).outcome is Outcome.PASS


@pytest.mark.parametrize("model", [memoriser, constant(0.9)], ids=["memoriser", "constant"])
def test_stays_silent_on_a_ranking_that_knows_nothing(model):
    """The best threshold of noise gains nothing on the other half."""
    assert result_of(CODE, case(model=model, signal=0.0)).outcome is Outcome.PASS


def test_each_half_is_cut_where_the_other_half_says(monkeypatch: pytest.MonkeyPatch):
    """The first threshold lets everybody through, the second nobody."""
    one = case()
    subject = one.validation.sample
    found_on: list[set[float]] = []

    def all_or_none(labels: np.ndarray, scores: np.ndarray) -> float:
        found_on.append(set(scores))
        return -1.0 if len(found_on) == 1 else 2.0

    monkeypatch.setattr(decision_threshold, "best_threshold", all_or_none)

    decisions = cross_fitted(one, subject).predictions.decisions

    scores = subject.predictions.probabilities[:, 1]
    assert 0.4 < decisions.mean() < 0.6
    assert not found_on[0] & set(scores[decisions == 1])


def test_rows_without_an_answer_stay_without():
    def half_silent(train, task):
        answer = miscut(4.0)(train, task)
        return lambda m: np.where(np.arange(len(m)) % 4 == 0, np.nan, answer(m))

    one = case(model=half_silent)

    after = cross_fitted(one, one.validation.sample)

    silent = ~one.validation.predictions.answered
    assert silent.any()
    assert (after.predictions.decisions[silent] == -1).all()


def test_the_ranking_is_that_of_rows_with_a_label_and_an_answer():
    """Rows whose label is no class are no negatives, and an answer that is no number ranks nowhere."""
    one = case(model=miscut(4.0))
    ranking = result_of(CODE, one).finding.evidence["roc_auc"]

    subject = one.mended
    labels, probabilities = subject.labels.copy(), subject.predictions.probabilities.copy()
    labels[:40], probabilities[40:80] = UNKNOWN, np.nan
    rest = subject.at(np.arange(80, len(subject)))
    predictions = replace(subject.predictions, probabilities=probabilities)
    spoilt = replace(one, mended=replace(subject, labels=labels, predictions=predictions))
    expected = roc_auc(rest.predictions.probabilities[:, 1], rest.labels == 1)

    assert decision_threshold.decision_threshold(spoilt).finding.evidence["roc_auc"] == pytest.approx(expected)
    assert expected == pytest.approx(ranking, abs=0.05)


def test_inconclusive_on_few_rows_of_a_class():
    result = result_of(CODE, case(prevalence=0.03, n_validation=200, model=miscut(3.0)))

    assert result.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_not_applicable_without_two_classes(task: str):
    assert result_of(CODE, case(task)).outcome is Outcome.NOT_APPLICABLE


def test_not_applicable_to_class_ids():
    def ids(train, task):
        return lambda m: (m[:, 0] > m[:, 0].mean()).astype(np.int64)

    assert result_of(CODE, case(model=ids)).outcome is Outcome.NOT_APPLICABLE
