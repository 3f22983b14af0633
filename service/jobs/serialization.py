"""What the engine stores of a workflow, as JSON. Its default is pickle, which runs code when it is read."""

import json
from typing import Any

from dbos import Serializer
from dbos import error as dbos_error
from pydantic import ValidationError

from schemas.problem import Problem, ProblemError


class JsonSerializer(Serializer):
    """Plain values as JSON; an exception as the problem that it stands for."""

    def serialize(self, data: Any) -> str:
        if isinstance(data, BaseException):
            return json.dumps({"problem": problem_of(data).model_dump(mode="json", exclude_none=True)})
        return json.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        data = json.loads(serialized_data)
        if isinstance(data, dict) and data.keys() == {"problem"}:
            return ProblemError.from_problem(Problem.model_validate(data["problem"]))
        return data

    def name(self) -> str:
        return "fitcheck_json"


def problem_of(error: BaseException) -> Problem:
    """The problem to show for an exception. What is none of ours says nothing of its text: it may hold secrets."""
    if isinstance(error, ProblemError):
        return error.problem
    if isinstance(error, dbos_error.DBOSMaxStepRetriesExceeded) and error.errors:
        return problem_of(error.errors[-1])
    return internal_error()


def stored_problem(text: str | None) -> Problem:
    """The problem in the `error` column of a failed workflow."""
    try:
        return Problem.model_validate(json.loads(text or "")["problem"])
    except (ValueError, KeyError, TypeError, ValidationError):
        return internal_error()


def internal_error() -> Problem:
    return ProblemError(
        "internal_error", "The service failed, not your model. The operator's log says why; try again."
    ).problem
