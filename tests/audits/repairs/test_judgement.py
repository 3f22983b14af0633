"""From trials to the result of a check."""

from dataclasses import replace

import numpy as np
import pytest

from audits.checks.preprocessing import scaling_mismatch
from audits.evidence.case import Case
from audits.repairs.judgement import MAX_ROWS_NAMED, judge, smallest_visible_gain, trial_of
from audits.repairs.protocol import Suspicion, Trial, mend, try_repair
from schemas.report import Effect, Outcome, Remedy, Severity
from tests.factories import Task, case, on_column, scaled

CODE = scaling_mismatch.CODE
SUMMARY = "When we {intervention}, {metric} goes from {before} to {after}."


@pytest.fixture(scope="module")
def confirmed() -> Case:
    return mend(case(fault=scaled(3.0)), [(CODE, scaling_mismatch.suspect)])


@pytest.fixture(scope="module")
def refuted() -> Case:
    return mend(case(model=on_column(0), fault=scaled(9.0, columns=[3])), [(CODE, scaling_mismatch.suspect)])


def judged(one: Case, **other: str):
    return judge(one, CODE, title="Title", summary=SUMMARY, **other)


def gaining(one: Case, gain: float, rows: np.ndarray | None = None) -> Case:
    (trial,) = one.trials
    changed: Trial = replace(
        trial,
        gain=trial.gain.model_copy(update={"estimate": gain}),
        suspicion=replace(trial.suspicion, rows=rows),
    )
    return replace(one, trials=(changed,))


def test_a_confirmed_trial_is_a_finding(confirmed: Case):
    result = judged(confirmed)

    assert result.outcome is Outcome.FAIL
    assert result.confirmation is confirmed.trials[0].confirmation
    assert result.recovered is confirmed.trials[0].gain
    assert result.finding.summary.startswith("When we convert")
    assert f"from {result.confirmation.before:.2f} to {result.confirmation.after:.2f}" in result.finding.summary


def test_a_refuted_trial_passes_and_says_why(refuted: Case):
    result = judged(refuted)

    assert result.outcome is Outcome.PASS
    assert result.finding is None
    assert result.reason == f"suspected and tested, not a cause: {refuted.trials[0].reason}"


def test_without_a_trial_it_passes_unless_it_could_not_look():
    one = case(n_validation=1000)

    assert judged(one).outcome is Outcome.PASS
    assert judged(one, too_few="3 of 50 rows").outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(("gain", "severity"), [(0.049, Severity.WARNING), (0.05, Severity.CRITICAL)])
def test_severity_follows_the_gain(confirmed: Case, gain: float, severity: Severity):
    assert judged(gaining(confirmed, gain)).finding.severity is severity


def test_names_at_most_a_hundred_rows_by_their_place_in_the_file(confirmed: Case):
    rows = np.arange(300) % 2 == 1

    affected = judged(gaining(confirmed, 0.2, rows)).finding.affected

    assert affected.rows == list(range(1, 2 * MAX_ROWS_NAMED, 2))
    assert affected.share_of_rows == 0.5


def test_all_rows_are_affected_where_none_are_named(confirmed: Case):
    assert judged(confirmed).finding.affected.share_of_rows == 1.0


def test_of_several_trials_the_confirmed_one_counts(confirmed: Case, refuted: Case):
    both = replace(confirmed, trials=(*refuted.trials, *confirmed.trials, *refuted.trials))

    assert trial_of(both, CODE) is confirmed.trials[0]
    assert trial_of(refuted, CODE) is refuted.trials[0]
    assert trial_of(both, "preprocessing.outliers") is None


def test_says_that_it_could_not_see_in_few_rows():
    result = judged(case(n_validation=60))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.smallest_visible_effect > 0.05
    assert "would not have been seen" in result.reason


def confirmations(task: Task, share: float, times: int = 40) -> float:
    """How often a repair is taken for a gain that brings this share of the rows back."""
    one = case(task, n_train=1500, n_validation=1000)
    after = one.validation.sample
    rng, confirmed = np.random.default_rng(0), 0
    for _ in range(times):
        hit = rng.random(len(after)) < share
        answers = after.predictions
        if task == "regression":
            spoilt = replace(answers, values=np.where(hit, one.scorer.fallback, answers.values))
        else:
            classes = one.labels.n_classes
            wrong = (after.labels + rng.integers(1, classes, len(after))) % classes
            right = answers.decisions == after.labels
            spoilt = replace(answers, decisions=np.where(hit & right, wrong, answers.decisions))
        suspicion = Suspicion(
            code=CODE,
            intervention="x",
            apply=lambda _: after,
            effect=Effect(name="x", estimate=1.0),
            remedy=Remedy(text="x."),
        )
        trial = try_repair(one, replace(after, predictions=spoilt), suspicion, lambda *_: None)
        confirmed += trial.confirmed
    return confirmed / times


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_smallest_visible_gain_is_found_four_times_of_five(task: Task):
    one = case(task, n_train=1500, n_validation=1000)
    visible = smallest_visible_gain(one, one.limits[CODE])
    accuracy = one.score(one.validation.sample)

    assert confirmations(task, 1.5 * visible / accuracy) > 0.7
    assert confirmations(task, 0.3 * visible / accuracy) < 0.5
