"""What the model's numbers are, once their kind and form are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit, softmax

from audits.artefacts import Array
from audits.evidence import outputs
from audits.evidence.labels import LabelSpace
from audits.evidence.meaning.shapes import as_matrix
from audits.evidence.outputs import NO_ANSWER, OutputMeaning, Predictions, describe
from schemas.problem import ModelError, RequestError

BINARY = LabelSpace("binary", ("no", "yes"), "")
THREE = LabelSpace("multiclass", ("a", "b", "c"), "")
QUANTITY = LabelSpace("regression", (), "")


def meaning(kind: str, labels: LabelSpace = BINARY, threshold: float = 0.5, **how: object) -> OutputMeaning:
    return OutputMeaning("output", kind, "", labels, threshold, **how)  # type: ignore[arg-type]


def test_one_probability_stands_for_the_second_class():
    read = meaning("probability").read(np.array([0.2, 0.5, 0.9]))

    np.testing.assert_allclose(read.probabilities, [[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]])
    assert read.decisions.tolist() == [0, 1, 1]


def test_a_logit_of_zero_is_one_half():
    read = meaning("logit").read(np.array([[-1.0], [0.0], [1.0]]))

    assert read.probabilities[1, 1] == 0.5
    assert read.decisions.tolist() == [0, 1, 1]


def test_logits_and_log_probabilities_of_classes_become_probabilities():
    logs = np.log([[0.2, 0.5, 0.3]])
    for read in (meaning("logit", THREE).read(logs + 7), meaning("probability", THREE, form="log").read(logs)):
        np.testing.assert_allclose(read.probabilities, [[0.2, 0.5, 0.3]])
        assert read.decisions.tolist() == [1]


def test_a_margin_of_zero_is_one_half():
    read = meaning("probability", form="margin").read(np.array([-1.0, 0.0, 0.5, 1.2]))

    assert read.probabilities[:, 1].tolist() == [0.0, 0.5, 0.75, 1.0]
    assert read.decisions.tolist() == [0, 1, 1, 1]


def test_least_squares_are_cut_to_the_labels():
    one = meaning("probability", form="label_scale").read(np.array([-0.2, 0.4, 1.3]))
    many = meaning("probability", THREE, form="label_scale").read(np.array([[-0.2, 0.4, 0.8], [-1.0, -1.0, -1.0]]))

    assert one.probabilities[:, 1].tolist() == [0.0, 0.4, 1.0]
    np.testing.assert_allclose(many.probabilities, [[0, 1 / 3, 2 / 3], [1 / 3] * 3])


def test_ordered_classes_are_ranked_by_how_many_are_passed():
    """The most probable class would be the first one; three in five rows lie beyond it."""
    cumulative = np.array([[0.6, 0.3]])
    for form, scores in (("cumulative", cumulative), ("cumulative_logit", np.log(cumulative / (1 - cumulative)))):
        read = meaning("probability", THREE, form=form).read(scores)

        np.testing.assert_allclose(read.probabilities, [[0.4, 0.3, 0.3]])
        assert read.decisions.tolist() == [1]


def test_decisions_are_read_as_they_are_written():
    ids = meaning("class", THREE).read(np.array([2, 3, -1, 0]))
    marks = meaning("class", THREE, form="one_hot").read(np.eye(3)[[2, 0]])
    names = meaning("class", THREE, form="names").read(np.array([[b"c"], [b"d"], ["a"]], dtype=object))
    labels = meaning("class", LabelSpace("binary", (-1, 1), ""), form="labels").read(np.array([[1.0], [-1.0], [0.0]]))

    assert ids.decisions.tolist() == [2, NO_ANSWER, NO_ANSWER, 0]
    assert ids.answered.tolist() == [True, False, False, True]
    assert marks.decisions.tolist() == [2, 0]
    assert names.decisions.tolist() == [2, NO_ANSWER, 0]
    assert labels.decisions.tolist() == [1, 0, NO_ANSWER]


def test_one_value_of_several_is_read():
    raw = np.array([[0.9, 0.1], [0.2, 0.8]])

    assert meaning("value", QUANTITY, index=1).read(raw).values.tolist() == [0.1, 0.8]
    assert meaning("probability", index=0).read(raw).decisions.tolist() == [1, 0]


def test_one_step_of_several_is_read():
    raw = np.zeros((2, 4, 3))
    raw[0, -1, 2] = raw[1, -1, 1] = 1

    assert meaning("probability", THREE, step=-1).read(raw).decisions.tolist() == [2, 1]
    with pytest.raises(RequestError) as refusal:
        meaning("probability", THREE, step=4).read(raw)
    assert refusal.value.code == "output_step_missing"


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


# Every classifier's reading: kind, form, classes minus values a row, and how valid values are made of any numbers.
READINGS = [
    ("probability", "plain", 0, lambda x: softmax(x, axis=1)),
    ("probability", "log", 0, lambda x: np.log(softmax(x, axis=1))),
    ("probability", "label_scale", 0, lambda x: x),
    ("probability", "cumulative", 1, lambda x: np.sort(expit(x), axis=1)[:, ::-1]),
    ("probability", "cumulative_logit", 1, lambda x: np.sort(x, axis=1)[:, ::-1]),
    ("logit", "plain", 0, lambda x: x),
    ("class", "one_hot", 0, lambda x: np.eye(x.shape[1])[x.argmax(axis=1)]),
    ("probability", "margin", 1, np.tanh),
    ("logit", "plain", 1, lambda x: x),
    ("class", "plain", 1, lambda x: np.mod(np.floor(np.abs(x)), 2)),
]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), reading=st.sampled_from(READINGS), rows=st.integers(1, 6), width=st.integers(1, 5))
def test_probabilities_are_shares_and_holes_are_no_answers(data, reading, rows: int, width: int):
    kind, form, further, made_valid = reading
    if form == "margin" or (further and form == "plain"):
        width = 1
    elif not further:
        width = max(width, 2)
    scores = data.draw(arrays.arrays(np.float64, (rows, width), elements=st.floats(-20, 20)))
    holes = data.draw(arrays.arrays(bool, rows))
    valid = made_valid(scores)
    spoilt = np.where(holes[:, None], np.nan, valid)
    classes = width + further
    space = LabelSpace("binary" if classes == 2 else "multiclass", tuple(range(classes)), "")

    read = meaning(kind, space, form=form).read(spoilt)

    assert read.probabilities.shape == (rows, classes)
    assert (read.answered == ~holes).all()
    assert np.isnan(read.probabilities[holes]).all()
    assert (read.decisions[holes] == NO_ANSWER).all()
    assert ((read.probabilities[~holes] >= 0) & (read.probabilities[~holes] <= 1)).all()
    np.testing.assert_allclose(read.probabilities[~holes].sum(axis=1), 1, atol=1e-9)
    assert ((read.decisions[~holes] >= 0) & (read.decisions[~holes] < classes)).all()
    one_by_one = [meaning(kind, space, form=form).read(spoilt[[i]]).decisions[0] for i in range(rows)]
    assert read.decisions.tolist() == one_by_one


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        (np.array(["a"], dtype=object), "output_not_numeric", "output.tensor"),
        (np.zeros((2, 3, 3)), "output_shape_unsupported", "output.step"),
        (np.zeros((2, 3, 3, 3)), "output_shape_unsupported", "output.tensor"),
    ],
)
def test_outputs_of_no_use_are_refused(raw: Array, code: str, field: str):
    with pytest.raises(ModelError) as refusal:
        as_matrix(raw, "maps")

    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert "'maps'" in refusal.value.detail


@pytest.mark.parametrize("shape", [(4, 1, 1, 3), (4, 3, 1), (4, 1, 3), (4, 3)])
def test_axes_of_length_one_do_not_count(shape: tuple[int, ...]):
    assert as_matrix(np.zeros(shape), "output").shape == (4, 3)


def test_the_threshold_is_told_of_binary_models_alone():
    assert describe(meaning("probability"))["threshold"] == 0.5
    assert describe(meaning("probability", THREE))["threshold"] is None


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
