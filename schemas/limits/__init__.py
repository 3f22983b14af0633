"""Every limit of every check, in one place: typed, described, echoed in the report, overridable per request."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from schemas.limits import metrics, overfitting, preprocessing
from schemas.limits.base import Limits
from schemas.problem import RequestError

LIMITS: dict[str, type[Limits]] = overfitting.LIMITS | metrics.LIMITS | preprocessing.LIMITS


def limits_for(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Limits]:
    """The limits of every check, with a request's overrides.

    Raises:
        RequestError: an override names no check or no limit, or its value is out of range.
    """
    for code in overrides:
        if code not in LIMITS:
            raise RequestError(
                "unknown_check",
                f"checks.limits names {code!r}, which is no check; see GET /v1/catalogue.",
                field=f"checks.limits.{code}",
            )
    try:
        return {code: kind.model_validate(dict(overrides.get(code, {}))) for code, kind in LIMITS.items()}
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        code = next(c for c, kind in LIMITS.items() if kind.__name__ == error.title and c in overrides)
        raise RequestError(
            "invalid_limit",
            f"Limit {name!r} of {code}: {first['msg'].lower()}. See GET /v1/catalogue/{code}.",
            field=f"checks.limits.{code}.{name}",
        ) from error
