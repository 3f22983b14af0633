"""Which of several values a row is judged: the median of quantiles, the one that predicts the label, the one named."""

from collections.abc import Sequence

import numpy as np

from audits.artefacts import Array, ClassList
from audits.evidence.labels import distinct
from audits.evidence.meaning.answers import Answers
from audits.evidence.meaning.tasks import MIN_FIT
from audits.naming import normalised
from audits.statistics.metrics import roc_auc
from schemas.problem import ModelError, RequestError
from schemas.request import AuditRequest

# A value is chosen by its fit where it leads so far, in R2 or in the area under the ROC curve.
MIN_LEAD = 0.1
MIN_AUC = 0.6
# Quantiles rise in every row but for a few crossings, and cover clearly different shares of the labels.
MIN_RISING, MIN_COVERED = 0.9, 0.3
NEAR_MEDIAN = 0.2


def choose_index(
    request: AuditRequest, labels: Array, answers: Answers, lists: Sequence[ClassList], *, quantity: bool
) -> tuple[int, str]:
    """The value to judge, and why.

    Args:
        request: may name it.
        labels: (rows,) the training labels that are judged.
        answers: of several values a row.
        lists: names of the values, as far as the request or the model has them.
        quantity: whether the labels are quantities; else they are two classes.

    Raises:
        RequestError: there is no such value.
        ModelError: none stands out; lists how well each does.
    """
    width = answers.width
    index = request.output.index
    if index is not None:
        if index >= width:
            raise RequestError(
                "output_index_missing",
                f"output.index is {index}, but output {answers.tensor!r} has {width} values a row, counted from 0.",
                field="output.index",
            )
        return index, f"output.index names value {index} of {width}"
    named = _by_name(request.data.label_name, width, lists)
    if named is not None:
        return named
    if quantity:
        return median_of(labels, answers) or _by_fit(labels, answers)
    return _by_ranking(labels, answers)


def _by_name(label: str | None, width: int, lists: Sequence[ClassList]) -> tuple[int, str] | None:
    """The value that has the name of the label's column."""
    for names in lists:
        alike = [i for i, name in enumerate(names.names) if label is not None and normalised(name) == normalised(label)]
        if len(names.names) == width and len(alike) == 1:
            return alike[0], f"value {alike[0]} of {width} is {names.names[alike[0]]!r}, as {names.where} says"
    return None


def median_of(labels: Array, answers: Answers) -> tuple[int, str] | None:
    """The middle one of quantiles."""
    if answers.rising_share() < MIN_RISING:
        return None
    values, truth = answers.values[answers.some], np.asarray(labels, dtype=np.float64)[answers.some]
    usable = np.isfinite(values).all(axis=1)
    below = (truth[usable, None] <= values[usable]).mean(axis=0)
    middle = int(np.abs(below - 0.5).argmin())
    if below[-1] - below[0] < MIN_COVERED or abs(below[middle] - 0.5) > NEAR_MEDIAN or not below[0] < 0.5 < below[-1]:
        return None
    covered = ", ".join(f"{share:.0%}" for share in below)
    return middle, (
        f"the {answers.width} values of a row rise, and {covered} of the training labels lie below them: quantiles, of "
        f"which value {middle} is nearest to the median"
    )


def _by_fit(labels: Array, answers: Answers) -> tuple[int, str]:
    fits = answers.fits(labels)
    best = int(fits.argmax())
    second = float(np.delete(fits, best).max())
    if fits[best] < MIN_FIT or fits[best] - max(second, 0.0) < MIN_LEAD:
        raise _undecided(answers, "R2", fits)
    return best, (
        f"value {best} of {answers.width} predicts the training labels with an R2 of {fits[best]:.2f}, "
        f"the next best with {_shown(second)}"
    )


def _by_ranking(labels: Array, answers: Answers) -> tuple[int, str]:
    uniques, codes = distinct(labels)
    positive = codes == (int(np.argmax([str(u) for u in uniques])) if labels.dtype.kind == "O" else len(uniques) - 1)
    values = answers.values[answers.some]
    areas = np.array([float(roc_auc(np.nan_to_num(v), positive[answers.some])) for v in values.T])
    best = int(np.nan_to_num(areas).argmax())
    second = float(np.delete(areas, best).max())
    if not areas[best] >= MIN_AUC or areas[best] - second < MIN_LEAD:
        raise _undecided(answers, "ROC AUC", areas)
    return best, (
        f"value {best} of {answers.width} ranks the training labels with a ROC AUC of {areas[best]:.2f}, "
        f"the next best with {second:.2f}"
    )


def _undecided(answers: Answers, metric: str, fits: Array) -> ModelError:
    listed = ", ".join(f"{place}: {_shown(fit)}" for place, fit in list(enumerate(fits))[:10])
    return ModelError(
        "output_index_needed",
        f"Output {answers.tensor!r} has {answers.width} values a row, and which of them answers for the label cannot "
        f"be told: their {metric} on the training rows is {listed}. Choose one in output.index, counted from 0, or "
        "name another output in output.tensor.",
        field="output.index",
    )


def _shown(fit: float) -> str:
    return f"{fit:.2f}" if fit > -10 else "far below 0"
