"""A segment of the rows fares materially worse than the rest, and need not.

What it measures: on one half of the validation rows, the values and tails of single columns and the leaves of
    shallow trees in which the model errs most are found; on the other half the worst of them are tried anew
    (Benjamini-Hochberg over all trials). A segment counts when the rows elsewhere fare materially better, classes
    held equal, and a simple learner beats the model inside by a margin and not elsewhere. A segment that is hard
    for the simple learner too is an observation.
Why it matters: the metric over all rows is an average: a tenth of the users may meet a model that does not work.
When it is inconclusive: a deficit of `material_deficit` in a quarter of the rows could not have been seen.
How to fix: look at the rows of the segment, their labels first; collect or weight them; report the segment's metric
    next to the overall one.
Reference: Chung et al., 2019 (slices), https://doi.org/10.1109/ICDE.2019.00139; Benjamini & Hochberg, 1995,
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
"""

from dataclasses import replace
from typing import cast

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.outputs import Predictions
from audits.evidence.segments.rules import Condition, Segment, leaves, simple_segments
from audits.evidence.segments.trial import (
    Arena,
    Trial,
    arena,
    at_home,
    fitted_on_validation,
    masks,
    on_same_rows,
)
from audits.repairs.protocol import gain_of
from audits.results import CheckResult
from audits.statistics.multiplicity import benjamini_hochberg
from schemas.limits.metrics import WeakSegment
from schemas.report import Affected, Confirmation, Effect, Finding, Outcome, Remedy, Severity

CODE = "metrics.weak_segment"
# Stricter than usual: with few rows of skewed errors, the p-values are approximate.
MAX_Q = 0.01
# A segment is a part: with more than this share of the rows, it is the rest that is unusual.
MAX_SHARE = 0.6
# Two segments that share more than this of their rows are one.
SAME_ROWS = 0.9
# Where a rival and the rest differ by less than so many standard errors on the finding half, nothing is tried.
MIN_Z = 1.5
MAX_ROWS_NAMED = 100
MAX_BRANCHES = 4
MAX_WEIGHT = 5.0


def weak_segment(case: Case) -> CheckResult:
    """Find the worst segments on one half, confirm them on the other."""
    limits = cast(WeakSegment, case.limits[CODE])
    if case.space.layout == "image" and case.mended.groups is None:
        return CheckResult.not_applicable("the features have no columns that segments could be made of")
    field = arena(case)
    if isinstance(field, str):
        return CheckResult.inconclusive(field)
    if len(field.validation) < 2 * limits.min_rows:
        return CheckResult.inconclusive(f"{len(field.validation)} of {2 * limits.min_rows} validation rows")
    segments = found(field, limits)
    if not segments:
        return _nothing(field, limits)
    trials = _trials(case, field, segments, limits)
    weak = _confirmed(trials, limits)
    if weak:
        return _told(case, field, weak, trials, limits)
    hard = _hard(trials, limits)
    if hard is None:
        return _nothing(field, limits)
    finding = _finding(case, field, [hard], limits, Severity.INFO)
    return CheckResult(
        Outcome.PASS,
        "the worst segment is hard for a simple learner too",
        finding=finding,
        ranks=False,
        smallest_visible_effect=_nothing(field, limits).smallest_visible_effect,
    )


def found(field: Arena, limits: WeakSegment) -> list[Segment]:
    """The worst segments on the half that finds: where the rival gains most, and where the model errs most."""
    half, rows, groups = field.finding, field.validation.rows, field.validation.groups
    candidates = simple_segments(field.columns, field.train.rows, field.train.groups)
    here = field.validation.at(half)
    gains = field.rival.minus(field.model)
    min_leaf = max(limits.min_rows // 2, 1)
    for loss in (-field.model.fair[half], gains.fair[half]):
        candidates += leaves(field.columns, here.rows, here.groups, loss, min_leaf)
    inside = masks(field, candidates, rows, groups)
    counts, confirming = inside.sum(axis=0), inside[~half].sum(axis=0)
    large = (counts >= limits.min_rows) & (confirming >= limits.min_rows // 2) & (counts <= MAX_SHARE * len(inside))
    deficits = _z(-field.model.fair[half], inside[half])
    excesses = _z(gains.fair[half], inside[half])
    orders = (np.minimum(deficits, excesses), deficits)
    chosen: list[int] = []
    for score in orders:
        for place in np.argsort(-score, kind="stable"):
            if len(chosen) >= limits.max_segments or not score[place] > MIN_Z:
                break
            if large[place] and not any(_alike(inside[:, place], inside[:, other]) for other in chosen):
                chosen.append(int(place))
    return [candidates[place] for place in chosen]


def _z(values: Array, inside: Array) -> Array:
    """(segments,) how many standard errors the mean inside lies above the mean outside; 0 where a side is empty."""
    n, weights = len(values), inside.astype(float)
    counts = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        within, without = values @ weights / counts, values @ (1 - weights) / (n - counts)
        z = (within - without) / (values.std() * np.sqrt(1 / counts + 1 / (n - counts)))
    return np.asarray(np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0))


def _alike(one: Array, other: Array) -> bool:
    return bool((one & other).sum() > SAME_ROWS * (one | other).sum())


def _trials(case: Case, field: Arena, segments: list[Segment], limits: WeakSegment) -> list[Trial]:
    """Each segment against each rival, on the half that confirms."""
    rows, train_rows = ~field.finding, ~field.finding_train
    trials = [on_same_rows(field, one, field.rival, "trained like the model", rows) for one in segments]
    home = masks(field, segments, field.train.rows, field.train.groups)[train_rows].sum(axis=0)
    trials += [
        at_home(field, one, rows, train_rows)
        for one, count in zip(segments, home, strict=True)
        if count >= limits.min_rows // 2
    ]
    if _confirmed(trials, limits) or _hard(trials, limits) is None:
        return trials
    rival = fitted_on_validation(case, field)
    if rival is None:
        return trials
    return trials + [on_same_rows(field, one, rival, "fitted on the validation rows", rows) for one in segments]


def _confirmed(trials: list[Trial], limits: WeakSegment) -> list[Trial]:
    """The trials in which the model is weak, the surest first."""
    q_values = benjamini_hochberg(np.array([trial.p_value for trial in trials]))
    weak = [
        (trial.p_value, place)
        for place, (trial, q) in enumerate(zip(trials, q_values, strict=True))
        if q < MAX_Q and trial.is_weak(limits.min_deficit, limits.min_excess)
    ]
    return [trials[place] for _, place in sorted(weak)]


def _hard(trials: list[Trial], limits: WeakSegment) -> Trial | None:
    """The segment of the largest sure deficit, whoever is to blame."""
    q_values = benjamini_hochberg(np.array([trial.deficit.p_value for trial in trials]))
    sure = [
        t for t, q in zip(trials, q_values, strict=True) if q < MAX_Q and t.deficit.interval[0] > limits.min_deficit
    ]
    return max(sure, key=lambda trial: trial.deficit.interval[0], default=None)


def _nothing(field: Arena, limits: WeakSegment) -> CheckResult:
    """Silence, with the deficit of a quarter of the rows that would have been seen."""
    quarter = (~field.finding).sum() / 4
    spread = float(field.model.fair.std())
    smallest = limits.min_deficit + 2.8 * spread * float(np.sqrt(1 / max(quarter, 1) + 1 / max(3 * quarter, 1)))
    return CheckResult.passed(smallest=smallest, margin=limits.material_deficit)


def _told(case: Case, field: Arena, weak: list[Trial], trials: list[Trial], limits: WeakSegment) -> CheckResult:
    finding = _finding(case, field, weak, limits, Severity.WARNING)
    q_values = benjamini_hochberg(np.array([trial.p_value for trial in trials]))
    q = float(q_values[trials.index(weak[0])])
    finding = finding.model_copy(update={"p_value": weak[0].p_value, "q_value": q})
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=_confirmation(case, field, weak[0]))


def _confirmation(case: Case, field: Arena, trial: Trial) -> Confirmation | None:
    """The simple learner answers the segment in the model's place, on the half that confirms."""
    if trial.rival != "trained like the model":
        return None
    inside = trial.segment.mask(field.columns, field.validation.rows, field.validation.groups)
    before = field.validation.at(~field.finding)
    answers = np.where(inside, field.rival_answers, case.scorer.answers(field.validation.predictions))[~field.finding]
    after = _answering(case, before, answers)
    gain = gain_of(case, before, after, "segment")
    return Confirmation(
        confirmed=gain.interval is not None and gain.interval[0] > 0,
        intervention="let a simple learner answer the rows of the segment in place of the model",
        metric=case.scorer.metric,
        before=case.score(before),
        after=case.score(after),
        gain_interval=gain.interval,
        n=len(before),
    )


def _answering(case: Case, subject: Subject, answers: Array) -> Subject:
    given = Predictions(answers, None, None) if case.is_regression else Predictions(None, None, answers)
    return replace(subject, predictions=given)


def _finding(case: Case, field: Arena, told: list[Trial], limits: WeakSegment, severity: Severity) -> Finding:
    trial = told[0]
    inside = trial.segment.mask(field.columns, field.validation.rows, field.validation.groups)
    return Finding(
        code=CODE,
        family="metrics",
        severity=severity,
        title="A segment fares worse than the rest" if severity is Severity.WARNING else "A segment is hard",
        summary=_summary(case, trial, float(inside.mean()), severity),
        effect=Effect(
            name="deficit_of_the_segment",
            estimate=trial.deficit.estimate,
            interval=trial.deficit.interval,
            limit=limits.min_deficit,
        ),
        n=int(inside.sum()),
        affected=Affected(
            columns=[name for name in trial.segment.columns if name != case.request.data.name_of("group")],
            rows=[int(row) for row in field.validation.index[inside][:MAX_ROWS_NAMED]],
            share_of_rows=float(inside.mean()),
        ),
        evidence={
            "segment": str(trial.segment),
            "measure": _measure(case),
            "confirmed_on_rows": int((~field.finding).sum()),
            "compared_with": f"a simple learner, {trial.rival}",
            **_numbers(case, trial),
            "tree": _tree(case, field, told),
            "other_segments": [
                {"segment": str(other.segment), **_numbers(case, other)}
                for other in told[1:]
                if other.segment != trial.segment
            ],
        },
        remedy=_remedy(case, trial, inside),
    )


def _numbers(case: Case, trial: Trial) -> dict[str, object]:
    shown = {"inside": trial.inside, "outside": trial.outside, "simple_learner_inside": trial.rival_inside}
    shift = 1.0 if case.is_regression else 0.0
    return {
        name: {
            "estimate": shift + one.estimate,
            "interval": [shift + one.interval[0], min(1.0, shift + one.interval[1])],
        }
        for name, one in shown.items()
    }


def _tree(case: Case, field: Arena, told: list[Trial]) -> list[dict[str, JsonValue]]:
    """The segments as branches below all rows, parents first, on the half that confirms; the worst has rank 1."""
    paths = list(dict.fromkeys(trial.segment.conditions for trial in told))[:MAX_BRANCHES]
    return [_node(case, field, path, paths.index(path) + 1 if path in paths else None) for path in _prefixes(paths)]


def _prefixes(paths: list[tuple[Condition, ...]]) -> list[tuple[Condition, ...]]:
    """Every node of the tree once, parents first, and what they share only there."""
    ordered: list[tuple[Condition, ...]] = [()]
    for path in paths:
        for end in range(1, len(path) + 1):
            if path[:end] not in ordered:
                below = [place for place, one in enumerate(ordered) if one[: end - 1] == path[: end - 1]]
                ordered.insert(max(below) + 1, path[:end])
    return ordered


def _node(case: Case, field: Arena, path: tuple[Condition, ...], rank: int | None) -> dict[str, JsonValue]:
    shift = 1.0 if case.is_regression else 0.0
    rows = Segment(path).mask(field.columns, field.validation.rows, field.validation.groups) & ~field.finding
    measured = field.model.mean(rows)
    low, high = measured.interval
    return {
        "rule": str(path[-1]) if path else "all rows",
        "depth": len(path),
        "rows": int(rows.sum()),
        "estimate": shift + measured.estimate,
        "interval": [shift + low, min(1.0, shift + high)],
        "rank": rank,
    }


def _measure(case: Case) -> str:
    if case.is_regression:
        return "1 - squared error / variance of all targets"
    return "share of right answers"


def _summary(case: Case, trial: Trial, share: float, severity: Severity) -> str:
    shift, what = (1.0, "R2 is") if case.is_regression else (0.0, "the share of right answers is")
    inside, outside, rival = (shift + one.estimate for one in (trial.inside, trial.outside, trial.rival_inside))
    low, high = (shift + end for end in trial.inside.interval)
    text = (
        f"Where {trial.segment} ({share:.0%} of the validation rows), {what} {inside:.2f} "
        f"[{low:.2f}, {min(1.0, high):.2f}], elsewhere {outside:.2f}"
    )
    if severity is Severity.INFO:
        return f"{text}; a simple learner, {trial.rival}, reaches {rival:.2f} there: the rows are hard."
    return f"{text}; a simple learner, {trial.rival}, reaches {rival:.2f} there."


def _remedy(case: Case, trial: Trial, inside: Array) -> Remedy:
    weight = round(float(min(MAX_WEIGHT, max(1.0, (~inside).sum() / max(1, inside.sum())))), 2)
    text = (
        f"Look at the rows where {trial.segment}: their labels, their source, how many the training data hold. "
        "Report the metric of this segment next to the overall one, and train with more of these rows, or with "
        "more weight on them."
    )
    positions = {name: place for place, name in enumerate(case.space.units)}
    expression = trial.segment.code(table=case.space.layout == "table", positions=positions)
    metric = "r2_score" if case.is_regression else "accuracy_score"
    code = (
        "import numpy as np\n"
        f"from sklearn.metrics import {metric}\n\n"
        f"WEIGHT = {weight}  # of a row of the segment in training\n\n"
        "def segment(features):\n"
        f"    return np.asarray({expression})\n\n"
        "def segment_metric(features, labels, answers):\n"
        "    inside = segment(features)\n"
        f'    return {{"inside": {metric}(labels[inside], answers[inside]), '
        f'"outside": {metric}(labels[~inside], answers[~inside])}}\n\n'
        "def sample_weights(features):\n"
        "    return np.where(segment(features), WEIGHT, 1.0)\n"
    )
    return Remedy(text=text, code=code)
