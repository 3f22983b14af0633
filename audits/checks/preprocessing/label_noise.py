"""A material share of the labels is wrong.

What it measures: how much more often the labels of one split contradict control learners that have not seen them than
    the labels of the other split do, among rows of which the learners are equally sure: once for a learner from the
    training rows, once for one from the validation rows. Both must point to the same split, and so must the rows of
    which they are surest. In a regression, a label contradicts a learner from four robust deviations on. Also whether
    the labels of one split belong to their rows at all: whether they go with the answers of a learner from the other
    split, and teach a learner what as many rows of the other split teach; and whether they fit when they are read a few
    rows further up or down.
Why it matters: wrong training labels are learned, or keep the model from learning; with wrong validation labels the
    metric punishes right answers.
When it is inconclusive: too few rows for a learner on either side; the learners err too often even where they are
    sure; the rows of the splits differ. Mistakes that both splits share, and those among rows that are hard anyway,
    cannot be told from honest overlap and are not seen.
How to fix: look at the rows that are named, the most suspicious first, and correct or drop them; train again where
    training labels were wrong.
Reference: Northcutt, Jiang & Chuang, 2021, https://doi.org/10.1613/jair.1.12125; Northcutt, Athalye & Mueller, 2021,
    https://arxiv.org/abs/2103.14749
"""

from typing import cast

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence import control
from audits.evidence.case import Case, ControlMatrix, Subject, control_encoder
from audits.evidence.detachment import Detachment, detachment
from audits.evidence.disagreement import Excess, Suspects, excess_disagreement, suspicious
from audits.evidence.gap import shift_auc
from audits.evidence.scoring import quantile_interval
from audits.repairs.protocol import gain_of
from audits.repairs.snippets import constant
from audits.results import CheckResult
from audits.statistics import resampling
from schemas.limits.preprocessing import LabelNoise
from schemas.report import Affected, Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.label_noise"
MAX_LISTED = 100
REFITS = 3
# Rows by which labels are looked for further down or up, and what of the lost metric must come back.
ROWS_AWAY = (1, -1, 2, -2, 3, -3)
MIN_RECOVERY = 0.5
SEEN_IN_ONE = "only what one split has more of than the other can be seen"


def label_noise(case: Case) -> CheckResult:
    """Labels that contradict the learners, row by row; else labels that belong to other rows altogether."""
    result = _contradicted(case)
    limits = cast(LabelNoise, case.limits[CODE])
    if case.control.reason is not None or _shifted_rows(case, limits):
        return result
    detached = detachment(case, case.control)
    if detached is None or (result.finding is not None and not _is_more(case, detached, result.finding)):
        return result
    return _belongs_elsewhere(case, detached, limits)


def _is_more(case: Case, detached: Detachment, contradicted: Finding) -> bool:
    """Whether twice as many quantities were shuffled as contradict a learner grossly; a wrong class always does."""
    interval = None if contradicted.effect is None else contradicted.effect.interval
    return case.is_regression and interval is not None and detached.low > 2 * interval[1]


def _contradicted(case: Case) -> CheckResult:
    """Hold the contrast against its margin, then drop the suspicious rows and see whether it helps."""
    limits = cast(LabelNoise, case.limits[CODE])
    matrix = case.control
    if matrix.reason is not None:
        return CheckResult.inconclusive(matrix.reason)
    excess = excess_disagreement(case, matrix)
    if excess is None:
        return CheckResult.inconclusive("validation data: too few rows of a class for a control learner")
    half = (excess.interval[1] - excess.interval[0]) / 2
    if excess.interval[0] <= limits.min_rate or not excess.agrees:
        if excess.sure_agreement < limits.min_sure_agreement:
            return CheckResult.inconclusive(
                f"where it is sure, a control learner agrees with {excess.sure_agreement:.0%} of the labels: a wrong "
                "label and a hard row look alike"
            )
        return CheckResult.passed(smallest=limits.min_rate + half, margin=limits.material_rate, reason=SEEN_IN_ONE)
    doubt = _doubt(case, excess, limits)
    if doubt is not None:
        return CheckResult.inconclusive(doubt)
    if excess.split == "train":
        confirmation, recovered = _refitted(case, matrix, excess), None
    else:
        confirmation, recovered = _left_out(case, matrix)
    return _result(case, matrix, excess, confirmation, recovered, limits)


def _doubt(case: Case, excess: Excess, limits: LabelNoise) -> str | None:
    """What else would look like this, or None."""
    if excess.sure_agreement < limits.min_sure_agreement or excess.sure_low <= 0:
        return f"{excess.estimate:.0%} of the labels contradict the learners, but not where the learners are sure"
    if excess.among_sure < limits.min_sure_share * excess.estimate:
        return (
            f"{excess.estimate:.0%} of the labels contradict the learners, but {max(excess.among_sure, 0):.0%} where "
            "they are sure: the rows are harder, not mislabelled"
        )
    return _shifted_rows(case, limits)


def _shifted_rows(case: Case, limits: LabelNoise) -> str | None:
    """That the rows of the splits differ, so that rows, not labels, may be to blame; or None."""
    shift = shift_auc(case)
    if shift is not None and shift[1][0] > limits.max_shift_auc:
        return f"the rows of the splits differ (two-sample AUC {shift[0]:.2f}); see preprocessing.distribution_shift"
    return None


def _belongs_elsewhere(case: Case, detached: Detachment, limits: LabelNoise) -> CheckResult:
    """Labels that do not belong to their rows, and the place where they do, if it is a few rows away."""
    split = "training" if detached.split == "train" else "validation"
    moved = _moved_back(case) if detached.split == "validation" else None
    summary = (
        f"About {detached.share:.0%} of the {split} labels (at least {detached.low:.0%}) do not belong to their rows: "
        f"a learner from the other split finds them unrelated, and a learner fitted on them reaches "
        f"{detached.own.estimate:.2f}, where as many rows of the other split teach it {detached.taught.estimate:.2f} "
        "(0 is chance, 1 perfect)."
    )
    explanation = summary
    if moved is not None:
        confirmation, recovered = moved
        explanation += (
            f" When we {confirmation.intervention}, {case.scorer.title} goes from {confirmation.before:.2f} to "
            f"{confirmation.after:.2f}."
        )
    else:
        recovered = None
        confirmation = Confirmation(
            confirmed=True,
            intervention="none, for what belongs where is not to be had back; a learner was fitted on as many rows of "
            "the other split instead",
            metric="rank_correlation" if case.is_regression else "balanced_accuracy_above_chance",
            before=detached.own.estimate,
            after=detached.taught.estimate,
            n=len(case.mended),
            by_exclusion=True,
        )
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.CRITICAL if detached.low > limits.critical_rate else Severity.WARNING,
        title=f"The {split} labels do not belong to their rows",
        summary=summary,
        effect=Effect(
            name="share_of_wrong_labels", estimate=detached.share, interval=(detached.low, 1.0), limit=limits.min_rate
        ),
        n=len(case.mended),
        affected=Affected(share_of_rows=detached.share),
        evidence={"split": detached.split, "control_learner": dict(case.control.scores)},
        remedy=Remedy(
            text=f"Look at how features and labels of the {split} data were joined, sorted or shuffled: join them by a "
            "key, and shuffle both by one order. Then "
            + ("train again." if split == "training" else "judge the model again; it may be better than it looks.")
        ),
    )
    return CheckResult(
        Outcome.FAIL, finding=finding, confirmation=confirmation, recovered=recovered, explanation=explanation
    )


def _moved_back(case: Case) -> tuple[Confirmation, Estimate] | None:
    """The labels read a few rows further up or down, where that brings the model back; None elsewhere."""
    subject, labels = case.mended, case.validation.labels
    if not np.array_equal(labels[subject.index], subject.labels):
        return None  # they were mended before
    moved = {k: subject.with_labels(np.roll(labels, -k)[subject.index]) for k in ROWS_AWAY}
    scores = {k: case.score(one) for k, one in moved.items()}
    best = max(scores, key=lambda k: scores[k])
    before = case.score(subject)
    if scores[best] - before < MIN_RECOVERY * (case.train_score[0] - before):
        return None
    gain = gain_of(case, subject, moved[best], "labels moved back")
    placebo = max(score for k, score in scores.items() if k != best) - before
    if gain.interval is None or gain.interval[0] <= max(placebo, 0.0):
        return None
    direction = "down" if best > 0 else "up"
    confirmation = Confirmation(
        confirmed=True,
        intervention=f"read every validation label from {abs(best)} row{'s' * (abs(best) > 1)} further {direction}",
        metric=case.scorer.metric,
        before=before,
        after=scores[best],
        gain_interval=gain.interval,
        placebo_gain=placebo,
        n=len(subject),
    )
    return confirmation, gain


def _result(
    case: Case,
    matrix: ControlMatrix,
    excess: Excess,
    confirmation: Confirmation,
    recovered: Estimate | None,
    limits: LabelNoise,
) -> CheckResult:
    low, high = excess.interval
    split = "training" if excess.split == "train" else "validation"
    suspects = suspicious(case, matrix, excess.split, "both")
    subject = cast(Subject, matrix.train if excess.split == "train" else matrix.validation)
    named = suspects.order[: max(1, round(excess.estimate * len(subject)))][:MAX_LISTED]
    summary = (
        f"About {excess.estimate:.0%} of the {split} labels are wrong ({low:.0%} to {high:.0%}): learners from either "
        f"split, which have not seen them, contradict them, and agree with the other split's labels."
    )
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.CRITICAL if low > limits.critical_rate else Severity.WARNING,
        title=f"Many {split} labels are wrong",
        summary=summary,
        effect=Effect(
            name="share_of_wrong_labels", estimate=excess.estimate, interval=excess.interval, limit=limits.min_rate
        ),
        n=len(subject),
        affected=Affected(
            split=excess.split,
            rows=[int(i) for i in subject.index[named]],
            share_of_rows=min(1.0, excess.estimate),
        ),
        evidence={
            "rows": _listed(case, subject, suspects, named),
            "by_learner": {f"fitted_on_{name}": value for name, value in excess.by_learner.items()},
            "among_sure_rows": excess.among_sure,
            "agreement_of_sure_rows_elsewhere": excess.sure_agreement,
            "control_learner": dict(matrix.scores),
            "contradicted_rows": len(suspects.order),
        },
        remedy=_remedy(case, [int(i) for i in subject.index[named]], split),
    )
    first = (
        " The model was trained on them; it cannot be mended without training anew."
        if excess.split == "train"
        else f" Without the contradicted rows, {case.scorer.title} is {confirmation.after:.2f} instead of "
        f"{confirmation.before:.2f}."
    )
    return CheckResult(
        Outcome.FAIL,
        finding=finding,
        confirmation=confirmation,
        recovered=recovered if confirmation.confirmed else None,
        explanation=summary + first,
    )


def _listed(case: Case, subject: Subject, suspects: Suspects, named: Array) -> list[JsonValue]:
    names = case.labels.names
    rows: list[JsonValue] = []
    for at, suggested in zip(named, suspects.suggested, strict=False):
        given = subject.labels[at]
        rows.append(
            {
                "row": int(subject.index[at]),
                "given": float(given) if case.is_regression else names[int(given)],
                "suggested": float(suggested) if case.is_regression else names[int(suggested)],
            }
        )
    return rows


def _refitted(case: Case, matrix: ControlMatrix, excess: Excess) -> Confirmation:
    """Drop the suspicious training rows and fit the control learner again; its loss on the validation rows falls.

    The rows are chosen without any validation label; the placebos drop as many rows at random.
    """
    train, validation = cast(Subject, matrix.train), cast(Subject, matrix.validation)
    suspects = suspicious(case, matrix, "train", "own")
    dropped = suspects.order[: round(excess.estimate * len(train))]
    encode = control_encoder(case, train.rows)
    features = encode(train.rows), encode(validation.rows)
    rng = case.rng("label noise placebo")

    def losses(without: Array) -> Array:
        kept = np.setdiff1d(np.arange(len(train)), without)
        outputs = control.refitted(
            matrix.learner, features[0][kept], train.labels[kept], features[1], classes=case.labels.n_classes
        )
        return control.losses(validation.labels, outputs)

    before = losses(np.empty(0, dtype=np.int64))
    gain = before - losses(dropped)
    placebo = max(
        float((before - losses(rng.choice(len(train), len(dropped), replace=False))).mean()) for _ in range(REFITS)
    )
    chunks = resampling.count_chunks(len(gain), case.rng("label noise"), groups=validation.groups)
    low, high = quantile_interval(np.concatenate([counts @ gain / counts.sum(axis=1) for counts in chunks]))
    mean = float(gain.mean())
    return Confirmation(
        confirmed=low > 0 and mean > placebo,
        intervention=f"drop the {len(dropped)} most suspicious training rows, chosen without validation labels, and "
        "fit the control learner again (the gain is the fall of its loss; the model would have to be trained anew)",
        metric="squared_error_of_the_control_learner" if case.is_regression else "log_loss_of_the_control_learner",
        higher_is_better=False,
        before=float(before.mean()),
        after=float(before.mean()) - mean,
        gain_interval=(low, high),
        placebo_gain=placebo,
        n=len(validation),
    )


def _left_out(case: Case, matrix: ControlMatrix) -> tuple[Confirmation, Estimate]:
    """Leave out the contradicted validation rows, and the same rows of the training split, whose labels are good.

    Leaving out contradicted rows raises any metric a little; what it gains on the training rows is the placebo.
    """
    validation, train = cast(Subject, matrix.validation), cast(Subject, matrix.train)
    kept = [_kept(case, matrix, "validation", len(validation)), _kept(case, matrix, "train", len(train))]
    gain = _gain_of_leaving_out(case, validation, kept[0])
    placebo = cast(float, _gain_of_leaving_out(case, train, kept[1]).estimate)
    before = case.score(validation)
    low = cast("tuple[float, float]", gain.interval)[0]
    return Confirmation(
        confirmed=low > max(placebo, 0.0),
        intervention=f"leave out the {int((~kept[0]).sum())} validation rows whose labels both learners contradict",
        metric=case.scorer.metric,
        before=before,
        after=before + cast(float, gain.estimate),
        gain_interval=gain.interval,
        placebo_gain=placebo,
        n=len(validation),
    ), gain


def _kept(case: Case, matrix: ControlMatrix, split: str, n: int) -> Array:
    suspects = suspicious(case, matrix, "train" if split == "train" else "validation", "both")
    kept = np.ones(n, dtype=bool)
    kept[suspects.order] = False
    return kept


def _gain_of_leaving_out(case: Case, subject: Subject, kept: Array) -> Estimate:
    def gain(weights: Array, y: Array, a: Array, stays: Array) -> Array:
        return case.scorer.score_answers(y, a, weights * stays) - case.scorer.score_answers(y, a, weights)

    columns = (subject.labels, case.scorer.answers(subject.predictions), kept)
    draws = case.scorer.resample(columns, gain, case.rng("left out"), subject.groups)
    point = float(gain(np.ones((1, len(subject))), *columns)[0])
    return Estimate(estimate=point, interval=quantile_interval(draws), n=len(subject))


def _remedy(case: Case, rows: list[int], split: str) -> Remedy:
    text = (
        f"Look at the named {split} rows, the most suspicious first, and correct or drop those that are wrong; find "
        "out who or what wrote them. Then "
        + ("train again." if split == "training" else "judge the model again; it may be better than it looks.")
    )
    if case.is_regression:
        body = (
            "    held_out = cross_val_predict(RandomForestRegressor(random_state=0), x, y, cv=5)\n"
            "    return np.argsort(-np.abs(y - held_out))\n"
        )
        learner = "RandomForestRegressor"
    else:
        body = (
            "    p = cross_val_predict(RandomForestClassifier(random_state=0), x, y, cv=5, method='predict_proba')\n"
            "    at = np.arange(len(y))\n"
            "    given = np.searchsorted(np.unique(y), y)\n"
            "    own = p[at, given]\n"
            "    p[at, given] = 0\n"
            "    return np.argsort(own - p.max(axis=1))\n"
        )
        learner = "RandomForestClassifier"
    code = (
        "import numpy as np\n"
        f"from sklearn.ensemble import {learner}\n"
        "from sklearn.model_selection import cross_val_predict\n\n"
        + constant(f"SUSPICIOUS_{split.upper()}_ROWS", rows[:50])
        + "def most_suspicious_first(x: np.ndarray, y: np.ndarray) -> np.ndarray:\n"
        '    """Row numbers by how strongly a learner that has not seen the label contradicts it."""\n' + body
    )
    return Remedy(text=text, code=code)
