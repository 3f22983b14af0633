"""The validation set cannot resolve the difference that matters.

What it measures: the smallest difference of the primary metric that these validation rows would show with the
    given power: from the standard error of the metric, with the Agresti-Coull adjustment for proportions (per
    class, so that a rare class counts by its own rows) and by bootstrap for R2. Over whole groups, or over blocks
    of time where the rows of one time depend on each other; the number of independent rows that would tell as much
    stands in the evidence.
Why it matters: on eighteen rows, one model's 0.94 and another's 0.78 are the same number.
When it is inconclusive: never.
How to fix: collect the number of rows that the finding names, or cross-validate over all data.
Reference: Agresti & Coull, 1998, https://doi.org/10.1080/00031305.1998.10480550; Riley et al., 2024,
    https://doi.org/10.1136/bmj-2023-074821
"""

import math
from typing import cast

import numpy as np
from scipy.stats import norm

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.time.series import dependent_blocks
from audits.results import CheckResult
from audits.statistics.power import detectable_from_standard_error
from audits.statistics.series import effective_rows
from schemas.limits.metrics import SmallValidation
from schemas.report import Confirmation, Effect, Finding, Outcome, Remedy, Severity

CODE = "metrics.small_validation"
REDRAWS = 400
# Of so many times the rows, draws are as good as independent.
ENOUGH_TIMES = 3


def small_validation(case: Case) -> CheckResult:
    """Compare the smallest visible difference with the one that matters."""
    limits = cast(SmallValidation, case.limits[CODE])
    error, effective = _standard_error(case)
    visible = detectable_from_standard_error(error, limits.power, limits.alpha)
    if visible <= limits.material_difference:
        return CheckResult.passed(smallest=float(visible))
    n = len(case.mended)
    needed = math.ceil(n * (visible / limits.material_difference) ** 2)
    finding = Finding(
        code=CODE,
        family="metrics",
        severity=Severity.WARNING,
        title="The validation set is too small to tell",
        summary=f"With {n} validation rows, {case.scorer.title} must differ by {visible:.2f} to be seen with "
        f"{limits.power:.0%} power; {limits.material_difference:g} would matter. About {needed} rows of this kind "
        f"would show it.{_dependence(n, effective)}",
        effect=Effect(name="smallest_visible_difference", estimate=float(visible), limit=limits.material_difference),
        n=n,
        evidence={"standard_error": error, "rows_needed": needed, "effective_rows": effective},
        remedy=_remedy(case, needed),
    )
    return CheckResult(
        Outcome.FAIL,
        finding=finding,
        confirmation=_confirmation(case, limits),
        smallest_visible_effect=float(visible),
    )


def _confirmation(case: Case, limits: SmallValidation) -> Confirmation:
    """The metric of the same model on as many rows, drawn anew: between which values it wanders by chance alone."""
    drawn_from, n = case.train.sample, len(case.mended)
    enough = len(drawn_from) >= ENOUGH_TIMES * n
    if not enough:
        drawn_from = case.mended
    answers, rng = case.scorer.answers(drawn_from.predictions), case.rng("redrawn validation rows")
    scores = []
    for _ in range(REDRAWS):
        rows = rng.choice(len(drawn_from), n, replace=not enough)
        scores.append(case.scorer.score_of_answers(drawn_from.labels[rows], answers[rows]))
    # R2 of a draw whose labels are all the same is none
    defined = [score for score in scores if np.isfinite(score)] or [0.0]
    before, after = (float(q) for q in np.quantile(defined, [0.025, 0.975]))
    return Confirmation(
        confirmed=after - before > limits.material_difference,
        intervention=f"draw {n} {'training' if enough else 'validation'} rows anew, {REDRAWS} times: the metric lies "
        "between these values in 95 % of the draws",
        metric=case.scorer.metric,
        before=before,
        after=after,
        n=n,
    )


def _standard_error(case: Case) -> tuple[float, float]:
    """Of the primary metric on the validation rows, and how many independent rows would have it."""
    subject = case.mended
    answers = case.scorer.answers(subject.predictions)
    together = dependent_blocks(case, subject) if subject.groups is None else subject.groups
    alone = None if case.is_regression else case.scorer.standard_error(subject.labels, answers)
    if alone is not None and together is None:
        return alone, float(len(subject))
    error = _spread(case.scorer.draws(subject.labels, answers, case.rng("power"), together))
    if together is None:
        return error, float(len(subject))
    if alone is None:
        alone = _spread(case.scorer.draws(subject.labels, answers, case.rng("power alone")))
    elif subject.groups is None:
        # where all rows of a class are right, no resample differs
        error = max(error, alone)
    return error, effective_rows(len(subject), alone, error)


def _dependence(n: int, effective: float) -> str:
    """A sentence where the rows depend on each other."""
    return (
        f" They depend on each other: they tell as much as {effective:.0f} independent rows."
        if effective < 0.9 * n
        else ""
    )


def _spread(draws: Array) -> float:
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return float((high - low) / (2 * norm.ppf(0.975)))


def _remedy(case: Case, needed: int) -> Remedy:
    text = (
        f"Do not compare models on these rows. Collect about {needed}, or estimate the metric by repeated "
        "cross-validation over training and validation data together."
    )
    scoring = "r2" if case.is_regression else "balanced_accuracy"
    splitter = "RepeatedKFold" if case.is_regression else "RepeatedStratifiedKFold"
    code = (
        f"from sklearn.model_selection import {splitter}, cross_val_score\n\n"
        "def estimate(estimator, x, y):\n"
        f"    folds = {splitter}(n_splits=5, n_repeats=10, random_state=0)\n"
        f"    return cross_val_score(estimator, x, y, cv=folds, scoring={scoring!r})\n"
    )
    return Remedy(text=text, code=code)
