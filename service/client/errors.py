"""What a client raises.

ProblemError
  ├ InvalidRequestError this is no valid request; nothing was sent
  ├ ToldError           a problem that the service told
  │   ├ RefusedError    the request is at fault; mending it helps
  │   └ ServiceError    the service cannot be reached, is busy or failed; trying later may help
  ├ AuditFailedError    the audit ended without a report
  ├ WaitTimeoutError    the audit did not end in time; it goes on
  └ GateError           the verdict of a report breaks the gate
"""

from collections.abc import Sequence
from typing import Self

from schemas.problem import FieldError, Problem, ProblemError, RequestError


class InvalidRequestError(RequestError, ValueError):
    """This is no valid request; nothing was sent.

    Args:
        errors: every invalid field, and what to give there.
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        told = "; ".join(f"{error.field}: {error.detail.rstrip('.')}" for error in errors)
        super().__init__("invalid_request", f"This is no valid request: {told}.", field=errors[0].field)
        self.errors = tuple(errors)

    @property
    def problem(self) -> Problem:
        return super().problem.model_copy(update={"errors": list(self.errors)})


class ToldError(ProblemError):
    """A problem that the service told us, kept whole."""

    told: Problem | None = None

    @classmethod
    def from_problem(cls, problem: Problem) -> Self:
        error = super().from_problem(problem)
        error.told = problem
        return error

    @property
    def problem(self) -> Problem:
        return self.told or super().problem


class RefusedError(ToldError):
    """The service refused the request; mending the request helps."""


class ServiceError(ToldError):
    """The service cannot be reached, or failed."""


class AuditFailedError(ProblemError):
    """The audit ended without a report."""


class WaitTimeoutError(ProblemError, TimeoutError):
    """The audit did not end within the time that the caller gave. It goes on: wait again, or cancel it."""


class GateError(ProblemError):
    """The verdict of a report breaks the gate."""
