"""An audit with a scratch folder: what it fetches lies there, and is called by its address in all that it says."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from audits.sources.locations import Roots
from audits.sources.remote import scratch
from schemas.report import Report


def staged(audit: Callable[..., Report]) -> Callable[..., Report]:
    """Give a function that takes `roots` a scratch folder, which is removed when it returns."""

    @wraps(audit)
    def with_scratch(*args: Any, roots: Roots, **named: Any) -> Report:
        with scratch() as place:
            report = audit(*args, roots=replace(roots, scratch=place), **named)
            return Report.model_validate(place.said(report.model_dump())) if place.is_used else report

    return with_scratch
