"""The classes have other shares in validation than in training.

What it measures: the odds of each class in both splits, after all proven faults were repaired, with simultaneous
    intervals; the shares that the model's answers give without any label (maximum likelihood, and the training
    confusion inverted), which must tell the same; accuracy, precision and log loss at the training shares, by
    weighting the validation rows; and the log loss after the probabilities were corrected for the shares, estimated
    without labels.
Why it matters: recall keeps its value when a class becomes rare, precision does not, and the probabilities of a model
    that was trained at other shares are wrong by a known factor. Numbers that depend on the shares cannot be compared
    between the splits.
When it is inconclusive: fewer than `min_rows` rows with a known class, or so few of a class that odds several times
    as large would not be seen.
How to fix: correct the probabilities by the ratio of the shares, choose the threshold anew, and compare balanced
    accuracy or the ROC AUC. Draw validation data at the shares of use.
Reference: Saerens, Latinne & Decaestecker, 2002, https://doi.org/10.1162/089976602753284446; Lipton, Wang & Smola,
    2018, https://arxiv.org/abs/1802.03916; Elkan, 2001, https://dl.acm.org/doi/10.5555/1642194.1642224
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.gap import shift_auc
from audits.evidence.labels import UNKNOWN
from audits.evidence.scoring import quantile_interval
from audits.evidence.shares import Change, Shares, Told
from audits.repairs.snippets import constant
from audits.results import CheckResult
from audits.statistics import metrics, priors, resampling
from schemas.limits.preprocessing import DistributionShift, PriorShift
from schemas.report import Affected, Confirmation, Effect, Estimate, Finding, Outcome, Remedy, Severity

CODE = "preprocessing.prior_shift"
PLACEBOS = 19
# Of the move of the answers, this share must be gone when the rows are weighted to the training shares.
EXPLAINED = 0.5
MAX_CLASSES_LISTED = 50


def prior_shift(case: Case) -> CheckResult:
    """Compare the class shares, then ask what the difference changes."""
    limits = cast(PriorShift, case.limits[CODE])
    if case.is_regression:
        return CheckResult.not_applicable("a regression has no classes")
    shares = Shares.of(case)
    for split, counts in (("training", shares.train), ("validation", shares.validation)):
        if counts.sum() < limits.min_rows:
            return CheckResult.inconclusive(f"{int(counts.sum())} of {limits.min_rows} {split} rows")
    change = shares.largest()
    if change.low <= limits.min_odds_ratio:
        visible = limits.min_odds_ratio * change.width
        return CheckResult.passed(smallest=visible, margin=limits.large_odds_ratio)
    subject = case.mended.at(np.asarray((case.mended.labels != UNKNOWN) & case.mended.predictions.answered))
    if len(subject) < limits.min_rows:
        return CheckResult.inconclusive(f"the model answers {len(subject)} of {len(case.mended)} validation rows")
    told = Told.of(case, shares, subject)
    seen = _Seen(subject, shares, change, told, _costs(case, shares, subject), _correction(case, shares, told, subject))
    return _result(case, seen, limits)


@dataclass(frozen=True)
class _Cost:
    """A metric at the validation shares, at the training shares, and the difference with its interval."""

    as_is: float
    at_training: float
    interval: tuple[float, float]

    def is_material(self, margin: float) -> bool:
        return self.interval[0] > margin or self.interval[1] < -margin

    def as_json(self) -> dict[str, JsonValue]:
        return {"as_is": self.as_is, "at_training_shares": self.at_training, "difference": list(self.interval)}


def _costs(case: Case, shares: Shares, subject: Subject) -> dict[str, _Cost]:
    """Metrics that depend on the shares, with the validation rows weighted to the training shares."""
    labels, classes = subject.labels, case.labels.n_classes
    decisions, probabilities = (
        cast("Array", part) for part in (subject.predictions.decisions, subject.predictions.probabilities)
    )
    if (shares.validation[shares.train > 0] == 0).any():
        return {}
    ratio = np.divide(shares.source, shares.target, out=np.zeros(classes), where=shares.target > 0)
    weights = ratio[labels]

    def scored(w: Array) -> dict[str, Array]:
        values = {
            "accuracy": metrics.accuracy(labels, decisions, w),
            "macro_precision": np.nanmean(np.atleast_2d(metrics.precision(labels, decisions, classes, w)), axis=-1),
        }
        if case.meaning.kind != "class":
            values["log_loss"] = metrics.log_loss(probabilities, labels, w)
        return {name: np.atleast_1d(value) for name, value in values.items()}

    one = np.ones((1, len(labels)))
    as_is, at_training = scored(one), scored(one * weights)
    draws: dict[str, list[Array]] = {name: [] for name in as_is}
    for counts in resampling.count_chunks(
        len(labels), case.rng("prior shift"), n_resamples=500, groups=subject.groups, strata=labels
    ):
        plain, moved = scored(counts), scored(counts * weights)
        for name, parts in draws.items():
            parts.append(moved[name] - plain[name])
    return {
        name: _Cost(float(as_is[name][0]), float(at_training[name][0]), quantile_interval(np.concatenate(parts)))
        for name, parts in draws.items()
    }


@dataclass(frozen=True)
class _Correction:
    """Log loss before and after the probabilities are corrected to shares estimated without labels."""

    before: float
    after: float
    gain: Estimate
    placebo: float

    @property
    def confirmed(self) -> bool:
        low = cast("tuple[float, float]", self.gain.interval)[0]
        return low > 0 and cast(float, self.gain.estimate) > self.placebo


def _correction(case: Case, shares: Shares, told: Told, subject: Subject) -> _Correction | None:
    """The placebo deals the ratios of the shares to the classes at random, for every row anew."""
    if told.likelihood is None:
        return None
    probabilities = cast("Array", subject.predictions.probabilities)
    labels, at = subject.labels, np.arange(len(subject))

    def losses(p: Array) -> Array:
        return np.asarray(-np.log(np.clip(p[at, labels], metrics.SMALLEST_PROBABILITY, 1.0)))

    before = losses(probabilities)
    gain = before - losses(priors.corrected(probabilities, told.likelihood, shares.source))
    chunks = resampling.count_chunks(len(labels), case.rng("prior correction"), groups=subject.groups, strata=labels)
    draws = np.concatenate([counts @ gain / counts.sum(axis=1) for counts in chunks])
    rng = case.rng("prior placebo")
    ratio = np.tile(told.likelihood / shares.source, (len(labels), 1))
    placebos = []
    for _ in range(PLACEBOS):
        dealt = probabilities * rng.permuted(ratio, axis=1)
        placebos.append(float((before - losses(dealt / np.maximum(dealt.sum(axis=1, keepdims=True), 1e-300))).mean()))
    estimate = Estimate(estimate=float(gain.mean()), interval=quantile_interval(draws), n=len(labels))
    return _Correction(float(before.mean()), float(before.mean() - gain.mean()), estimate, max(placebos))


@dataclass(frozen=True)
class _Seen:
    """All that was measured."""

    subject: Subject
    shares: Shares
    change: Change
    told: Told
    costs: dict[str, _Cost]
    correction: _Correction | None

    def quiet(self, case: Case, limits: PriorShift) -> str | None:
        """Why the shift is only worth a mention, or None."""
        if not self.told.agrees(self.shares):
            return "the model's answers do not show it: the labels may be to blame, or the model"
        shift, least = shift_auc(case), cast(DistributionShift, case.limits["preprocessing.distribution_shift"]).min_auc
        if shift is not None and shift[1][0] > least:
            return "rows of the same class differ too; see preprocessing.distribution_shift"
        costly = any(cost.is_material(limits.min_cost) for cost in self.costs.values())
        corrected = self.correction is not None and self.correction.confirmed
        if self.change.difference > limits.certain_difference or costly or corrected:
            return None
        return "the shares differ, and no cost to a metric could be shown"


def _result(case: Case, seen: _Seen, limits: PriorShift) -> CheckResult:
    shares, told, change, costs = seen.shares, seen.told, seen.change, seen.costs
    names, k, quiet = case.labels.names, change.k, seen.quiet(case, limits)
    summary = (
        f"Class {names[k]} makes up {shares.source[k]:.1%} of the training rows and {shares.target[k]:.1%} of the "
        f"validation rows (odds {change.factor:.1f} times apart)."
    )
    if told.agrees(shares):
        summary += f" The model's answers alone, without a label, give {cast('Array', told.best)[k]:.1%}."
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.WARNING if quiet is None else Severity.INFO,
        title="The class shares differ between the splits",
        summary=summary,
        effect=Effect(
            name="odds_ratio",
            estimate=change.factor,
            interval=(change.low, change.factor * change.width),
            limit=limits.min_odds_ratio,
        ),
        n=int(shares.validation.sum()),
        affected=Affected(share_of_rows=1.0),
        evidence={
            "shares": {name: _told_of(shares, told, i) for i, name in enumerate(names[:MAX_CLASSES_LISTED])},
            "metrics": {name: cost.as_json() for name, cost in costs.items()},
            "balanced_accuracy": case.score(case.mended),
        },
        remedy=_remedy(case, shares),
    )
    return CheckResult(
        Outcome.PASS if quiet else Outcome.FAIL,
        quiet,
        finding=finding,
        confirmation=_confirmation(case, seen) if quiet is None else None,
        explanation=summary + _sentence(costs, seen.correction),
        ranks=quiet is None,
    )


def _told_of(shares: Shares, told: Told, k: int) -> dict[str, JsonValue]:
    return {
        "training": float(shares.source[k]),
        "validation": float(shares.target[k]),
        "told_by_likelihood": None if told.likelihood is None else float(told.likelihood[k]),
        "told_by_confusion": None if told.confusion is None else float(told.confusion[k]),
    }


def _confirmation(case: Case, seen: _Seen) -> Confirmation:
    """Correct the probabilities; where that is not certain to gain, undo the shift and look at the answers again."""
    correction = seen.correction
    if correction is not None and correction.confirmed:
        return Confirmation(
            confirmed=True,
            intervention="correct the probabilities by the ratio of the class shares, those of validation estimated "
            "from the answers without labels (the gain is the fall of the loss)",
            metric="log_loss",
            higher_is_better=False,
            before=correction.before,
            after=correction.after,
            gain_interval=correction.gain.interval,
            placebo_gain=correction.placebo,
            n=len(seen.subject),
        )
    return _answers_brought_back(case, seen.shares, seen.subject)


def _answers_brought_back(case: Case, shares: Shares, subject: Subject) -> Confirmation:
    """How far the model's answers moved between the splits, and what is left with the rows at the training shares."""
    classes = case.labels.n_classes
    train = case.train.sample.predictions
    given = cast("Array", train.decisions)[train.answered]
    reference = np.bincount(given, minlength=classes) / max(1, len(given))
    answers = np.eye(classes)[cast("Array", subject.predictions.decisions)]
    ratio = np.divide(shares.source, shares.target, out=np.zeros(classes), where=shares.target > 0)
    weights = ratio[subject.labels]

    def moved(w: Array) -> Array:
        shares_of = (w @ answers) / np.maximum(w.sum(axis=1, keepdims=True), 1e-300)
        return np.asarray(np.abs(shares_of - reference).sum(axis=1) / 2)

    one = np.ones((1, len(subject)))
    before, after = float(moved(one)[0]), float(moved(one * weights)[0])
    rng = case.rng("answers")
    chunks = resampling.count_chunks(len(subject), rng, groups=subject.groups)
    low, high = quantile_interval(np.concatenate([moved(c) - moved(c * weights) for c in chunks]))
    placebo = max(before - float(moved(one * rng.permutation(weights))[0]) for _ in range(PLACEBOS))
    return Confirmation(
        confirmed=low > 0 and before - after > placebo and after < (1 - EXPLAINED) * before,
        intervention="weight the validation rows to the class shares of training and compare how often the model "
        "answers each class (the gain is the fall of the distance to its answers in training)",
        metric="distance_of_answers",
        higher_is_better=False,
        before=before,
        after=after,
        gain_interval=(low, high),
        placebo_gain=placebo,
        n=len(subject),
    )


def _sentence(costs: dict[str, _Cost], correction: _Correction | None) -> str:
    parts = []
    if "macro_precision" in costs:
        cost = costs["macro_precision"]
        parts.append(
            f" At the training shares, mean precision would be {cost.at_training:.2f} instead of {cost.as_is:.2f}."
        )
    if correction is not None and correction.confirmed:
        parts.append(
            f" With the probabilities corrected for the shares, log loss falls from {correction.before:.3f} to "
            f"{correction.after:.3f}."
        )
    return "".join(parts)


def _remedy(case: Case, shares: Shares) -> Remedy:
    text = (
        "Report balanced accuracy or the ROC AUC, which do not depend on the class shares. Where the validation shares "
        "are those of use, correct the probabilities as below and choose the threshold anew; otherwise draw validation "
        "data at the shares of use."
    )
    names = case.labels.names
    code = (
        "import numpy as np\n\n"
        + constant("CLASSES", names)
        + constant("TRAINING_SHARES", [round(float(s), 6) for s in shares.source])
        + constant("VALIDATION_SHARES", [round(float(s), 6) for s in shares.target])
        + "def corrected(probabilities: np.ndarray) -> np.ndarray:\n"
        '    """(rows, classes), or (rows,) of the second of two classes."""\n'
        "    p = np.asarray(probabilities, dtype=float)\n"
        "    both = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p\n"
        "    source = np.maximum(TRAINING_SHARES, 1e-6)\n"
        "    weighted = both * (np.asarray(VALIDATION_SHARES) / source)\n"
        "    weighted /= weighted.sum(axis=1, keepdims=True)\n"
        "    return weighted[:, 1] if p.ndim == 1 else weighted\n"
    )
    return Remedy(text=text, code=code)
