"""How labels are changed before training, and how answers in that unit are brought back."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audits.artefacts import Array

# Divisors that people use: decimal units, percent, bytes, minutes, hours.
DIVISORS = (10.0, 60.0, 100.0, 255.0, 1000.0, 3600.0, 10_000.0, 100_000.0, 1_000_000.0)
# Beyond, an exponential is no answer any more, and its square overflows.
LARGEST_EXPONENT = 100.0


@dataclass(frozen=True)
class LabelUnit:
    """A unit of answers that is not the labels'.

    Attributes:
        name: what was done to the labels.
        back: answers to the labels' unit.
        code: the same as a Python expression of `answer`.
        exact: whether it stands on numbers of the training labels, which no chance hits.
    """

    name: str
    back: Callable[[Array], Array]
    code: str
    exact: bool


def units_of(labels: Array) -> list[LabelUnit]:
    """The units in which a model of these training labels, (n,), may answer."""
    mean, deviation = float(labels.mean()), float(labels.std())
    low, high = float(labels.min()), float(labels.max())
    span = high - low
    found = [
        LabelUnit(
            "standardised", lambda a: a * deviation + mean, f"answer * {deviation:.9g} + ({mean:.9g})", exact=True
        ),
        LabelUnit("scaled to 0..1", lambda a: a * span + low, f"answer * {span:.9g} + ({low:.9g})", exact=True),
        LabelUnit(
            "scaled to -1..1",
            lambda a: (a + 1) / 2 * span + low,
            f"(answer + 1) / 2 * {span:.9g} + ({low:.9g})",
            exact=True,
        ),
        LabelUnit("centred", lambda a: a + mean, f"answer + ({mean:.9g})", exact=True),
    ]
    if high > 0:
        found.append(
            LabelUnit("divided by their maximum", lambda a: a * high, f"answer * {high:.9g}", exact=True),
        )
    if low > -1:
        found.append(LabelUnit("log1p", lambda a: np.expm1(_bounded(a)), "np.expm1(answer)", exact=True))
    if low > 0:
        found += [
            LabelUnit("log", lambda a: np.exp(_bounded(a)), "np.exp(answer)", exact=True),
            LabelUnit("log10", lambda a: 10 ** _bounded(a), "10**answer", exact=True),
        ]
    for divisor in DIVISORS:
        found += [_times(divisor), _times(1 / divisor)]
    return found


def _times(factor: float) -> LabelUnit:
    name = f"divided by {factor:g}" if factor > 1 else f"multiplied by {1 / factor:g}"
    return LabelUnit(name, lambda a: a * factor, f"answer * {factor:.9g}", exact=False)


def _bounded(answers: Array) -> Array:
    return np.clip(answers, -LARGEST_EXPONENT, LARGEST_EXPONENT)
