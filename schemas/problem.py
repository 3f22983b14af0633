"""Problem details (RFC 9457), and the exception that carries one through our code.

Exception
  └ ProblemError          something the user can act on; knows the problem, not HTTP
      ├ RequestError      the request contradicts itself or names what is not allowed
      ├ ModelError        the model cannot be found, opened or run
      ├ DataError         the data cannot be found, read or used
      └ EvaluatorError    the machinery around the model failed: killed, crashed, out of time
"""

from typing import Self

from pydantic import Field

from schemas.base import Sent

TYPE_PREFIX = "urn:fitcheck:problem:"


class Problem(Sent):
    """Why something was refused or failed, and what to do about it."""

    type: str = Field("about:blank", description="A URI that names the kind of problem.")
    title: str = Field(description="The kind of problem in a few words, the same for every occurrence.")
    status: int | None = Field(None, description="The HTTP status, where this was an HTTP answer.")
    detail: str = Field(description="What happened here, and what to do.")
    code: str = Field(description="A stable identifier in lower snake case.", examples=["label_missing"])
    instance: str | None = Field(None, description="The address of this occurrence.")
    field: str | None = Field(None, description="The request field to blame.", examples=["data.label"])
    file: str | None = Field(None, description="The file to blame.")
    row: int | None = Field(None, ge=0, description="The first row to blame, counted from 0.")
    column: str | None = Field(None, description="The column to blame.")
    op: str | None = Field(None, description="The model's operation to blame.")
    errors: list["FieldError"] | None = Field(None, description="Every invalid field, where there are several.")


class FieldError(Sent):
    """One invalid field of a request."""

    field: str
    detail: str


class ProblemError(Exception):
    """Something the user can act on.

    Args:
        code: stable identifier in lower snake case.
        detail: one or two sentences, what happened and what to do.
        field, file, row, column, op: where it lies, as they apply.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        file: str | None = None,
        row: int | None = None,
        column: str | None = None,
        op: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.file = file
        self.row = row
        self.column = column
        self.op = op

    @property
    def problem(self) -> Problem:
        return Problem(
            type=TYPE_PREFIX + self.code,
            title=title_of(self.code),
            detail=self.detail,
            code=self.code,
            field=self.field,
            file=self.file,
            row=self.row,
            column=self.column,
            op=self.op,
        )

    @classmethod
    def from_problem(cls, problem: Problem) -> Self:
        return cls(
            problem.code,
            problem.detail,
            field=problem.field,
            file=problem.file,
            row=problem.row,
            column=problem.column,
            op=problem.op,
        )


class RequestError(ProblemError):
    """The request contradicts itself or names what is not allowed."""


class ModelError(ProblemError):
    """The model cannot be found, opened or run."""


class DataError(ProblemError):
    """The data cannot be found, read or used."""


class EvaluatorError(ProblemError):
    """The machinery around the model failed: killed, crashed, out of time."""


def title_of(code: str) -> str:
    """The code as a title: ``label_missing`` reads "Label missing"."""
    return code.replace("_", " ").capitalize()
