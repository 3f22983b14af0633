"""Problems, and the exceptions that carry them."""

import pytest

from schemas.problem import DataError, EvaluatorError, ModelError, Problem, ProblemError, RequestError, title_of


@pytest.mark.parametrize("kind", [RequestError, ModelError, DataError, EvaluatorError])
def test_every_error_is_a_problem(kind: type[ProblemError]):
    error = kind(
        "label_missing", "There is no column 'y'.", field="data.label", file="v.csv", row=3, column="y", op="MatMul"
    )

    problem = error.problem

    assert isinstance(error, ProblemError)
    assert str(error) == problem.detail == "There is no column 'y'."
    assert (problem.code, problem.title) == ("label_missing", "Label missing")
    assert (problem.field, problem.file, problem.row, problem.column, problem.op) == (
        "data.label",
        "v.csv",
        3,
        "y",
        "MatMul",
    )
    assert problem.type == "urn:fitcheck:problem:label_missing"


def test_a_problem_survives_the_way_through_json():
    error = DataError("data_empty", "No rows.", field="data.train.uri")

    again = DataError.from_problem(Problem.model_validate_json(error.problem.model_dump_json()))

    assert again.problem == error.problem


@pytest.mark.parametrize(
    ("code", "title"), [("label_missing", "Label missing"), ("unknown_check", "Unknown check"), ("a", "A")]
)
def test_the_title_is_the_code_in_words(code: str, title: str):
    assert title_of(code) == title
