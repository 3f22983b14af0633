"""What labels mean."""

import numpy as np
import pytest

from audits.artefacts import Array
from audits.evidence.labels import UNKNOWN, label_space
from schemas.problem import DataError, ProblemError, RequestError


def texts(*values: str) -> Array:
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    ("labels", "outputs", "task", "classes"),
    [
        (np.array([0, 1, 1]), 1, "binary", (0, 1)),
        (np.array([1, 2, 1]), 1, "binary", (1, 2)),
        (np.array([-1.0, 1.0]), 1, "binary", (-1, 1)),
        (np.array([0, 1]), 2, "binary", (0, 1)),
        (np.array([0, 2, 1]), 3, "multiclass", (0, 1, 2)),
        (np.array([1, 3]), 3, "multiclass", (1, 2, 3)),
        (np.array([0, 3]), 5, "multiclass", (0, 1, 2, 3, 4)),
        (texts("no", "yes", "no"), 1, "binary", ("no", "yes")),
        (texts("c", "a", "b"), 3, "multiclass", ("a", "b", "c")),
        (np.array([0.5, 1.5, 2.5]), 1, "regression", ()),
        (np.array([1, 2, 3, 4]), 1, "regression", ()),
    ],
)
def test_task_and_classes_follow_from_the_labels_and_the_outputs(
    labels: Array, outputs: int, task: str, classes: tuple[object, ...]
):
    space = label_space(labels, "auto", outputs, None, names_classes=False)

    assert (space.task, space.classes) == (task, classes)
    assert space.reason


def test_one_hot_labels_are_classes():
    space = label_space(np.eye(3), "auto", 3, None, names_classes=False)

    assert space.task == "multiclass"
    assert space.encode(np.eye(3), "train").tolist() == [0, 1, 2]


def test_the_requests_order_of_the_classes_counts():
    space = label_space(texts("no", "yes"), "auto", 1, ["yes", "no"], names_classes=False)

    assert space.encode(texts("no", "yes"), "train").tolist() == [1, 0]


def test_a_value_that_is_no_class_is_unknown():
    space = label_space(texts("no", "yes"), "auto", 1, None, names_classes=False)

    assert space.encode(texts("yes", "Yes", "no"), "validation").tolist() == [1, UNKNOWN, 0]


@pytest.mark.parametrize(
    ("labels", "outputs", "classes", "code"),
    [
        (np.array([1, 1, 1]), 2, None, "one_class_only"),
        (texts("a", "b", "c"), 1, None, "classes_ambiguous"),
        (np.array([10, 20]), 3, None, "classes_ambiguous"),
        (texts("a", "b"), 1, ["a", "b", "c"], "classes_mismatch"),
        (texts("a", "b", "d"), 3, ["a", "b", "c"], "classes_mismatch"),
    ],
)
def test_labels_that_do_not_fit_the_model_are_refused(
    labels: Array, outputs: int, classes: list[str | int] | None, code: str
):
    with pytest.raises(ProblemError) as refusal:
        label_space(labels, "auto", outputs, classes, names_classes=False)

    assert refusal.value.code == code
    assert refusal.value.field


def test_text_in_a_regression_names_its_row():
    space = label_space(np.array([1.5, 2.5]), "regression", 1, None, names_classes=False)

    with pytest.raises(DataError) as refusal:
        space.encode(texts("1.5", "n/a"), "validation")

    assert (refusal.value.code, refusal.value.row) == ("label_not_numeric", 1)


def test_class_ids_as_output_take_the_classes_of_the_labels():
    space = label_space(np.array([0, 1, 2, 3]), "multiclass", 1, None, names_classes=True)

    assert space.n_classes == 4


def test_a_refusal_by_the_request_is_a_request_error():
    with pytest.raises(RequestError):
        label_space(texts("a", "b"), "auto", 2, ["a"], names_classes=False)


@pytest.mark.parametrize(
    ("labels", "task", "outputs", "names_classes", "code"),
    [
        (np.full(20, 3.5), "auto", 1, False, "label_constant"),
        (np.array([0.5, 1e300, 2.5]), "auto", 1, False, "label_out_of_range"),
        (np.eye(3), "auto", 4, False, "classes_mismatch"),
        (np.eye(3), "regression", 3, False, "classes_mismatch"),
    ],
)
def test_labels_that_nothing_can_be_learned_from_are_refused(
    labels: Array, task: str, outputs: int, names_classes: bool, code: str
):
    with pytest.raises(DataError) as refused:
        label_space(labels, task, outputs, None, names_classes=names_classes)

    assert refused.value.code == code


def test_an_output_that_numbers_classes_is_no_regression():
    """Three whole labels and an integer output are classes; of a float output they are a quantity."""
    labels = np.array([0, 1, 2, 1, 0])

    assert label_space(labels, "auto", 1, None, names_classes=True).task == "multiclass"
    assert label_space(labels.astype(float), "auto", 1, None, names_classes=False).task == "regression"


def test_two_one_hot_columns_are_a_binary_task():
    assert label_space(np.eye(2), "auto", 1, None, names_classes=False).task == "binary"
