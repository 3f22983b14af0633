"""From the raw answers of one output on the training rows to what they mean.

In this order: which label of a row is judged, the task, which value of the output, whether it is a decision or scores,
the classes in the order of the outputs, and the scale of the scores. Each step says why, for the report.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audits.artefacts import Array, ClassList
from audits.evidence.labels import LabelSpace, distinct, require_classes, require_spread
from audits.evidence.meaning.answers import Answers
from audits.evidence.meaning.columns import choose_index
from audits.evidence.meaning.decisions import of_decisions, of_names
from audits.evidence.meaning.kinds import Reading, preferred, usual_reading
from audits.evidence.meaning.orders import MIN_ROWS, ClassLists, orders_for, space_following
from audits.evidence.meaning.shapes import as_matrix, is_text
from audits.evidence.meaning.targets import Target, target_of
from audits.evidence.meaning.tasks import infer_task, is_cumulative, is_one_of_many, names_classes
from audits.evidence.outputs import OutputMeaning
from schemas.problem import DataError, ModelError
from schemas.request import AuditRequest, Task

# Below this share of rows whose highest score is that of a training label, the scores are those of something else.
MIN_HITS = 0.02


@dataclass(frozen=True)
class Head:
    """One output of the model on the training rows.

    Attributes:
        name: of the output.
        raw: (rows, ...) as answered.
        op: the graph's op behind it, where known.
    """

    name: str
    raw: Array
    op: str | None = None


def understand(
    head: Head, labels: Array, request: AuditRequest, lists: ClassLists = tuple, *, chosen: str = ""
) -> OutputMeaning:
    """What one output means for these labels.

    Args:
        head: its answers on the training rows.
        labels: (rows,) or (rows, columns), as read.
        request: says what was asked for, and overrides what would be inferred.
        lists: of class names that the model carries; asked for where labels are names.
        chosen: why this output, for the report.

    Raises:
        RequestError: the request contradicts the model or the labels.
        DataError: the labels cannot be judged, or need the request to say what they are.
        ModelError: the output cannot be judged.
    """
    asked = request.output
    steps = head.raw.shape[1] if head.raw.ndim > 2 else None
    target = target_of(labels, index=asked.index, step=asked.step if labels.ndim > 1 else None, steps=steps)
    if is_text(head.raw):
        return of_names(head.name, head.raw, target, request, lists, chosen=chosen)
    answers = Answers(head.name, as_matrix(head.raw, head.name, asked.step), str(head.raw.dtype), head.op)
    task, why = _task(request, target, answers)
    index, value = _index(request, target, answers, task, lists)
    if index is not None:
        answers = answers.column(index)
    base = OutputMeaning(
        head.name,
        "value",
        "",
        LabelSpace(task, (), why, target.column),
        asked.threshold,
        index=index,
        step=asked.step,
        chosen="; ".join(part for part in (chosen, value) if part),
    )
    if task == "regression":
        return _of_quantity(base, target, answers, asked.kind)
    if names_classes(asked.kind, target.values, answers):
        return of_decisions(base, target, answers, request, lists)
    return _of_scores(base, target, answers, request, lists)


def _task(request: AuditRequest, target: Target, answers: Answers) -> tuple[Task, str]:
    if target.classes is None:
        return infer_task(request.task, target.values, answers, request.output.kind)
    width, classes = answers.width, target.classes
    decided = width == 1 and names_classes(request.output.kind, target.values, answers)
    if request.task == "regression" or not (width == classes or (width == 1 and classes == 2) or decided):
        raise DataError(
            "classes_mismatch",
            f"The labels are one-hot over {classes} classes, the model has {width} outputs"
            + (" and the task is a regression" if request.task == "regression" else "")
            + ". Give one label a row, or a model that answers these classes.",
            field="task" if request.task == "regression" else "data.label",
        )
    return ("binary" if classes == 2 else "multiclass"), target.reason


def _index(
    request: AuditRequest, target: Target, answers: Answers, task: Task, lists: ClassLists
) -> tuple[int | None, str]:
    """Which of several values is judged, where they do not answer one question together."""
    if answers.width == 1 or target.classes is not None:
        return None, ""
    separate = task == "regression" or (
        task == "binary"
        and (is_one_of_many(target.values, answers) or (request.task == "binary" and answers.width > 2))
    )
    if request.output.index is None and not separate:
        return None, ""
    named = [ClassList(tuple(map(str, request.output.classes or ())), "output.classes"), *lists()]
    return choose_index(request, target.values, answers, named, quantity=task == "regression")


def _of_quantity(base: OutputMeaning, target: Target, answers: Answers, asked: str) -> OutputMeaning:
    require_spread(target.values)
    if answers.width != 1:
        raise ModelError(
            "output_shape_unsupported",
            f"The output has {answers.width} values a row; a regression needs one. Name another output in "
            "output.tensor, or choose the value in output.index.",
            field="output.index",
        )
    return replace(base, reason="the task is a regression" if asked in {"auto", "value"} else _not_asked(asked))


def _not_asked(asked: str) -> str:
    return f"the task is a regression, in which answers are values and not what output.kind says ({asked})"


def _of_scores(
    base: OutputMeaning, target: Target, answers: Answers, request: AuditRequest, lists: ClassLists
) -> OutputMeaning:
    """An output of scores: of each class, of the second of two, or of lying beyond each."""
    uniques, codes = distinct(target.values)
    require_classes(uniques)
    asked = request.output.kind
    cumulative = asked == "cumulative" or (
        asked == "auto" and target.classes is None and is_cumulative(target.values, answers)
    )
    needed = answers.width + 1 if cumulative else max(answers.width, 2)
    orders = orders_for(base, target, needed, request, lists, uniques)
    usual, others = usual_reading(asked, answers, cumulative=cumulative)
    space = LabelSpace(base.labels.task, orders[0].classes, "", target.column)
    meaning = replace(base, kind=usual.kind, form=usual.form, labels=space)
    some = answers.some
    places = meaning.read_scores(answers.values[some]).decisions
    assert places is not None  # noqa: S101 - holds for every classification
    space = space_following(base, orders, uniques, codes[some], places, needed)
    reading = _preferred(usual, others, answers, space, target)
    if reading is not usual and len(orders) > 1:
        # a better scale may show a better order
        meaning = replace(meaning, kind=reading.kind, form=reading.form)
        places = meaning.read_scores(answers.values[some]).decisions
        space = space_following(base, orders, uniques, codes[some], np.asarray(places), needed)
    if reading.kind == "logit" and asked == "auto" and request.output.classes is None:
        _require_hits(np.asarray(places), space, uniques, answers)
    return replace(meaning, kind=reading.kind, form=reading.form, reason=reading.reason, labels=space)


def _require_hits(places: Array, space: LabelSpace, uniques: Sequence[Any], answers: Answers) -> None:
    """Refuse many values a row as the scores of few labels, where their highest is never that of a label.

    Raises:
        DataError: `classes_ambiguous`: they may be an embedding, or scores of other classes.
    """
    given = places[places >= 0]
    known = [code for code, value in enumerate(space.classes) if value in set(uniques)]
    if answers.width <= 2 * len(uniques) or len(given) < MIN_ROWS or np.isin(given, known).mean() >= MIN_HITS:
        return
    raise DataError(
        "classes_ambiguous",
        f"Output {answers.tensor!r} has {answers.width} values a row, and in hardly any row the highest stands for one "
        f"of the {len(uniques)} labels in the training data. Where they are an embedding, export the model with its "
        "last layer or name another output in output.tensor; where they are scores, name their classes in "
        "output.classes.",
        field="output.tensor",
    )


def _preferred(usual: Reading, others: list[Reading], answers: Answers, space: LabelSpace, target: Target) -> Reading:
    some = answers.some
    codes = space.encode(target.values[some], "train")
    usable = np.isfinite(answers.values[some]).all(axis=1) & (codes >= 0)
    return preferred(usual, others, answers.values[some][usable], codes[usable], space.n_classes)
