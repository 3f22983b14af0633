"""Which of several outputs is judged."""

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.special import expit, softmax

from audits.artefacts import Array, ModelDescription, TensorSpec
from audits.evidence.meaning.heads import candidates, choose_head
from audits.evidence.outputs import OutputMeaning
from schemas.problem import ProblemError, RequestError
from schemas.request import AuditRequest
from tests.factories import request_for

RNG = np.random.default_rng(11)
N = 400
EVIDENCE = RNG.normal(size=N)
LABELS = (RNG.random(N) < expit(3 * EVIDENCE)).astype(np.int64)
AGE = RNG.normal(40, 10, N)


def described(outputs: Mapping[str, Array]) -> ModelDescription:
    specs = tuple(
        TensorSpec(name, "string" if raw.dtype == object else raw.dtype.name, (None, *raw.shape[1:]))
        for name, raw in outputs.items()
    )
    return ModelDescription("model", "serving_default", (), ("serve",), (), specs, "2.20.0")


def asked(label: str | None = None, **output: object) -> AuditRequest:
    request = request_for(task="auto", output=output)
    return request.model_copy(update={"data": request.data.model_copy(update={"label": label})})


def chosen(outputs: Mapping[str, Array], labels: Array, ops: Mapping[str, str] | None = None, **what) -> OutputMeaning:
    request = asked(**what)
    return choose_head(candidates(described(outputs), request), outputs, ops or {}, labels, request)


ESTIMATOR = {
    "all_class_ids": np.tile([0, 1], (N, 1)),
    "all_classes": np.tile(np.array(["0", "1"], dtype=object), (N, 1)),
    "class_ids": (EVIDENCE > 0).astype(np.int64)[:, None],
    "classes": np.where(EVIDENCE > 0, "1", "0").astype(object)[:, None],
    "logistic": expit(3 * EVIDENCE)[:, None],
    "logits": 3 * EVIDENCE[:, None],
    "probabilities": np.stack([expit(-3 * EVIDENCE), expit(3 * EVIDENCE)], axis=1),
}


@pytest.mark.parametrize(
    ("without", "best"),
    [
        ((), "probabilities"),
        (("probabilities",), "logits"),
        (("probabilities", "logits"), "logistic"),
        (("probabilities", "logits", "logistic"), "class_ids"),
        (("probabilities", "logits", "logistic", "class_ids"), "classes"),
    ],
)
def test_of_an_estimators_outputs_the_most_informative_is_judged(without: tuple[str, ...], best: str):
    found = chosen({name: raw for name, raw in ESTIMATOR.items() if name not in without}, LABELS)

    assert found.tensor == best
    assert "estimator" in found.chosen


def test_the_request_names_the_output():
    assert chosen(ESTIMATOR, LABELS, tensor="class_ids").tensor == "class_ids"
    with pytest.raises(RequestError) as refusal:
        chosen(ESTIMATOR, LABELS, tensor="nonsense")
    assert (refusal.value.code, refusal.value.field) == ("output_missing", "output.tensor")
    assert "logistic" in refusal.value.detail


TASKS = {
    "age": AGE[:, None] + 1,
    "churn": expit(3 * EVIDENCE)[:, None],
    "kind": softmax(RNG.normal(size=(N, 4)), axis=1),
}


def test_an_output_of_the_labels_name_is_judged():
    found = chosen({"churn": TASKS["churn"], "other": 1 - TASKS["churn"]}, 1 - LABELS, label="Churn")

    assert found.tensor == "churn"
    assert "name of the label" in found.chosen


@pytest.mark.parametrize(
    ("labels", "head"), [(LABELS, "churn"), (AGE, "age"), (np.eye(4)[RNG.integers(0, 4, N)], "kind")]
)
def test_the_output_that_fits_the_label_is_judged(labels: Array, head: str):
    found = chosen(TASKS, labels, {"kind": "Softmax", "churn": "Sigmoid"})

    assert found.tensor == head
    assert "outputs" in found.chosen


def test_embeddings_and_maps_beside_the_output_do_not_matter():
    outputs = {"p": TASKS["churn"], "embedding": RNG.normal(size=(N, 32)), "map": RNG.random((N, 5, 5, 3))}

    assert chosen(outputs, LABELS).tensor == "p"


def test_of_outputs_that_decide_alike_the_most_informative_is_judged():
    found = chosen({"label": (EVIDENCE > 0).astype(np.int64), "score": expit(3 * EVIDENCE)}, LABELS)

    assert found.tensor == "score"
    assert "'label'" in found.chosen


def test_the_confidence_of_a_decision_is_not_taken_for_the_probability_of_a_class():
    """A detector answers its class and how sure it is of it."""
    outputs = {"label": (EVIDENCE > 0).astype(np.int64), "confidence": expit(np.abs(3 * EVIDENCE))}

    assert chosen(outputs, LABELS).tensor == "label"


def test_the_median_of_quantile_outputs_is_judged():
    outputs = {f"q{q}": (AGE * 0.9 + 4 + by)[:, None] for q, by in (("10", -5), ("50", 0.1), ("90", 5))}

    found = chosen(outputs, AGE + RNG.normal(size=N) * 3)

    assert found.tensor == "q50"
    assert "median" in found.chosen


def test_outputs_of_which_none_stands_out_are_listed_with_their_shapes():
    with pytest.raises(RequestError) as refusal:
        chosen({"a": RNG.random((N, 1)), "b": RNG.random((N, 1))}, LABELS)

    assert (refusal.value.code, refusal.value.field) == ("output_ambiguous", "output.tensor")
    assert "a (shape [1], skill 0.0" in refusal.value.detail


def test_outputs_of_which_none_fits_say_why():
    with pytest.raises(ProblemError) as refusal:
        chosen({"a": RNG.random((N, 5)), "b": RNG.random((N, 4, 4))}, np.array(["x", "y", "z"], dtype=object)[LABELS])

    assert (refusal.value.code, refusal.value.field) == ("output_unsuitable", "output.tensor")
    assert "a [5]" in refusal.value.detail
    assert "b [4, 4]" in refusal.value.detail


def test_a_number_of_boxes_is_no_answer():
    """A detector says in every row how many boxes it gives; of its other outputs none fits a label."""
    outputs = {"boxes": np.zeros((100, 5, 4)), "num_detections": np.full(100, 5.0)}

    with pytest.raises(ProblemError) as caught:
        chosen(outputs, np.arange(100) % 2)
    assert "num_detections" not in caught.value.detail


def test_a_class_that_is_always_answered_stays_an_answer():
    outputs = {"boxes": np.zeros((100, 5, 4)), "id": np.ones(100)}

    assert chosen(outputs, np.arange(100) % 2).tensor == "id"
