"""The classes in the order of the model's outputs: the orders that are possible, and the one that the model follows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audits.artefacts import Array, ClassList
from audits.evidence.labels import LabelSpace, as_name
from audits.evidence.meaning.targets import Target
from audits.evidence.outputs import OutputMeaning
from audits.statistics.assignment import hungarian
from schemas.problem import DataError, RequestError
from schemas.request import AuditRequest, Task

ClassLists = Callable[[], Sequence[ClassList]]

UNKNOWN_TOKEN = "[UNK]"  # noqa: S105 - Keras' word for what a lookup does not know
# An order other than the usual one must be followed by far, and beyond chance: in balanced accuracy on training rows.
MIN_LEAD = 0.15
MIN_BEYOND_CHANCE = 0.3
MIN_STANDARD_ERRORS = 3.0
MIN_ROWS = 20
# An order that no rule gives must nearly settle the matter, on enough rows of every class.
MIN_FOUND_BEYOND_CHANCE = 0.6
MIN_FOUND_ROWS = 10
MAX_FOUND_CLASSES = 200


@dataclass(frozen=True)
class Order:
    """Class values by output, and why in this order."""

    classes: tuple[Any, ...]
    reason: str


def orders_for(
    base: OutputMeaning,
    target: Target,
    needed: int | None,
    request: AuditRequest,
    lists: ClassLists,
    uniques: Sequence[Any],
) -> list[Order]:
    """Possible orders of the classes, the usual one first."""
    if target.classes is not None:
        return [Order(tuple(range(target.classes)), "in the order of y's columns")]
    classes = request.output.classes
    if classes is not None and not (base.index is not None and needed == 2 and len(classes) > 2):
        return [requested_order(classes, uniques, needed)]
    named = any(not isinstance(value, int | float) for value in uniques)
    return possible_orders(uniques, needed, lists() if named else (), request.task)


def space_following(
    base: OutputMeaning, orders: Sequence[Order], uniques: Sequence[Any], codes: Array, places: Array, width: int
) -> LabelSpace:
    """The space of the order that the model follows on the training rows."""
    order = orders[0]
    if len(orders) > 1:
        order = followed(orders, uniques, codes, np.where(places < width, places, -1), width)
    task: Task = "binary" if len(order.classes) == 2 else "multiclass"
    return LabelSpace(task, order.classes, f"{base.labels.reason}; {order.reason}", base.labels.column)


def requested_order(classes: Sequence[str | int], uniques: Sequence[Any], needed: int | None) -> Order:
    """The order that `output.classes` gives.

    Raises:
        RequestError: it does not fit the model, or lacks a training label.
    """
    if needed is not None and len(classes) != needed:
        raise RequestError(
            "classes_mismatch",
            f"output.classes names {len(classes)} classes, the model answers {needed}.",
            field="output.classes",
        )
    by_text = {as_name(value): value for value in uniques}
    ordered = tuple(by_text.get(str(c), c) for c in classes)
    absent = [as_name(value) for value in uniques if value not in ordered]
    if absent:
        raise RequestError(
            "classes_mismatch",
            f"The training labels hold {', '.join(absent[:5])}, which output.classes does not name.",
            field="output.classes",
        )
    return Order(ordered, "output.classes")


def possible_orders(
    uniques: Sequence[Any], needed: int | None, lists: Sequence[ClassList], task: str = "auto"
) -> list[Order]:
    """Every order that a usual encoder gives, the most likely first, none twice.

    Args:
        uniques: training labels, texts in the order of their first appearance.
        needed: how many classes the model answers; None where it answers ids and so any number.
        lists: of class names, which the model carries.
        task: of the request.

    Raises:
        RequestError: `task_mismatch`, the task that was asked for is not that of the labels.
        DataError: `classes_ambiguous`.
    """
    numeric = all(isinstance(value, int | float) for value in uniques)
    width = len(uniques) if needed is None else needed
    found = _of_numbers(uniques, width) if numeric else _of_names([str(u) for u in uniques], needed, width, lists)
    if not found:
        if task == "binary" and len(uniques) > 2:
            raise _not_binary(uniques)
        raise _ambiguous(uniques, width)
    kept: dict[tuple[Any, ...], Order] = {}
    for order in found:
        kept.setdefault(order.classes, order)
    return list(kept.values())


def _of_numbers(uniques: Sequence[Any], width: int) -> list[Order]:
    numbers = sorted(int(v) if float(v).is_integer() else v for v in uniques)
    found: list[Order] = []
    if all(isinstance(v, int) for v in numbers):
        found += [
            Order(tuple(range(start, start + width)), f"labels count from {start}")
            for start in (0, 1)
            if numbers[0] >= start and numbers[-1] < start + width
        ]
    if len(numbers) == width and not found:
        found.append(Order(tuple(numbers), "labels in ascending order"))
    return found


def _of_names(uniques: list[str], needed: int | None, width: int, lists: Sequence[ClassList]) -> list[Order]:
    found = []
    for named in lists:
        if not set(uniques) <= set(named.names):
            continue
        if needed is None or len(named.names) == width:
            found.append(Order(named.names, f"label names as in {named.where}"))
        elif len(named.names) + 1 == width and UNKNOWN_TOKEN not in named.names:
            found.append(Order((UNKNOWN_TOKEN, *named.names), f"label names as in {named.where}, after unknown ones"))
    if len(uniques) == width:
        found.append(Order(tuple(sorted(uniques)), "label names in alphabetical order"))
        found.append(Order(tuple(uniques), "label names in the order of their first appearance"))
        found.append(Order(tuple(sorted(uniques))[::-1], "label names in reverse alphabetical order"))
    if all(name.isdecimal() for name in uniques):
        numbers = sorted(uniques, key=int)
        if len(uniques) == width:
            found.append(Order(tuple(numbers), "label numbers in ascending order"))
        elif int(numbers[-1]) < width:
            found.append(Order(tuple(str(i) for i in range(width)), "label numbers count from 0"))
    return found


def _shown(uniques: Sequence[Any]) -> str:
    return ", ".join(as_name(v)[:20] for v in uniques[:6]) + (", ..." if len(uniques) > 6 else "")


def _not_binary(uniques: Sequence[Any]) -> RequestError:
    return RequestError(
        "task_mismatch",
        f"The request says that the task is binary, but the training labels hold {len(uniques)} distinct values "
        f"({_shown(uniques)}). Set `task` to regression where they are quantities, to multiclass where they are "
        "classes, or leave it out; or name another label column.",
        field="task",
    )


def _ambiguous(uniques: Sequence[Any], width: int) -> DataError:
    what = (
        "Rows of classes that the model cannot answer must be left out, or another output or label column be named"
        if len(uniques) > width
        else "Name the classes in the order of the model's outputs in output.classes"
    )
    return DataError(
        "classes_ambiguous",
        f"The training labels hold {len(uniques)} distinct values ({_shown(uniques)}), the model answers {width} "
        f"classes. {what}; or, if the labels are quantities, set `task` to regression.",
        field="output.classes",
    )


def followed(orders: Sequence[Order], uniques: Sequence[Any], codes: Array, places: Array, width: int) -> Order:
    """The usual order, unless the model follows another one by far on the training rows; with what it follows.

    Args:
        orders: possible ones, the usual one first.
        uniques: training labels.
        codes: (rows,) place of each row's label among them.
        places: (rows,) the output that the model favours; negative where it gave no answer.
        width: how many outputs or ids there are.
    """
    usual = orders[0]
    usable = places >= 0
    counts = np.zeros((len(uniques), width))
    np.add.at(counts, (codes[usable], places[usable]), 1.0)
    rows = counts.sum(axis=1)
    rates = counts[rows > 0] / rows[rows > 0, None]
    if rows.sum() < MIN_ROWS:
        return usual
    seen = [value for value, n in zip(uniques, rows, strict=True) if n]
    chance = 1 / max(2, len(seen))

    def recalls(order: Order) -> Array:
        place = {value: at for at, value in enumerate(order.classes)}
        return np.array([rates[i, place[v]] if place[v] < width else 0.0 for i, v in enumerate(seen)])

    def error(recalled: Array) -> float:
        # two successes and two failures are added, so that no class is certain
        n = rows[rows > 0] + 4
        share = (recalled * (n - 4) + 2) / n
        return float(np.sqrt((share * (1 - share) / n).sum()) / len(recalled))

    scored = [(float(recalls(order).mean()), order) for order in orders]
    best, order = max(scored, key=lambda pair: pair[0])
    searched = _found(uniques, rates, rows, width)
    if searched is not None and float(recalls(searched).mean()) > best + MIN_LEAD:
        score = float(recalls(searched).mean())
        if score >= chance + MIN_FOUND_BEYOND_CHANCE * (1 - chance):
            best, order = score, searched
    first = scored[0][0]
    margin = max(MIN_LEAD, MIN_STANDARD_ERRORS * np.hypot(error(recalls(order)), error(recalls(usual))))
    if order is usual or best - first < margin or best < chance + MIN_BEYOND_CHANCE * (1 - chance):
        told = f"{usual.reason}, in which the model finds {first:.0%} of the training labels"
        return Order(usual.classes, told) if len(orders) > 1 else usual
    return Order(
        order.classes,
        f"{order.reason}: the model finds {best:.0%} of the training labels in this order, and {first:.0%} with the "
        f"{usual.reason}",
    )


def _found(uniques: Sequence[Any], rates: Array, rows: Array, width: int) -> Order | None:
    """The order of names in which most training answers are right; none of numbers, whose order is their own."""
    named = all(isinstance(value, str) for value in uniques)
    if not named or len(uniques) != width or not 2 < width <= MAX_FOUND_CLASSES or rows.min() < MIN_FOUND_ROWS:
        return None
    places = hungarian(-rates)
    names = [name for _, name in sorted(zip(places, uniques, strict=True))]
    return Order(tuple(names), "label names in the order that the model's own answers to the training rows show")
