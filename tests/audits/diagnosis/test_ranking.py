"""From findings to ranked causes."""

from dataclasses import replace

import pytest

from audits import diagnosis
from audits.checks.preprocessing import scaling_mismatch
from audits.evidence.case import Case
from audits.repairs.protocol import mend
from audits.results import CheckResult
from schemas.report import Outcome, Severity
from tests.audits.diagnosis.findings import LABELS, MEMORY, SCALE, found
from tests.factories import (
    case,
    on_column,
    scaled,
)


def ranking(one: Case, *results: CheckResult) -> list[str]:
    named = {r.finding.code: r for r in results if r.finding}
    return [cause.code for cause in diagnosis.rank(one, named)]


def test_what_brought_most_back_comes_first(wide_gap: Case):
    results = [
        found(SCALE, recovered=0.1),
        found(LABELS, recovered=0.3),
        found("preprocessing.outliers", recovered=0.2),
    ]

    assert ranking(wide_gap, *results) == [LABELS, "preprocessing.outliers", SCALE]


def test_proof_by_repair_stands_before_proof_by_exclusion(wide_gap: Case):
    assert ranking(wide_gap, found(MEMORY, recovered=0.4, by_exclusion=True), found(SCALE, recovered=0.05)) == [
        SCALE,
        MEMORY,
    ]


def test_what_explains_no_loss_of_the_metric_comes_by_kind(wide_gap: Case):
    results = [found("metrics.small_validation"), found("overfitting.no_signal"), found("metrics.majority_class")]

    assert ranking(wide_gap, *results) == [
        "metrics.majority_class",
        "overfitting.no_signal",
        "metrics.small_validation",
    ]


def test_an_unconfirmed_repair_does_not_rank_as_proven(wide_gap: Case):
    refuted = found(LABELS, recovered=0.4)
    refuted = replace(refuted, confirmation=refuted.confirmation.model_copy(update={"confirmed": False}))

    assert ranking(wide_gap, refuted, found(SCALE, recovered=0.1))[0] == SCALE


@pytest.mark.parametrize(
    "quiet",
    [
        found(SCALE, severity=Severity.INFO),
        found(SCALE, ranks=False),
        found(SCALE, outcome=Outcome.PASS),
    ],
    ids=["info", "not ranked", "passed"],
)
def test_observations_are_never_ranked(wide_gap: Case, quiet: CheckResult):
    assert ranking(wide_gap, quiet) == []


@pytest.mark.parametrize("code", sorted(diagnosis.TOLD_BY))
def test_what_another_finding_tells_better_is_not_ranked_beside_it(wide_gap: Case, code: str):
    for better in diagnosis.TOLD_BY[code]:
        assert ranking(wide_gap, found(code), found(better)) == [better]
        assert ranking(wide_gap, found(code), found(better, severity=Severity.INFO)) == [code]


def test_shares_are_of_the_gap_between_the_splits(wide_gap: Case):
    total = wide_gap.train_score[0] - wide_gap.validation_score[0]

    (cause,) = diagnosis.rank(wide_gap, {SCALE: found(SCALE, recovered=0.2)})

    assert cause.share_of_gap.estimate == pytest.approx(0.2 / total)
    assert cause.share_of_gap.interval == (pytest.approx(0.1 / total), pytest.approx(0.3 / total))


def test_without_a_gap_there_is_no_share():
    one = case(n_train=200, n_validation=200, seed=4)
    level = replace(one, validation=one.train, mended=one.train.sample)

    (cause,) = diagnosis.rank(level, {SCALE: found(SCALE, recovered=0.2)})

    assert cause.share_of_gap is None


def test_the_explanation_is_the_checks_or_the_findings_summary(wide_gap: Case):
    said, silent = found(SCALE, explanation="because."), found(LABELS)

    causes = {c.code: c for c in diagnosis.rank(wide_gap, {SCALE: said, LABELS: silent})}

    assert causes[SCALE].explanation == "because."
    assert causes[LABELS].explanation == f"summary of {LABELS}."


def test_refuted_repairs_are_told():
    one = mend(case(model=on_column(0), fault=scaled(9.0, columns=[3])), [(SCALE, scaling_mismatch.suspect)])

    (tested,) = diagnosis.tested_not_a_cause(one)

    assert tested.code == SCALE
    assert not tested.confirmation.confirmed
    assert tested.reason == one.trials[0].reason


def test_a_code_that_is_a_cause_is_not_told_as_refuted():
    one = mend(case(fault=scaled(3.0)), [(SCALE, scaling_mismatch.suspect)])
    refuted = replace(
        one.trials[0], confirmation=one.trials[0].confirmation.model_copy(update={"confirmed": False}), reason="no"
    )

    assert diagnosis.tested_not_a_cause(replace(one, trials=(*one.trials, refuted))) == []
