"""Outputs that decide instead of scoring: class ids, marks, labels and names of classes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audits.artefacts import Array, ClassList
from audits.evidence.labels import LabelSpace, as_name, distinct, require_classes
from audits.evidence.meaning.answers import Answers
from audits.evidence.meaning.kinds import usual_reading
from audits.evidence.meaning.orders import (
    ClassLists,
    Order,
    orders_for,
    possible_orders,
    requested_order,
    space_following,
)
from audits.evidence.meaning.targets import Target
from audits.evidence.outputs import OutputMeaning
from schemas.problem import DataError, ModelError
from schemas.request import AuditRequest

# Larger numbers are no places in a list of classes.
MAX_IDS = 10_000
# More than so many times as many whole numbers of these types as there are labels are no classes.
QUANTISED, QUANTISED_FACTOR = frozenset({"int8", "uint8"}), 4


def of_names(
    tensor: str, raw: Array, target: Target, request: AuditRequest, lists: ClassLists, *, chosen: str
) -> OutputMeaning:
    """The meaning of an output of text: the name of a class in each row.

    Raises:
        ModelError: there are several texts a row, or something else is asked for.
        DataError: the names are not those of the labels.
    """
    texts = raw.reshape(len(raw), -1)
    if texts.shape[1] != 1 or request.task == "regression" or request.output.kind not in {"auto", "class"}:
        raise ModelError(
            "output_not_numeric",
            f"Output {tensor!r} holds text, {texts.shape[1]} a row; it can be judged as one class name a row alone. "
            "Name a numeric output of the signature in output.tensor.",
            field="output.tensor",
        )
    uniques, _ = distinct(target.values)
    require_classes(uniques)
    names = {as_name(value) for value in distinct(texts[:, 0])[0]}
    if names & {as_name(value) for value in uniques}:
        space = _space_of_values(texts[:, 0], uniques, "the output is a class's name", request, lists)
    else:
        space = _space_of_numbered(tensor, texts[:, 0], names, target, request, lists)
    reason = "the output is the name of a class"
    space = replace(space, column=target.column)
    return OutputMeaning(tensor, "class", reason, space, request.output.threshold, "names", chosen=chosen)


def _space_of_numbered(
    tensor: str, answers: Array, names: set[str], target: Target, request: AuditRequest, lists: ClassLists
) -> LabelSpace:
    """The classes where answers are names and labels are their numbers, in a list that says which is which.

    Raises:
        DataError: `classes_ambiguous` where there is no such list, or the labels are no numbers in it.
    """
    uniques, codes = distinct(target.values)
    asked = request.output.classes
    given = () if asked is None else (ClassList(tuple(map(str, asked)), "output.classes"),)
    carried = next((one for one in (*given, *lists()) if names <= set(one.names)), None)
    width = 0 if carried is None else len(carried.names)
    numeric = all(isinstance(value, int | float) for value in uniques)
    usual = possible_orders(uniques, width, ()) if numeric and len(uniques) <= width else []
    orders = [order for order in usual if order.classes in {tuple(range(width)), tuple(range(1, width + 1))}]
    if carried is None or not orders:
        raise DataError(
            "classes_ambiguous",
            f"Output {tensor!r} answers {_shown(names)}, the training labels are {_shown(map(as_name, uniques))}: no "
            "answer is a label. Write the labels as the model does, or, if they are numbers, give the model's names in "
            "the order of these numbers in output.classes; or name a numeric output in output.tensor.",
            field="output.tensor",
        )
    place_of = {name: place for place, name in enumerate(carried.names)}
    places = np.array([place_of[as_name(value)] for value in answers])
    base = OutputMeaning(
        tensor, "class", "", LabelSpace("multiclass", (), "the output is a class's name", target.column)
    )
    space = space_following(base, orders, uniques, codes, places, width)
    return replace(space, answers=carried.names, reason=f"{space.reason}, of the names in {carried.where}")


def _shown(names: Any) -> str:
    listed = sorted(names)
    return ", ".join(repr(name[:20]) for name in listed[:5]) + (", ..." if len(listed) > 5 else "")


def _space_of_values(
    answers: Array, uniques: Sequence[Any], why: str, request: AuditRequest, lists: ClassLists
) -> LabelSpace:
    """The classes where answers are labels: all that occur in either, so that a class never seen is a wrong answer."""
    numeric = all(isinstance(value, int | float) for value in uniques)
    known = {as_name(value) for value in uniques}
    further = sorted({as_name(value) for value in distinct(answers)[0]} - known)[:MAX_IDS]
    if request.output.classes is not None:
        order = requested_order(request.output.classes, uniques, None)
    elif numeric:
        numbers = {int(name) for name in further if name.lstrip("-").isdecimal()}
        order = Order(tuple(sorted({*uniques, *numbers})), "the numbers that occur")
    else:
        carried = next((named for named in lists() if known | set(further) <= set(named.names)), None)
        order = (
            Order((*sorted(uniques, key=as_name), *further), "the names that occur")
            if carried is None
            else Order(carried.names, f"names as in {carried.where}")
        )
    return LabelSpace("binary" if len(order.classes) == 2 else "multiclass", order.classes, f"{why}; {order.reason}")


def of_decisions(
    base: OutputMeaning, target: Target, answers: Answers, request: AuditRequest, lists: ClassLists
) -> OutputMeaning:
    """The meaning of an output that numbers the class, repeats its label, or marks its place.

    Raises:
        RequestError: `output.kind` asks for what the values are not.
        DataError: which class a number stands for cannot be told.
    """
    usual_reading(request.output.kind, answers, cumulative=False)
    uniques, codes = distinct(target.values)
    require_classes(uniques)
    if request.output.kind == "auto":
        _require_not_quantised(answers, uniques)
    base = replace(base, kind="class")
    if answers.width > 1:
        orders = orders_for(base, target, answers.width, request, lists, uniques)
        marks = replace(base, form="one_hot", reason="each row is one 1 among zeros")
        places = np.where(np.isfinite(answers.values).all(axis=1), np.nan_to_num(answers.values).argmax(axis=1), -1)
        return replace(marks, labels=space_following(base, orders, uniques, codes, places, answers.width))
    reason = _reason(answers, request.output.kind)
    numeric = all(isinstance(value, int | float) for value in uniques) and target.classes is None
    labels = _as_labels(base, target, answers, uniques, f"{reason}: the label itself", request) if numeric else None
    ids = np.where(np.isfinite(answers.values[:, 0]), answers.values[:, 0], -1)
    width = int(max(ids.max(initial=0) + 1, len(uniques)))
    if width > MAX_IDS and labels is not None:
        return labels
    try:
        needed = None if request.output.classes is not None else width
        orders = orders_for(base, target, needed, request, lists, uniques)
    except DataError:
        if labels is None:
            raise
        return labels
    places = ids.astype(np.int64)
    space = space_following(base, orders, uniques, codes, places, width)
    numbered = replace(base, reason=f"{reason}: the place of a class", labels=space)
    if labels is None or space.classes == labels.labels.classes == tuple(range(space.n_classes)):
        return numbered
    return labels if _agreement(labels, answers, target) >= _agreement(numbered, answers, target) else numbered


def _require_not_quantised(answers: Answers, uniques: Sequence[Any]) -> None:
    """Scores that were rounded to a byte are no classes, and only their scale says what they are.

    Raises:
        ModelError: `output_quantised`.
    """
    found = np.unique(answers.finite)
    if answers.width > 1 or answers.dtype not in QUANTISED or len(found) <= QUANTISED_FACTOR * max(len(uniques), 4):
        return
    raise ModelError(
        "output_quantised",
        f"Output {answers.tensor!r} answers {len(found)} whole numbers from {found[0]:.0f} to {found[-1]:.0f} of the "
        f"type {answers.dtype}, and the labels are {len(uniques)} classes: scores that were quantised. Export a "
        "signature that undoes it, scale * (value - zero_point) as float32; or, where they are classes, say so in "
        "output.kind.",
        field="output.tensor",
    )


def _reason(answers: Answers, asked: str) -> str:
    if asked != "auto":
        return "a whole number, as the request says"
    made = f"the output ends in {answers.op}" if answers.op is not None else f"of the type {answers.dtype}"
    return f"a single whole number ({made})"


def _as_labels(
    base: OutputMeaning, target: Target, answers: Answers, uniques: Sequence[Any], reason: str, request: AuditRequest
) -> OutputMeaning:
    space = _space_of_values(answers.values[:, 0], uniques, base.labels.reason, request, tuple)
    return replace(base, form="labels", reason=reason, labels=replace(space, column=target.column))


def _agreement(meaning: OutputMeaning, answers: Answers, target: Target) -> float:
    """Share of the training labels that the answers name."""
    decisions = meaning.read_scores(answers.values[answers.some]).decisions
    return float(np.mean(decisions == meaning.labels.encode(target.values[answers.some], "train")))
