"""Names of a model find their columns through what exports do to names, and nothing is guessed."""

import pytest

from audits.artefacts import Column
from audits.evidence.feeds.matching import matched, numbered


def columns(*names: str) -> list[Column]:
    return [Column(name, "number") for name in names]


def found(names: list[str], *there: str) -> dict[str, str]:
    return {name: column.name for name, column in matched(names, columns(*there)).items()}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("age", "age"),
        ("Age", " AGE "),
        ("home_city", "Home-City"),
        ("HomeCity", "home city"),
        ("age_1", "age"),
        ("age:0", "age"),
        ("age_2:0", "Age"),
        ("serving_default_age", "age"),
        ("input_age", "age"),
        ("age_input", "age"),
        ("Placeholder/age", "age"),
        ("serving/inputs/age", "age"),
        ("model/deep/age:0", "age"),
        ("x_1", "x1"),
    ],
)
def test_spellings_of_one_name(name: str, column: str) -> None:
    assert found([name], "other", column) == {name: column}


def test_the_strictest_spelling_wins() -> None:
    assert found(["age", "Age"], "Age", "age") == {"age": "age", "Age": "Age"}
    assert found(["age", "age_1"], "age", "age_1") == {"age": "age", "age_1": "age_1"}


@pytest.mark.parametrize(
    ("names", "there"),
    [(["age"], ["Age", "AGE"]), (["x_1", "x_2"], ["x"]), (["age"], ["ages"]), (["input"], ["x"])],
)
def test_nothing_is_guessed(names: list[str], there: list[str]) -> None:
    assert found(names, *there) == {}


def test_a_taken_column_is_not_taken_again() -> None:
    assert found(["age", "age_1"], "age") == {"age": "age"}


@pytest.mark.parametrize(
    ("there", "order"),
    [
        (["x_10", "x_2", "x_1", "x_0", "y"], []),  # a gap
        (["x_2", "x_1", "x_0", "y"], ["x_0", "x_1", "x_2"]),
        (["x[1]", "x[2]"], ["x[1]", "x[2]"]),
        (["X1", "X2"], ["X1", "X2"]),
        (["x_2", "x_3"], []),
        (["x_1", "x1"], []),
    ],
)
def test_numbered_columns(there: list[str], order: list[str]) -> None:
    assert [column.name for column in numbered("x", columns(*there))] == order
