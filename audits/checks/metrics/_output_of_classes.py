"""Are the numbers of a classifier the probabilities that they are taken for?"""

from dataclasses import replace
from typing import cast

import numpy as np
from scipy.special import logit

from audits.artefacts import Array
from audits.checks.metrics._output import CODE, Mismatch, activation_remedy, answered, given_by, width_of
from audits.evidence.case import Case, Subject
from audits.evidence.outputs import SUM_TOLERANCE
from audits.repairs.protocol import gain_of
from audits.statistics import activations, intervals, metrics
from schemas.limits.metrics import OutputMismatch
from schemas.report import Confirmation, Effect, Remedy, Severity

MISREAD = "Logits are read as probabilities"
_UNDO_SIGMOID = """import numpy as np

def undo_sigmoid(probability: np.ndarray) -> np.ndarray:
    p = np.asarray(probability, dtype='float64')
    return np.clip(np.log(p / (1 - p)), 0, 1)
"""
_UNDO_SOFTMAX = """import numpy as np

def undo_softmax(probabilities: np.ndarray) -> np.ndarray:
    logs = np.log(np.asarray(probabilities, dtype='float64'))
    inner = logs + (1 - logs.sum(axis=1, keepdims=True)) / logs.shape[1]
    inner = np.clip(inner, 0, 1)
    return inner / inner.sum(axis=1, keepdims=True)
"""


def activated_twice(case: Case) -> Mismatch | None:
    """Probabilities that are the sigmoid or the softmax of probabilities."""
    limits = cast(OutputMismatch, case.limits[CODE])
    subjects = answered(case)
    inner = [_inner(case, given_by(subject)) for subject in subjects]
    if case.meaning.kind == "class" or any(part is None for part in inner):
        return None
    gains = [_log_loss_gain(case, s, cast("Array", part)) for s, part in zip(subjects, inner, strict=True)]
    if min(interval[0] for _, interval in gains) <= limits.min_log_loss:
        return None
    validation, probabilities = subjects[1], cast("Array", inner[1])
    after = _with_probabilities(case, validation, probabilities)
    losses = [float(metrics.log_loss(p, validation.labels)) for p in (given_by(validation), probabilities)]
    scores = [case.score(validation), case.score(after)]
    gain = gain_of(case, validation, after, "activated twice")
    moved = cast("tuple[float, float]", gain.interval)[0] > 0
    activation, given = ("sigmoid" if width_of(case) == 1 else "softmax"), given_by(validation)
    also = f", {case.scorer.title} from {scores[0]:.2f} to {scores[1]:.2f}" if moved else ""
    read_as_logits = case.meaning.kind == "logit"
    how = "are read as logits, so that a" if read_as_logits else "went through a second"
    return Mismatch(
        title=f"The {activation} is applied twice",
        summary=f"No probability lies outside {given.min():.3f} to {given.max():.3f}, as where probabilities {how} "
        f"{activation}. When it is undone, the log loss goes from {losses[0]:.2f} to {losses[1]:.2f}{also}.",
        effect=Effect(
            name="log_loss_gained", estimate=gains[1][0], interval=gains[1][1], limit=limits.min_log_loss, unit="nats"
        ),
        evidence={"activation": activation, "smallest": float(given.min()), "largest": float(given.max())},
        remedy=Remedy(
            text="The output is a probability already: say so in output.kind."
            if read_as_logits
            else f"Apply the {activation} once: either in the last layer, with from_logits=False, or not in the model, "
            "with from_logits=True and one activation where it is served.",
            code=_UNDO_SIGMOID if activation == "sigmoid" else _UNDO_SOFTMAX,
        ),
        severity=Severity.CRITICAL if moved else Severity.WARNING,
        confirmation=Confirmation(
            confirmed=True,
            intervention=f"undo one {activation}",
            metric=case.scorer.metric if moved else "log_loss",
            higher_is_better=moved,
            before=(scores if moved else losses)[0],
            after=(scores if moved else losses)[1],
            gain_interval=gain.interval if moved else gains[1][1],
            n=len(validation),
        ),
        recovered=gain if moved else None,
    )


def _inner(case: Case, probabilities: Array) -> Array | None:
    """(rows, classes) what went through the activation before, where that can be."""
    if probabilities.shape[1] == 2 and width_of(case) == 1:
        positive = activations.undo_sigmoid(probabilities[:, 1])
        return None if positive is None else np.stack([1 - positive, positive], axis=1)
    return activations.undo_softmax(probabilities)


def _log_loss_gain(case: Case, subject: Subject, inner: Array) -> tuple[float, tuple[float, float]]:
    truth = inner[np.arange(len(subject)), subject.labels]
    after = -np.log(np.clip(truth, metrics.SMALLEST_PROBABILITY, 1.0))
    gain = case.scorer.losses(subject.labels, subject.predictions) - after
    return float(gain.mean()), intervals.mean_interval(gain)


def _with_probabilities(case: Case, subject: Subject, probabilities: Array) -> Subject:
    binary = probabilities.shape[1] == 2
    decided = probabilities[:, 1] >= case.meaning.threshold if binary else probabilities.argmax(axis=1)
    predictions = replace(subject.predictions, probabilities=probabilities, decisions=decided.astype(np.int64))
    return replace(subject, predictions=predictions)


def misread_logits(case: Case) -> Mismatch | None:
    """Logits that are taken for probabilities: told loudly where the request calls them so."""
    asked = case.request.output.kind
    if case.meaning.kind != "logit" or asked == "logit":
        return None
    if width_of(case) == 1:
        return _cut_as_probability(case)
    return _many_logits(case) if asked == "probability" else None


def _many_logits(case: Case) -> Mismatch:
    """One logit for each class: their order decides rightly, their size is no probability."""
    n = len(answered(case)[1])
    return Mismatch(
        title=MISREAD,
        summary="The request calls the outputs probabilities, but they lie outside [0, 1]: they are logits, and this "
        "audit has put a softmax over them. The favourite class is the same; thresholds and expected costs are not.",
        effect=Effect(name="share_of_rows", estimate=1.0, interval=intervals.wilson(n, n), limit=0.0),
        evidence={"reason": case.meaning.reason},
        remedy=Remedy(
            text="Apply a softmax before the outputs are used as probabilities, or export the model with one.",
            code="import numpy as np\n\n"
            "def probabilities(logits: np.ndarray) -> np.ndarray:\n"
            "    scores = np.exp(logits - np.max(logits, axis=1, keepdims=True))\n"
            "    return scores / scores.sum(axis=1, keepdims=True)\n",
        ),
        severity=Severity.WARNING,
    )


def _cut_as_probability(case: Case) -> Mismatch | None:
    """One logit that is compared with a probability."""
    asked = case.request.output.kind
    limits = cast(OutputMismatch, case.limits[CODE])
    validation = answered(case)[1]
    with np.errstate(divide="ignore"):
        logits = logit(given_by(validation)[:, 1])
    decided = (logits >= case.meaning.threshold).astype(np.int64)
    misread = replace(validation, predictions=replace(validation.predictions, decisions=decided))
    changed = int((decided != validation.predictions.decisions).sum())
    if asked == "auto" and not changed:
        return None
    gain = gain_of(case, misread, validation, "misread logits")
    interval = cast("tuple[float, float]", gain.interval)
    before, after = case.score(misread), case.score(validation)
    told = f"{before:.2f} instead of {after:.2f}"
    return Mismatch(
        title=MISREAD if asked == "probability" else "The output is a logit",
        summary=f"The model answers logits ({_shown(logits)}). Thresholding them at "
        f"{case.meaning.threshold:g} as if they were probabilities changes {changed} of {len(validation)} decisions: "
        f"{case.scorer.title} {told}.",
        effect=Effect(
            name="share_of_decisions_that_change",
            estimate=changed / len(validation),
            interval=intervals.wilson(changed, len(validation)),
            limit=0.0,
        ),
        evidence={"score_of_misread_logits": before, "score": after},
        remedy=Remedy(
            text="Apply a sigmoid before the output is compared with a threshold, or export the model with one. This "
            "audit has done so.",
            code="import numpy as np\n\n"
            "def probability(logits: np.ndarray) -> np.ndarray:\n"
            "    return 1 / (1 + np.exp(-np.asarray(logits, dtype='float64')))\n",
        ),
        severity=(
            Severity.INFO
            if asked == "auto"
            else Severity.CRITICAL
            if interval[0] > limits.min_loss
            else Severity.WARNING
        ),
        confirmation=Confirmation(
            confirmed=asked == "probability",
            intervention="apply a sigmoid to the output",
            metric=case.scorer.metric,
            before=before,
            after=after,
            gain_interval=interval,
            n=len(validation),
        ),
    )


def on_the_scale_of_labels(case: Case) -> Mismatch | None:
    """Scores about 0 and 1, as least squares gives them: read and cut as they are, but no probabilities."""
    if case.meaning.form != "label_scale":
        return None
    validation = answered(case)[1]
    given = given_by(validation)
    edges = int(((given == 0) | (given == 1)).any(axis=1).sum())
    if case.meaning.labels.n_classes == 2:
        how = f"cut at {case.meaning.threshold:g} as they are"
    else:
        how = "the largest of a row decides"
    return Mismatch(
        title="The output is neither a probability nor a logit",
        summary="The answers are on the scale of the labels 0 and 1 and not bounded to it, as a linear or relu output "
        f"trained by least squares gives them. This audit reads them so ({how}); in {edges} of {len(validation)} rows "
        "one lies at or beyond an end. They are no probabilities, and a sigmoid over them would be wrong.",
        effect=Effect(
            name="share_of_rows_at_an_end",
            estimate=edges / max(1, len(validation)),
            interval=intervals.wilson(edges, len(validation)),
            limit=0.0,
        ),
        evidence={"reason": case.meaning.reason, "score": case.score(validation)},
        remedy=activation_remedy(case, "Train again with an output that is a probability"),
        severity=Severity.INFO,
    )


def _shown(logits: Array) -> str:
    finite = logits[np.isfinite(logits)]
    return f"{finite.min():.3g} to {finite.max():.3g}" if len(finite) else "beyond all bounds"


def not_exclusive(case: Case) -> Mismatch | None:
    """One sigmoid for each of several exclusive classes: their order is fine, their sum is not."""
    validation = answered(case)[1]
    sums = given_by(validation).sum(axis=1)
    off = np.abs(sums - 1) > SUM_TOLERANCE
    if case.meaning.kind != "probability" or not off.any():
        return None
    return Mismatch(
        title="The probabilities of exclusive classes do not sum to 1",
        summary=f"In {off.mean():.0%} of {len(validation)} rows the outputs sum to something else than 1 (median "
        f"{np.median(sums):.2f}). Their order decides well enough; none of them is the probability of its class.",
        effect=Effect(
            name="share_of_rows",
            estimate=float(off.mean()),
            interval=intervals.wilson(int(off.sum()), len(off)),
            limit=0.0,
        ),
        evidence={"median_sum": float(np.median(sums))},
        remedy=activation_remedy(case, "End the model in a softmax, and train with categorical cross-entropy"),
        severity=Severity.INFO,
    )
