"""What labels mean once the task and the classes are known."""

import numpy as np
import pytest

from audits.artefacts import Array
from audits.evidence.labels import UNKNOWN, LabelSpace
from schemas.problem import DataError

NAMES = LabelSpace("binary", ("no", "yes"), "")
QUANTITY = LabelSpace("regression", (), "")


def texts(*values: str | bytes) -> Array:
    return np.array(values, dtype=object)


def test_a_value_that_is_no_class_is_unknown():
    assert NAMES.encode(texts("yes", "Yes", "no"), "validation").tolist() == [1, UNKNOWN, 0]


@pytest.mark.parametrize("labels", [np.array(["no", "yes"]), np.array([b"no", b"yes"])])
def test_texts_of_any_type_are_the_same_labels(labels: Array):
    assert NAMES.encode(labels, "train").tolist() == [0, 1]


def test_one_hot_labels_are_the_place_of_their_one():
    assert LabelSpace("multiclass", (0, 1, 2), "").encode(np.eye(3), "train").tolist() == [0, 1, 2]


def test_one_column_of_y_is_judged():
    space = LabelSpace("binary", (0, 1), "", column=1)

    assert space.encode(np.array([[0.0, 1.0], [1.0, 0.0]]), "train").tolist() == [1, 0]


def test_a_split_without_the_judged_column_is_refused():
    with pytest.raises(DataError) as refusal:
        LabelSpace("binary", (0, 1), "", column=2).encode(np.eye(2), "validation")

    assert (refusal.value.code, refusal.value.field) == ("label_column_missing", "output.index")


@pytest.mark.parametrize(
    ("classes", "answers", "codes"),
    [
        (("cat", "dog"), texts(b"dog", "cat", "cow"), [1, 0, UNKNOWN]),
        ((10, 20), np.array([20.0, 10.0, 30.0]), [1, 0, UNKNOWN]),
        ((0, 1), texts("1", "0"), [1, 0]),
        ((1, 2), np.array([np.nan, 2.0]), [UNKNOWN, 1]),
    ],
)
def test_answers_that_are_labels_are_found_by_name(classes: tuple, answers: Array, codes: list[int]):
    assert LabelSpace("binary", classes, "").codes_of_names(answers).tolist() == codes


def test_text_in_a_regression_names_its_row():
    with pytest.raises(DataError) as refusal:
        QUANTITY.encode(texts("1.5", "n/a"), "validation")

    assert (refusal.value.code, refusal.value.row) == ("label_not_numeric", 1)
