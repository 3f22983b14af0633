"""What the numbers of a classifier are: probabilities, logits or another scale; from the graph, or from the values.

Where neither decides, the training rows do: a scale is another than the usual one if its numbers are clearly the
better probabilities there, and calibrated as they stand.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np

from audits.artefacts import Array
from audits.evidence.meaning.answers import LINEAR_OPS, PROBABILITY_OPS, ROUNDING, Answers
from audits.evidence.outputs import Form, to_probabilities
from schemas.problem import RequestError
from schemas.request import OutputKind

# The bulk of numbers on the scale of labels lies no further than this outside it.
LABEL_SCALE = 0.5
BULK = (0.02, 0.98)
MIN_STANDARD_ERRORS = 5.0
MIN_GAIN = 0.05
# Least squares leave neither an offset nor a slope between the answers and the training labels.
MAX_OFFSET = 0.03
SLOPES = (0.7, 1.5)


@dataclass(frozen=True)
class Reading:
    """How numbers are read, and why."""

    kind: OutputKind
    form: Form
    reason: str


def usual_reading(requested: str, answers: Answers, *, cumulative: bool) -> tuple[Reading, list[Reading]]:
    """The reading that graph and values speak for, and others that the training rows may prefer to it.

    Args:
        requested: `output.kind` of the request.
        answers: of a classifier, (rows, 1) or (rows, classes), or one less than classes where these are ordered.
        cumulative: whether values are of lying beyond each class.

    Raises:
        RequestError: the values contradict the request; names one.
    """
    if requested != "auto":
        return _requested(requested, answers)
    return (_cumulative(answers), []) if cumulative else _inferred(answers)


def _inferred(answers: Answers) -> tuple[Reading, list[Reading]]:
    op, several = answers.op, answers.width > 1
    if op in PROBABILITY_OPS:
        return Reading("probability", "plain", f"the output ends in {op}"), []
    if op == "LogSoftmax" or answers.logs_of_shares:
        why = "the output ends in LogSoftmax" if op == "LogSoftmax" else "the exponentials of a row's values sum to 1"
        return Reading("probability", "log", f"{why}: logarithms of probabilities"), []
    if op == "Tanh" and not several:
        return Reading("probability", "margin", "the output ends in Tanh: margins from -1 to 1"), [_LABEL_SCALE]
    if not len(answers.finite):
        return Reading("logit", "plain", "no answer to a training row is finite"), []
    if not answers.within_unit:
        return Reading("logit", "plain", "values lie outside [0, 1]"), _on_other_scales(answers)
    if several and not answers.sums_to_one:
        return Reading("logit", "plain", "the outputs of a row do not sum to 1"), []
    if op in LINEAR_OPS and not several:
        return Reading("logit", "plain", f"the output ends in {op}, without a sigmoid"), [_PROBABILITY]
    return Reading("probability", "plain", "all values lie in [0, 1]" + (" and sum to 1" if several else "")), []


_PROBABILITY = Reading("probability", "plain", "all values lie in [0, 1]")
_LABEL_SCALE = Reading(
    "probability", "label_scale", "values lie on the scale of the labels and beyond, as least squares gives them"
)
_MARGIN = Reading("probability", "margin", "values lie about -1 and 1, as margins do")


def _on_other_scales(answers: Answers) -> list[Reading]:
    """Scales on which the bulk of unbounded numbers lies as it should."""
    if not len(answers.finite):
        return []
    low, high = np.quantile(answers.finite, BULK)
    found = []
    if low >= -LABEL_SCALE and high <= 1 + LABEL_SCALE:
        found.append(_LABEL_SCALE)
    if answers.width == 1 and low >= -1 - LABEL_SCALE and high <= 1 + LABEL_SCALE:
        found.append(_MARGIN)
    return found


def _cumulative(answers: Answers) -> Reading:
    is_probability = answers.within_unit
    return Reading(
        "probability",
        "cumulative" if is_probability else "cumulative_logit",
        f"the {answers.width} values of a row fall, one less than there are ordered classes: "
        + ("probabilities" if is_probability else "logits")
        + " of lying beyond each class",
    )


def _requested(requested: str, answers: Answers) -> tuple[Reading, list[Reading]]:
    """The reading that was asked for; numbers that are no probabilities can only be something else.

    Raises:
        RequestError: the values contradict it; names one.
    """
    says = "the request says so"
    finite = answers.values[np.isfinite(answers.values)]
    outside = finite[(finite < -ROUNDING) | (finite > 1 + ROUNDING)]
    why = None
    if requested == "value":
        why = "the labels are classes; set `task` to regression if they are quantities"
    elif requested == "class" and not (answers.one_hot or (answers.width == 1 and answers.whole)):
        why = "the model does not answer one whole number a row"
    elif requested == "log_probability" and len(finite) and float(finite.max()) > ROUNDING:
        why = f"the model answered {finite.max():.4g}, and no probability has a logarithm above 0"
    elif requested in {"margin", "cumulative"} and requested == "margin" and answers.width > 1:
        why = f"the model answers {answers.width} values a row, and a margin is one"
    if why is not None:
        raise RequestError("output_kind_mismatch", f"output.kind is {requested}, but {why}.", field="output.kind")
    if requested == "cumulative":
        form: Form = "cumulative_logit" if len(outside) else "cumulative"
        return Reading("probability", form, says), []
    if requested in {"log_probability", "margin"}:
        return Reading("probability", "log" if requested == "log_probability" else "margin", says), []
    if requested == "class":
        return Reading("class", "one_hot" if answers.one_hot else "plain", says), []
    if requested == "probability" and len(outside):
        reason = f"the request says probability, but the model answered {outside[0]:.4g}, which is none"
        return Reading("logit", "plain", reason), _on_other_scales(answers)
    return Reading(cast("OutputKind", requested), "plain", says), []


def preferred(usual: Reading, others: list[Reading], scores: Array, codes: Array, classes: int) -> Reading:
    """The usual reading, unless another one is clearly better on training rows, and calibrated as it stands.

    Args:
        usual: the reading that graph and values speak for.
        others: further readings of the same numbers.
        scores: (rows, width), finite.
        codes: (rows,) class indices, all known.
        classes: how many there are.
    """
    if not others or len(scores) < 2:
        return usual
    truth = np.eye(classes)[codes]
    missed = _squared_errors(usual, scores, truth)
    chosen, least = usual, float(missed.mean())
    for reading in others:
        errors = _squared_errors(reading, scores, truth)
        gain = missed - errors
        spread = float(gain.std()) / np.sqrt(len(gain))
        clear = float(gain.mean()) > max(MIN_GAIN * float(missed.mean()), MIN_STANDARD_ERRORS * spread)
        means = _calibrated(reading, scores, truth)
        if clear and float(errors.mean()) < least and means is not None:
            least = float(errors.mean())
            chosen = Reading(
                reading.kind,
                reading.form,
                f"{reading.reason}: they average {means[0]:.2f} on the training rows as the labels do "
                f"({means[1]:.2f}), and miss these by {errors.mean():.3f} (mean squared error) instead of "
                f"{missed.mean():.3f} as {_plural(usual)}",
            )
    return chosen


def _plural(reading: Reading) -> str:
    return {"logit": "logits", "probability": "margins"}.get(reading.kind, "probabilities")


def _squared_errors(reading: Reading, scores: Array, truth: Array) -> Array:
    """(rows,) summed over the classes, as in the Brier score."""
    return np.asarray(np.square(to_probabilities(scores, reading.kind, reading.form) - truth).sum(axis=1))


def _calibrated(reading: Reading, scores: Array, truth: Array) -> tuple[float, float] | None:
    """The means of the answers and of the labels, where the numbers lie on the labels without offset or slope."""
    single = scores.shape[1] == 1
    labels = truth[:, 1:] if single else truth
    given = (scores + 1) / 2 if reading.form == "margin" else scores
    offsets = given.mean(axis=0) - labels.mean(axis=0)
    noise = 4 * (given - labels).std(axis=0) / np.sqrt(len(given))
    flat, wanted = (given - given.mean(axis=0)).ravel(), (labels - labels.mean(axis=0)).ravel()
    variance = float((flat**2).mean())
    if variance <= 0 or (np.abs(offsets) > MAX_OFFSET + noise).any():
        return None
    slope = float((flat * wanted).mean()) / variance
    place = 0 if single else -1
    means = float(given[:, place].mean()), float(labels[:, place].mean())
    return means if SLOPES[0] <= slope <= SLOPES[1] else None
