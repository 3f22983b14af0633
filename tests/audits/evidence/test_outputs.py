"""What the model's numbers mean."""

import numpy as np
import pytest

from audits.artefacts import Array, ModelDescription, TensorSpec
from audits.evidence import outputs
from audits.evidence.labels import LabelSpace
from audits.evidence.outputs import OutputMeaning, Predictions, as_matrix, choose_tensor, describe, infer_kind
from schemas.problem import ModelError, RequestError

BINARY = LabelSpace("binary", ("no", "yes"), "")
THREE = LabelSpace("multiclass", ("a", "b", "c"), "")
QUANTITY = LabelSpace("regression", (), "")


def meaning(kind: str, labels: LabelSpace = BINARY, threshold: float = 0.5) -> OutputMeaning:
    return OutputMeaning("output", kind, "", labels, threshold)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scores", "op", "labels", "kind"),
    [
        ([[0.1], [0.9]], "Sigmoid", BINARY, "probability"),
        ([[0.1], [0.9]], None, BINARY, "probability"),
        ([[0.1], [0.9]], "BiasAdd", BINARY, "logit"),
        ([[-3.0], [2.0]], None, BINARY, "logit"),
        ([[0.2, 0.3, 0.5]], None, THREE, "probability"),
        ([[0.2, 0.3, 0.9]], None, THREE, "logit"),
        ([[5.0, -1.0, 0.0]], "MatMul", THREE, "logit"),
        ([[0.2]], "Sigmoid", QUANTITY, "value"),
        ([[np.nan], [0.4]], None, BINARY, "probability"),
    ],
)
def test_the_kind_is_read_from_the_graph_or_the_values(scores: list, op: str | None, labels: LabelSpace, kind: str):
    found, reason = infer_kind("auto", np.array(scores), op, "float32", labels)

    assert found == kind
    assert reason


def test_whole_numbers_are_class_ids():
    assert infer_kind("auto", np.array([[0.0], [2.0]]), None, "int64", THREE)[0] == "class"


def test_the_requests_kind_counts():
    assert infer_kind("logit", np.array([[0.2]]), "Sigmoid", "float32", BINARY)[0] == "logit"


def test_one_probability_stands_for_the_second_class():
    read = meaning("probability").read(np.array([0.2, 0.5, 0.9]))

    np.testing.assert_allclose(read.probabilities, [[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]])
    assert read.decisions.tolist() == [0, 1, 1]


def test_a_logit_of_zero_is_one_half():
    read = meaning("logit").read(np.array([[-1.0], [0.0], [1.0]]))

    assert read.probabilities[1, 1] == 0.5
    assert read.decisions.tolist() == [0, 1, 1]


def test_logits_of_classes_become_probabilities():
    read = meaning("logit", THREE).read(np.log([[0.2, 0.5, 0.3]]) + 7)

    np.testing.assert_allclose(read.probabilities, [[0.2, 0.5, 0.3]])
    assert read.decisions.tolist() == [1]


def test_class_ids_beyond_the_classes_are_no_answer():
    read = meaning("class", THREE).read(np.array([2, 3, -1, 0]))

    assert read.decisions.tolist() == [2, -1, -1, 0]
    assert read.answered.tolist() == [True, False, False, True]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_has_no_answer(bad: float):
    probabilities = meaning("probability", THREE).read(np.array([[0.2, 0.3, 0.5], [bad, 0.5, 0.5]]))
    values = meaning("value", QUANTITY).read(np.array([1.0, bad]))

    assert probabilities.answered.tolist() == [True, False]
    assert np.isnan(probabilities.probabilities[1]).all()
    assert values.answered.tolist() == [True, False]


def test_the_threshold_is_inclusive():
    read = meaning("probability", threshold=0.7).read(np.array([0.7, 0.69]))

    assert read.decisions.tolist() == [1, 0]
    assert read.with_threshold(0.69).decisions.tolist() == [1, 1]


def test_parts_make_up_the_whole():
    read = meaning("probability").read(np.linspace(0, 1, 7))

    again = Predictions.concatenate([read.at(np.arange(3)), read.at(np.arange(3, 7))])

    np.testing.assert_array_equal(again.probabilities, read.probabilities)
    assert len(again) == 7


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (np.array(["a"], dtype=object), "output_not_numeric"),
        (np.zeros((2, 3, 3)), "output_shape_unsupported"),
    ],
)
def test_outputs_of_no_use_are_refused(raw: Array, code: str):
    with pytest.raises(ModelError) as refusal:
        as_matrix(raw, "maps")

    assert refusal.value.code == code
    assert "'maps'" in refusal.value.detail


def test_axes_of_length_one_do_not_count():
    assert as_matrix(np.zeros((4, 1, 1, 3)), "output").shape == (4, 3)


def description(*names: str) -> ModelDescription:
    outputs = tuple(TensorSpec(name, "float32", (None, 1)) for name in names)
    return ModelDescription("model", "serving_default", (), ("serve",), (), outputs, "2.20.0")


def test_the_output_is_the_requested_the_only_or_the_usual_one():
    assert choose_tensor(description("a", "b"), "b") == "b"
    assert choose_tensor(description("a"), None) == "a"
    assert choose_tensor(description("classes", "probabilities"), None) == "probabilities"


@pytest.mark.parametrize(("requested", "code"), [("c", "output_missing"), (None, "output_ambiguous")])
def test_no_such_output_names_those_there_are(requested: str | None, code: str):
    with pytest.raises(RequestError) as refusal:
        choose_tensor(description("a", "b"), requested)

    assert refusal.value.code == code
    assert "a, b" in refusal.value.detail


def test_the_threshold_is_told_of_binary_models_alone():
    assert describe(meaning("probability"))["threshold"] == 0.5
    assert describe(meaning("probability", THREE))["threshold"] is None


def test_numbers_that_are_no_probabilities_are_read_as_logits_whatever_the_request_says():
    """A check tells what the misreading costs; refusing would leave the user without an answer."""
    kind, reason = infer_kind("probability", np.array([[0.2], [1.7]]), None, "float32", BINARY)

    assert kind == "logit"
    assert "1.7, which is none" in reason


@pytest.mark.parametrize(("kind", "scores"), [("class", [[0.4], [1.0]]), ("value", [[0.0], [1.0]])])
def test_a_requested_kind_that_the_values_contradict_is_refused(kind: str, scores: list):
    with pytest.raises(RequestError) as refused:
        infer_kind(kind, np.array(scores), None, "float32", BINARY)

    assert (refused.value.code, refused.value.field) == ("output_kind_mismatch", "output.kind")


def test_a_regression_with_several_outputs_is_refused():
    """Judging the first one without a word would be a guess."""
    with pytest.raises(ModelError) as refused:
        infer_kind("auto", np.zeros((3, 2)), None, "float32", LabelSpace("regression", (), ""))

    assert refused.value.code == "output_shape_unsupported"


@pytest.mark.parametrize("width", [1, 3])
def test_many_rows_are_read_as_few_are(monkeypatch: pytest.MonkeyPatch, width: int):
    """Block by block and in half the width, rows without an answer among them."""
    monkeypatch.setattr(outputs, "BLOCK_ROWS", 64)
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(1000, width))
    raw[rng.random(1000) < 0.1] = np.nan
    task = "binary" if width == 1 else "multiclass"
    space = LabelSpace(task, tuple(range(max(2, width))), "given")
    meaning = OutputMeaning("y", "logit", "given", space)

    one, many = meaning.read(raw), meaning.read_many(raw)

    np.testing.assert_array_equal(many.decisions, one.decisions)
    np.testing.assert_allclose(many.probabilities, one.probabilities, rtol=1e-6)
    assert (many.decisions.dtype, many.probabilities.dtype) == (np.int32, np.float32)
    assert outputs.narrowed(np.arange(1000)).dtype == np.int32
    assert outputs.narrowed(np.arange(10)).dtype == np.int64
    assert outputs.narrowed(rng.random(1000)).dtype == np.float64
