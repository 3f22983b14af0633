"""What one output means for the labels at hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_softmax, logit, softmax

from audits.artefacts import Array, ClassList
from audits.evidence.meaning.understanding import Head, understand
from audits.evidence.outputs import OutputMeaning
from schemas.problem import DataError, ModelError, ProblemError, RequestError
from tests.factories import request_for

RNG = np.random.default_rng(7)
N = 400
EVIDENCE = RNG.normal(size=N)  # log-odds of the second class
BINARY = (RNG.random(N) < expit(2 * EVIDENCE)).astype(np.int64)
CLASSES = RNG.integers(0, 3, N)
SHARES = softmax(2.5 * np.eye(3)[CLASSES] + RNG.normal(size=(N, 3)), axis=1)
QUANTITY = RNG.normal(size=N)


def texts(*values: str) -> Array:
    return np.array(values, dtype=object)


def read(
    values: Any,
    labels: Array,
    op: str | None = None,
    lists: Sequence[ClassList] = (),
    label: str | None = None,
    **asked,
) -> OutputMeaning:
    task = asked.pop("task", "auto")
    request = request_for(task=task, output=asked)
    if label is not None:
        request = request.model_copy(update={"data": request.data.model_copy(update={"label": label})})
    return understand(Head("output", np.asarray(values), op), labels, request, lambda: lists)


def refused(*args: Any, **asked: Any) -> ProblemError:
    with pytest.raises(ProblemError) as refusal:
        read(*args, **asked)
    return refusal.value


# Decisions


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_scores_in_bytes_are_no_classes(dtype: str) -> None:
    scores = np.clip(30 * EVIDENCE + (0 if dtype == "int8" else 128), *((-128, 127) if dtype == "int8" else (0, 255)))
    problem = refused(scores.astype(dtype), BINARY)

    assert problem.code == "output_quantised"
    assert "zero_point" in problem.detail
    assert read(BINARY.astype(dtype), BINARY).kind == "class"


# Scales


@pytest.mark.parametrize(
    ("values", "op", "labels", "kind", "form"),
    [
        (expit(2 * EVIDENCE), "Sigmoid", BINARY, "probability", "plain"),
        (expit(2 * EVIDENCE), None, BINARY, "probability", "plain"),
        (2 * EVIDENCE, "BiasAdd", BINARY, "logit", "plain"),
        (2 * EVIDENCE, None, BINARY, "logit", "plain"),
        (SHARES, "Softmax", CLASSES, "probability", "plain"),
        (SHARES, None, CLASSES, "probability", "plain"),
        (np.log(SHARES) + 3, "BiasAdd", CLASSES, "logit", "plain"),
        (SHARES * 0.7, None, CLASSES, "logit", "plain"),
        (expit(np.log(SHARES)), "Sigmoid", CLASSES, "probability", "plain"),
        (log_softmax(np.log(SHARES), axis=1), "LogSoftmax", CLASSES, "probability", "log"),
        (np.log(SHARES), "Log", CLASSES, "probability", "log"),
        (np.tanh(EVIDENCE), "Tanh", 2 * BINARY - 1, "probability", "margin"),
        (np.where(np.arange(N) % 9 == 0, np.nan, expit(2 * EVIDENCE)), None, BINARY, "probability", "plain"),
        (QUANTITY, "BiasAdd", QUANTITY, "value", "plain"),
    ],
)
def test_the_scale_is_read_from_the_graph_or_the_values(values, op, labels, kind: str, form: str):
    found = read(values, labels, op)

    assert (found.kind, found.form) == (kind, form)
    assert found.reason


def test_logits_that_happen_to_lie_between_0_and_1_are_logits():
    """A weak model of a common class: all log-odds are small and positive."""
    evidence = RNG.uniform(0.05, 0.95, 2000)
    labels = (RNG.random(2000) < expit(evidence)).astype(np.int64)

    assert read(evidence, labels, "BiasAdd").kind == "logit"


def test_an_average_of_sigmoids_ends_in_an_addition_and_is_a_probability():
    found = read(expit(2 * EVIDENCE), BINARY, "AddV2")

    assert found.kind == "probability"
    assert "average" in found.reason


def least_squares(labels: Array) -> Array:
    """A line of the evidence, fitted to labels."""
    design = np.stack([np.ones(N), EVIDENCE], axis=1)
    return np.asarray(design @ np.linalg.lstsq(design, labels.astype(float), rcond=None)[0])


@pytest.mark.parametrize(
    ("labels", "form"),
    [(BINARY, "label_scale"), (2 * BINARY - 1, "margin"), (np.where(BINARY, "yes", "no"), "label_scale")],
)
def test_least_squares_are_told_from_logits_by_the_training_rows(labels: Array, form: str):
    values = least_squares(2 * BINARY - 1 if form == "margin" else BINARY)

    found = read(values, labels, "BiasAdd")

    assert found.form == form
    assert "mean squared error" in found.reason
    assert (found.read(values).decisions == (values >= (0 if form == "margin" else 0.5))).all()


def test_least_squares_of_several_classes_are_told_from_logits():
    design = np.concatenate([np.ones((N, 1)), SHARES[:, :2]], axis=1)
    values = design @ np.linalg.lstsq(design, np.eye(3)[CLASSES], rcond=None)[0]

    found = read(values, CLASSES, "BiasAdd")

    assert found.form == "label_scale"
    assert (found.read(values).decisions == values.argmax(axis=1)).all()


@pytest.mark.parametrize("shift", [0.0, -1.0, 2.0])
@pytest.mark.parametrize("spread", [0.2, 1.0, 5.0])
def test_logits_are_not_taken_for_least_squares(shift: float, spread: float):
    """Sure or unsure ones, and those of a model that was stopped early, whose mean is wrong."""
    assert read(spread * EVIDENCE + shift, BINARY, "BiasAdd").kind == "logit"


def test_least_squares_leave_no_offset_and_a_handful_of_rows_shows_nothing():
    few_values, few_labels = np.repeat([0.3, 0.7], 10), np.repeat([0, 1, 0, 1], [7, 3, 3, 7])

    assert read(least_squares(BINARY) + 0.25, BINARY, "BiasAdd").kind == "logit"
    assert read(few_values, few_labels, "BiasAdd").kind == "logit"
    assert read(np.tile(few_values, 40), np.tile(few_labels, 40), "BiasAdd").kind == "probability"


def test_the_requests_kind_counts():
    assert read(expit(EVIDENCE), BINARY, "Sigmoid", kind="logit").kind == "logit"
    assert read(EVIDENCE, BINARY, "BiasAdd", kind="margin").form == "margin"
    assert read(np.log(SHARES), CLASSES, kind="log_probability").form == "log"
    assert read([[0.0], [2.0], [1.0]], np.array([0, 2, 1]), kind="class").kind == "class"


def test_numbers_that_are_no_probabilities_are_read_as_logits_whatever_the_request_says():
    """A check tells what the misreading costs; refusing would leave the user without an answer."""
    found = read([[0.2], [7.0]], np.array([0, 1]), kind="probability")

    assert found.kind == "logit"
    assert "7, which is none" in found.reason


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("class", [[0.4], [1.0]]),
        ("value", [[0.0], [1.0]]),
        ("log_probability", [[0.1, -1.0], [-1.0, -1.0]]),
        ("margin", [[0.1, -1.0], [-1.0, -1.0]]),
    ],
)
def test_a_requested_kind_that_the_values_contradict_is_refused(kind: str, values: list):
    problem = refused(values, np.array([0, 1]), kind=kind)

    assert (problem.code, problem.field) == ("output_kind_mismatch", "output.kind")


# Tasks and classes


@pytest.mark.parametrize(
    ("labels", "outputs", "task", "classes"),
    [
        (np.array([0, 1, 1]), 1, "binary", (0, 1)),
        (np.array([1, 2, 1]), 1, "binary", (1, 2)),
        (np.array([-1.0, 1.0]), 1, "binary", (-1, 1)),
        (np.array([True, False]), 1, "binary", (0, 1)),
        (np.array([0, 1]), 2, "binary", (0, 1)),
        (np.array([0, 2, 1]), 3, "multiclass", (0, 1, 2)),
        (np.array([1.0, 3.0]), 3, "multiclass", (1, 2, 3)),
        (np.array([0, 3]), 5, "multiclass", (0, 1, 2, 3, 4)),
        (np.array([10, 20, 30]), 3, "multiclass", (10, 20, 30)),
        (texts("no", "yes", "no"), 1, "binary", ("no", "yes")),
        (np.array(["no", "yes"]), 1, "binary", ("no", "yes")),
        (np.array([b"no", b"yes"]), 1, "binary", ("no", "yes")),
        (texts("c", "a", "b"), 3, "multiclass", ("a", "b", "c")),
        (np.array([0.5, 1.5, 2.5]), 1, "regression", ()),
        (np.array([1, 2, 3, 4]), 1, "regression", ()),
        (np.eye(3), 3, "multiclass", (0, 1, 2)),
        (np.eye(2), 1, "binary", (0, 1)),
        (np.array([[0.9, 0.05, 0.05], [0.1, 0.9, 0.0]]), 3, "multiclass", (0, 1, 2)),
    ],
)
def test_task_and_classes_follow_from_the_labels_and_the_outputs(labels: Array, outputs: int, task, classes):
    values = np.full((len(labels), outputs), 0.3) + np.arange(len(labels))[:, None] / 10

    space = read(values, labels).labels

    assert (space.task, space.classes) == (task, classes)
    assert space.reason


def test_the_requests_order_of_the_classes_counts():
    space = read([[0.2], [0.4]], texts("no", "yes"), classes=["yes", "no"]).labels

    assert space.encode(texts("no", "yes"), "train").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "outputs", "asked", "code"),
    [
        (np.array([1, 1, 1]), 2, {}, "one_class_only"),
        (texts("a", "b", "c"), 1, {}, "classes_ambiguous"),
        (texts("a", "b"), 3, {}, "classes_ambiguous"),
        (np.array([10, 20]), 3, {}, "classes_ambiguous"),
        (np.array([0, 1, 2, 3]), 2, {"task": "multiclass"}, "classes_ambiguous"),
        (np.arange(30) / 7, 1, {"task": "binary"}, "task_mismatch"),
        (texts("a", "b", "c"), 2, {"task": "binary"}, "task_mismatch"),
        (texts("a", "b"), 1, {"classes": ["a", "b", "c"]}, "classes_mismatch"),
        (texts("a", "b", "d"), 3, {"classes": ["a", "b", "c"]}, "classes_mismatch"),
        (np.full(20, 3.5), 1, {}, "label_constant"),
        (np.array([0.5, 1e300, 2.5]), 1, {}, "label_out_of_range"),
        (np.eye(3), 4, {}, "classes_mismatch"),
        (np.eye(3), 3, {"task": "regression"}, "classes_mismatch"),
    ],
)
def test_labels_that_do_not_fit_the_model_are_refused(labels: Array, outputs: int, asked: dict, code: str):
    problem = refused(np.full((len(labels), outputs), 0.3), labels, **asked)

    assert problem.code == code
    assert problem.field


def test_the_requests_task_counts():
    assert read(np.arange(5.0), np.array([0, 1, 1, 0, 0]), task="regression").kind == "value"


# The order of names


def test_names_are_in_the_order_that_the_model_follows():
    """Good is 0 and bad is 1, as they first appeared: not in the alphabet's order."""
    labels = np.where(BINARY == 1, "bad", "good").astype(object)
    labels[0] = "good"

    found = read(expit(2 * EVIDENCE), labels, "Sigmoid").labels

    assert found.classes == ("good", "bad")
    assert "training labels in this order" in found.reason


@pytest.mark.parametrize("order", [("b", "a", "c"), ("c", "a", "b")])
def test_an_order_that_no_rule_gives_is_found_where_the_answers_settle_it(order: tuple[str, ...]):
    labels = np.array(order, dtype=object)[CLASSES]
    first = np.flatnonzero(labels == "a")[0]
    labels[[0, first]] = labels[[first, 0]]
    shares = SHARES.copy()
    shares[[0, first]] = shares[[first, 0]]

    assert read(shares, labels, "Softmax").labels.classes == order


def test_a_handful_of_rows_settles_no_order():
    assert read([[0.1], [0.9]] * 4, texts(*"ba" * 4), "Sigmoid").labels.classes == ("a", "b")


@pytest.mark.parametrize(("rows", "wrong"), [(11, (8, 7)), (1000, (620, 620))])
def test_a_weak_contradiction_of_the_alphabet_settles_no_order(rows: int, wrong: tuple[int, int]):
    """Of few rows it may be chance, and 62 in 100 may be a bad model of the usual order."""
    values = np.concatenate([np.arange(rows) < wrong[0], np.arange(rows) >= wrong[1]]) * 0.8 + 0.1

    assert read(values, texts(*"a" * rows, *"b" * rows), "Sigmoid").labels.classes == ("a", "b")


@pytest.mark.parametrize("rows", [(30, 30, 30), (30, 30, 4)])
def test_an_order_that_no_rule_gives_needs_right_answers_and_rows_of_every_class(rows: tuple[int, int, int]):
    """Six in ten are right in the order b, a, c; or all are, with four rows of a class."""
    labels = texts(*np.repeat(["a", "b", "c"], rows))
    places = np.repeat([1, 0, 2], rows)
    if min(rows) == 30:
        places = np.where(np.arange(len(places)) % 10 < 6, places, (places + 1) % 3)

    assert read(np.eye(3)[places] * 0.7 + 0.1, labels, "Softmax").labels.classes == ("a", "b", "c")


def test_a_model_that_knows_nothing_leaves_the_names_in_alphabetical_order():
    labels = np.array(["c", "a", "b"], dtype=object)[CLASSES]

    assert read(RNG.permutation(SHARES), labels, "Softmax").labels.classes == ("a", "b", "c")


def test_numbers_keep_their_order_even_where_the_model_contradicts_it():
    """That is a fault to be found, and no encoding to be undone."""
    assert read(expit(-2 * EVIDENCE), BINARY, "Sigmoid").labels.classes == (0, 1)


def test_the_models_own_list_of_names_counts_before_the_alphabet():
    labels = np.array(["dog", "cat", "cow"], dtype=object)[CLASSES]
    lists = [ClassList(("red", "green", "blue"), "a"), ClassList(("dog", "cat", "cow"), "the file labels.txt")]

    found = read(RNG.permutation(SHARES), labels, "Softmax", lists).labels

    assert found.classes == ("dog", "cat", "cow")
    assert "labels.txt" in found.reason


def test_classes_without_a_training_row_are_named_by_the_models_list():
    labels = np.array(["dog", "cat"], dtype=object)[BINARY]
    shares = np.stack([0.7 * (1 - BINARY), 0.7 * BINARY, np.zeros(N)], axis=1) + 0.1

    assert read(shares, labels, "Softmax", [ClassList(("dog", "cat", "cow"), "x")]).labels.n_classes == 3
    unknown_first = np.concatenate([np.zeros((N, 1)), shares[:, :2]], axis=1)
    lists = [ClassList(("dog", "cat"), "x")]
    assert read(unknown_first, labels, "Softmax", lists).labels.classes == ("[UNK]", "dog", "cat")


def test_numbers_from_1_are_told_from_a_background_class_0_by_the_model():
    """Labels 1 to 3 and four outputs: 0 is the background, or 4 has no row."""
    for place, classes in ((1, (0, 1, 2, 3)), (0, (1, 2, 3, 4))):
        shares = np.full((N, 4), 0.01)
        shares[np.arange(N), CLASSES + place] = 0.97

        assert read(shares, CLASSES + 1, "Softmax").labels.classes == classes


# Decisions


@pytest.mark.parametrize(
    ("values", "op", "labels", "form", "classes"),
    [
        (CLASSES, None, CLASSES, "plain", (0, 1, 2)),
        (CLASSES[:, None].astype(np.float32), "ArgMax", CLASSES, "plain", (0, 1, 2)),
        (CLASSES.astype(np.float32), None, CLASSES, "plain", (0, 1, 2)),
        (BINARY.astype(bool), "GreaterEqual", BINARY, "plain", (0, 1)),
        (CLASSES, None, CLASSES + 1, "plain", (1, 2, 3)),
        (CLASSES + 1, None, CLASSES + 1, "labels", (1, 2, 3)),
        (10 * CLASSES + 10, None, 10 * CLASSES + 10, "labels", (10, 20, 30)),
        (2 * BINARY - 1, "Sign", 2 * BINARY - 1, "labels", (-1, 1)),
        (CLASSES, None, np.array(["a", "b", "c"], dtype=object)[CLASSES], "plain", ("a", "b", "c")),
        (CLASSES + 1, None, np.minimum(CLASSES + 1, 2), "labels", (1, 2, 3)),
        (np.eye(3, dtype=np.int32)[CLASSES], None, CLASSES, "one_hot", (0, 1, 2)),
        (np.eye(3, dtype=np.float32)[CLASSES], "OneHot", CLASSES, "one_hot", (0, 1, 2)),
        (CLASSES, None, np.eye(3)[CLASSES], "plain", (0, 1, 2)),
        (np.array([b"x", b"y", b"z"], dtype=object)[CLASSES][:, None], None,
         np.array(["x", "y", "z"], dtype=object)[CLASSES], "names", ("x", "y", "z")),
        (np.array(["0", "1"], dtype=object)[BINARY], None, BINARY, "names", (0, 1)),
    ],
)  # fmt: skip
def test_decisions_are_recognised(values: Array, op: str | None, labels: Array, form: str, classes: tuple):
    found = read(values, labels, op)

    assert (found.kind, found.form, found.labels.classes) == ("class", form, classes)
    encoded = found.labels.encode(labels, "train")
    agreed = found.read(values).decisions == encoded
    assert agreed.all() == (len(set(encoded)) == len(classes))


def test_answers_that_are_no_label_at_all_are_refused():
    problem = refused(texts("cat", "dog"), np.array([0, 1]))

    assert (problem.code, problem.field) == ("classes_ambiguous", "output.tensor")


def test_a_decision_that_never_varies_is_one():
    assert read(np.ones(N, np.float32), CLASSES, "ArgMax").kind == "class"


def test_whole_numbers_for_real_labels_are_a_quantity():
    assert read(np.round(3 * QUANTITY).astype(np.int64), QUANTITY).kind == "value"


def test_counts_are_a_quantity():
    counts = RNG.poisson(30, N)

    assert read(counts + RNG.normal(size=N), counts, "Exp").kind == "value"


# Ordered classes


def test_falling_probabilities_one_less_than_the_classes_are_cumulative():
    passed = np.stack([np.where(j < CLASSES, 0.9, 0.1 - 0.05 * j) for j in range(2)], axis=1)
    for values, op, form in (
        (passed, "Sigmoid", "cumulative"),
        (logit(passed), "BiasAdd", "cumulative_logit"),
    ):
        for start in (0, 1):
            found = read(values, CLASSES + start, op)

            assert (found.kind, found.form) == ("probability", form)
            assert found.labels.classes == tuple(range(start, start + 3))
            assert (found.read(values).decisions == CLASSES).all()


# Several values a row


def test_the_median_of_quantiles_is_judged():
    values = QUANTITY[:, None] * 0.5 + np.array([-1.1, 0.0, 1.1])

    found = read(values, QUANTITY, "BiasAdd")

    assert found.index == 1
    assert "median" in found.chosen
    assert (found.read(values).values == values[:, 1]).all()


def test_the_mean_of_mean_and_variance_is_judged():
    values = np.stack([np.exp(RNG.normal(size=N)), QUANTITY + 0.1], axis=1)

    found = read(values, QUANTITY, "ConcatV2")

    assert found.index == 1
    assert "R2" in found.chosen


def test_one_of_several_quantities_is_found_by_its_fit_or_named():
    values = RNG.normal(size=(N, 3))
    values[:, 2] = QUANTITY

    assert read(values, QUANTITY).index == 2
    assert read(values, QUANTITY, index=0).index == 0


@pytest.mark.parametrize("first", [RNG.normal(size=N), 0.08 * QUANTITY])
def test_quantities_of_which_none_fits_ask_for_the_index(first: Array):
    """Also where one explains a seventh of the spread: that is no prediction."""
    problem = refused(np.column_stack([first, RNG.normal(size=(N, 2))]), QUANTITY)

    assert isinstance(problem, ModelError)
    assert (problem.code, problem.field) == ("output_index_needed", "output.index")
    assert "0:" in problem.detail


def test_one_of_several_labels_is_found_by_its_fit_its_name_or_its_index():
    values = expit(RNG.normal(size=(N, 4)))
    values[:, 3] = expit(2 * EVIDENCE)

    found = read(values, BINARY, "Sigmoid")
    assert (found.index, found.kind, found.labels.classes) == (3, "probability", (0, 1))
    assert read(values, BINARY, "Sigmoid", index=1).index == 1
    named = read(values, BINARY, "Sigmoid", label="spam", classes=["toxic", "spam", "rude", "odd"])
    assert (named.index, named.labels.classes) == (1, (0, 1))
    carried = [ClassList(("toxic", "spam", "rude", "odd"), "labels.txt")]
    assert read(values, BINARY, "Sigmoid", carried, label="rude").index == 2


def test_labels_of_which_none_fits_ask_for_the_index():
    assert refused(expit(RNG.normal(size=(N, 4))), BINARY, "Sigmoid").code == "output_index_needed"
    alike = expit(np.stack([EVIDENCE, RNG.normal(size=N), EVIDENCE + 0.1 * RNG.normal(size=N)], axis=1))
    assert refused(alike, BINARY, "Sigmoid").code == "output_index_needed"


def test_two_sigmoids_are_two_classes_or_two_labels():
    """One falls where the other rises, or they know nothing of each other."""
    classes = expit(np.stack([-2 * EVIDENCE, 1.5 * EVIDENCE], axis=1))
    two_labels = expit(np.stack([2 * EVIDENCE, RNG.normal(size=N)], axis=1))

    assert read(classes, BINARY, "Sigmoid").index is None
    assert read(two_labels, BINARY, "Sigmoid").index == 0


def test_a_multi_hot_y_asks_for_the_index_and_takes_it_for_both():
    marks = (RNG.random((N, 3)) < 0.4).astype(np.int64)
    values = np.where(marks == 1, 0.8, 0.3)

    problem = refused(values, marks, "Sigmoid")
    assert isinstance(problem, DataError)
    assert problem.code == "output_index_needed"
    found = read(values, marks, "Sigmoid", index=2)
    assert (found.labels.task, found.index, found.labels.column) == ("binary", 2, 2)
    assert (found.read(values).decisions == found.labels.encode(marks, "train")).all()


def test_several_quantities_a_row_ask_for_the_index_and_take_it_for_both():
    y = RNG.normal(size=(N, 2))

    assert refused(y, y).code == "output_index_needed"
    found = read(y, y, index=1)
    assert (found.read(y).values == found.labels.encode(y, "train")).all()


@pytest.mark.parametrize(("values", "labels"), [(SHARES, QUANTITY), (np.zeros((N, 2)), RNG.normal(size=(N, 2)))])
def test_an_index_that_is_not_there_is_refused(values: Array, labels: Array):
    problem = refused(values, labels, index=5)

    assert isinstance(problem, RequestError)
    assert (problem.code, problem.field) == ("output_index_missing", "output.index")


def test_a_step_of_a_sequence_is_judged_where_it_is_named():
    steps = np.stack([RNG.permutation(SHARES), SHARES], axis=1)

    assert refused(steps, CLASSES, "Softmax").field == "output.step"
    found = read(steps, CLASSES, "Softmax", step=-1)
    assert found.read(steps).decisions.tolist() == SHARES.argmax(axis=1).tolist()
    tokens = np.stack([RNG.permutation(CLASSES), CLASSES], axis=1)
    assert refused(steps, tokens, "Softmax").code == "output_step_needed"
    tagged = read(steps, tokens, "Softmax", step=1)
    assert tagged.labels.encode(tokens, "train").tolist() == CLASSES.tolist()


# Names in the answers, numbers in the data

NAMES = np.array(["dog", "ant", "cow"], dtype=object)
NAMES_IN_A_TABLE = ClassList(("dog", "ant", "cow"), "a lookup table of the model")


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("listed", ["model", "request"])
def test_names_for_numbers_are_mapped_where_a_list_says_how(listed: str, start: int):
    lists = [ClassList(("red", "green"), "x"), NAMES_IN_A_TABLE] if listed == "model" else []
    asked = {"classes": ["dog", "ant", "cow"]} if listed == "request" else {}
    found = read(NAMES[CLASSES], CLASSES + start, None, lists, **asked)

    assert found.labels.classes == (start, start + 1, start + 2)
    assert found.read(NAMES[CLASSES]).decisions.tolist() == found.labels.encode(CLASSES + start, "train").tolist()
    assert ("lookup table" if listed == "model" else "output.classes") in found.labels.reason


@pytest.mark.parametrize("labels", [CLASSES + 0.5, 10 * CLASSES, np.array(["x", "y", "z"], dtype=object)[CLASSES]])
def test_names_for_anything_else_are_refused(labels: Array):
    assert refused(NAMES[CLASSES], labels, None, [NAMES_IN_A_TABLE]).code == "classes_ambiguous"


def test_an_embedding_is_no_score_of_classes():
    """Whole-number labels fit as the first of many classes, and every answer would count as wrong."""
    embedding = RNG.normal(size=(N, 16)) + np.arange(16)
    problem = refused(embedding, BINARY, "BiasAdd")

    assert (problem.code, problem.field) == ("classes_ambiguous", "output.tensor")
    assert "embedding" in problem.detail


def test_scores_of_more_classes_than_the_data_hold_are_judged():
    """An ImageNet model on two of its classes; and a broken one, where the request says what its classes are."""
    scores = np.concatenate([np.eye(2)[BINARY], np.zeros((N, 14))], axis=1) + 0.1 * RNG.normal(size=(N, 16))

    assert read(scores, BINARY, "BiasAdd").labels.n_classes == 16
    assert read(scores[:, ::-1], BINARY, "BiasAdd", classes=list(range(16))).labels.n_classes == 16
