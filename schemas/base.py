"""The two kinds of model that all others build on, numbers that are never NaN, and the names of the splits."""

import math
from typing import Annotated, Literal

from pydantic import AllowInfNan, BaseModel, ConfigDict

FiniteFloat = Annotated[float, AllowInfNan(False)]
Interval = tuple[FiniteFloat, FiniteFloat]
Split = Literal["train", "validation"]


class Received(BaseModel):
    """What a client sends: unknown fields are refused, so that a typo is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Sent(BaseModel):
    """What we answer: immutable, and without a number that JSON does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def finite(value: float | None) -> float | None:
    """The value as a plain float, or None where it is missing, NaN or infinite."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
