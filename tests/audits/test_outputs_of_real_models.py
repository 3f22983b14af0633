"""Models that TensorFlow and Keras exported, audited whole: their meaning, their metrics, and no false alarm."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn import metrics

from audits.artefacts import Array
from audits.engine import audit
from audits.sources import Roots
from schemas.problem import ProblemError
from schemas.report import Report
from schemas.request import AuditRequest
from tests.audits.output_worlds import (
    CUTS,
    OF_BINARY,
    OF_CLASSES,
    OF_LABELS,
    OF_ORDER,
    OF_OTHER,
    OF_QUANTITY,
    TRAIN,
    VALIDATION,
    World,
    least_squares,
)

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow"), pytest.mark.timeout(120)]

Told = Callable[[World], Array]


def sure(w: World) -> Array:
    """(rows,) probability of the second class."""
    return np.asarray(expit(w.x.astype(np.float64) @ OF_BINARY))


def pair(w: World) -> Array:
    return np.stack([1 - sure(w), sure(w)], axis=1)


def shares(w: World) -> Array:
    return np.asarray(softmax(w.x.astype(np.float64) @ OF_CLASSES, axis=1))


def value(w: World) -> Array:
    return np.asarray(w.x @ OF_QUANTITY + 10)


def ranks(w: World) -> Array:
    return np.asarray(((w.x @ OF_ORDER)[:, None] >= CUTS).sum(axis=1))


def rank_shares(w: World) -> Array:
    passed = expit((w.x.astype(np.float64) @ OF_ORDER)[:, None] - CUTS)
    return -np.diff(passed, axis=1, prepend=1, append=0)


def squares(target: Array) -> Told:
    weights = least_squares(target)
    return lambda w: np.asarray(w.x @ weights[:-1] + weights[-1])


def binary(w: World) -> Array:
    return w.binary


def classes(w: World) -> Array:
    return w.classes


def named(*names: str) -> Told:
    """The classes (or the two of `binary`) by name."""
    return lambda w: np.array(names)[w.classes if len(names) == 3 else w.binary]


@dataclass(frozen=True)
class Sample:
    """A model, the labels that it is audited with, and what must come out.

    Attributes:
        model: its folder.
        labels: of a split, as they are stored.
        kind, form: how the output is read.
        truth: (rows,) class numbers or quantities.
        probabilities: (rows, classes) that the model states, where it does.
        decisions: (rows,) class numbers; default: of the largest probability.
        values: (rows,) of a regression.
        tensor, index: what is judged.
        request: what is asked for beside.
        label: name of y's array.
    """

    model: str
    labels: Told
    kind: str
    form: str
    truth: Told
    probabilities: Told | None = None
    decisions: Told | None = None
    values: Told | None = None
    tensor: str = "output"
    index: int | None = None
    request: dict[str, Any] = field(default_factory=dict)
    label: str = "y"


def of_two(model: str, kind: str = "probability", form: str = "plain", **more: Any) -> Sample:
    return Sample(
        model, **{"labels": binary, "kind": kind, "form": form, "truth": binary, "probabilities": pair} | more
    )


def of_three(model: str, kind: str = "probability", form: str = "plain", **more: Any) -> Sample:
    return Sample(
        model, **{"labels": classes, "kind": kind, "form": form, "truth": classes, "probabilities": shares} | more
    )


def decided(model: str, form: str = "plain", **more: Any) -> Sample:
    return of_three(
        model, "class", form, **{"probabilities": None, "decisions": lambda w: shares(w).argmax(axis=1)} | more
    )


def of_value(model: str, **more: Any) -> Sample:
    return Sample(
        model, **{"labels": lambda w: w.quantity, "truth": lambda w: w.quantity, "values": value} | more, kind="value",
        form="plain",
    )  # fmt: skip


def signs(w: World) -> Array:
    return 2 * w.binary - 1


def positive(w: World) -> Array:
    return (sure(w) >= 0.5).astype(np.int64)


SAMPLES = {
    "sigmoid of Keras": of_two("keras_sigmoid", tensor="output_0"),
    "logit of Keras": of_two("keras_logit", "logit", tensor="output_0"),
    "softmax of two": of_two("keras_pair", tensor="output_0"),
    "softmax of Keras": of_three("keras_softmax", tensor="output_0"),
    "logits of Keras": of_three("keras_logits", "logit", tensor="output_0"),
    "sigmoids of exclusive classes": of_three(
        "keras_sigmoids", tensor="output_0", probabilities=None, decisions=lambda w: shares(w).argmax(axis=1)
    ),
    "sigmoid without an axis": of_two("sigmoid_flat"),
    "sigmoid of rank 3": of_two("sigmoid_of_rank_3"),
    "pair by hand": of_two("pair_by_hand"),
    "softmax of rank 3": of_three("softmax_of_rank_3"),
    "logit without an axis": of_two("logits_flat", "logit"),
    "log probabilities": of_three("log_softmax", "probability", "log"),
    "logits of float64": of_three("logits_double", "logit"),
    "half precision": of_three("half_precision"),
    "ensemble that ends in a division": of_two(
        "ensemble",
        probabilities=lambda w: np.stack(
            [1 - (p := (sure(w) + expit(0.9 * (w.x.astype(np.float64) @ OF_BINARY))) / 2), p], axis=1
        ),
    ),
    "ids": decided("ids"),
    "ids in a column": decided("ids_column"),
    "ids as floats": decided("ids_float"),
    "ids of labels from 1": decided("ids", labels=lambda w: w.classes + 1),
    "ids from 1": decided("ids_from_1", "labels", labels=lambda w: w.classes + 1),
    "ids of names": decided("ids", labels=named("ant", "bee", "cat")),
    "truth values": of_two("is_positive", "class", probabilities=None, decisions=positive),
    "signs": of_two("sign", "class", "labels", labels=signs, probabilities=None, decisions=positive),
    "names": decided("names", "names", labels=named("ant", "cat", "bee")),
    "names of a lookup": decided("keras_names", "names", labels=named("ant", "cat", "bee"), tensor="output_0"),
    "one-hot": decided("one_hot", "one_hot"),
    "labels from 1": of_three("keras_softmax", labels=lambda w: w.classes + 1, tensor="output_0"),
    "labels as floats": of_three("keras_softmax", labels=lambda w: w.classes + 1.0, tensor="output_0"),
    "one-hot labels": of_three("keras_softmax", labels=lambda w: np.eye(3)[w.classes], tensor="output_0"),
    "labels of -1 and 1": of_two("keras_sigmoid", labels=signs, tensor="output_0"),
    "truth values as labels": of_two("keras_sigmoid", labels=lambda w: w.binary.astype(bool), tensor="output_0"),
    "names in another order than the alphabet's": of_three(
        "keras_softmax", labels=named("zebra", "ant", "cat"), tensor="output_0"
    ),
    "ordered classes": of_three(
        "cumulative", form="cumulative", labels=lambda w: w.order, truth=lambda w: w.order,
        probabilities=rank_shares, decisions=ranks,
    ),
    "logits of ordered classes": of_three(
        "cumulative_logits", form="cumulative_logit", labels=lambda w: w.order + 1, truth=lambda w: w.order,
        probabilities=rank_shares, decisions=ranks,
    ),
    "tanh": of_two("tanh", form="margin", labels=signs),
    "least squares on 0 and 1": of_two(
        "least_squares", form="label_scale", probabilities=None,
        decisions=lambda w: (squares(TRAIN.binary)(w)[:, 0] >= 0.5).astype(int),
    ),
    "least squares on -1 and 1": of_two(
        "margin_by_least_squares", form="margin", labels=signs, probabilities=None,
        decisions=lambda w: (squares(2 * TRAIN.binary - 1)(w)[:, 0] >= 0).astype(int),
    ),
    "least squares of three classes": of_three(
        "shares_by_least_squares", form="label_scale", probabilities=None,
        decisions=lambda w: squares(np.eye(3)[TRAIN.classes])(w).argmax(axis=1),
    ),
    "quantity": of_value("quantity"),
    "quantity of rank 3": of_value("keras_value", tensor="output_0"),
    "quantiles": of_value("quantiles", index=1),
    "mean and variance": of_value("mean_and_variance", index=0),
    "mean and variance as two outputs": of_value("loc_and_scale", tensor="loc"),
    "quantiles as three outputs": of_value("quantile_heads", tensor="q50"),
    "one of two quantities": of_value("quantities", index=1),
    "one of two columns of y": of_value(
        "quantities", index=0, request={"output": {"index": 0}}, truth=lambda w: w.other,
        labels=lambda w: np.stack([w.other, w.quantity], axis=1), values=lambda w: w.x @ OF_OTHER + 3,
    ),
    "one of four labels": of_two(
        "labels", index=2, labels=lambda w: w.labels[:, 2], truth=lambda w: w.labels[:, 2],
        probabilities=lambda w: np.stack([1 - (p := expit(w.x.astype(float) @ OF_LABELS)[:, 2]), p], axis=1),
    ),
    "one of four columns of y": of_two(
        "labels", index=1, labels=lambda w: w.labels, truth=lambda w: w.labels[:, 1], request={"output": {"index": 1}},
        probabilities=lambda w: np.stack([1 - (p := expit(w.x.astype(float) @ OF_LABELS)[:, 1]), p], axis=1),
    ),
    "last step": of_three("by_step", request={"output": {"step": -1}}),
    "estimator": of_two("estimator", labels=named("stays", "churns"), tensor="probabilities"),
    "estimator's classification": of_two("classify", labels=named("stays", "churns"), tensor="scores"),
    "estimator's logits": of_two(
        "estimator", "logit", labels=named("stays", "churns"), tensor="logits", request={"output": {"tensor": "logits"}}
    ),
    "task by name": of_two("keras_tasks", tensor="churn", label="churn"),
    "task by the type of the label": of_value("keras_tasks", tensor="age"),
    "task by the number of classes": of_three("tasks", tensor="segment"),
    "unnamed task": of_two("keras_unnamed_tasks", tensor="output_1"),
    "decision beside its confidence": decided("class_and_score", tensor="label"),
}  # fmt: skip


@pytest.fixture
def audited(saved_models: Path, tmp_path: Path) -> Callable[..., Report]:
    def run(model: str, labels: Told, request: dict[str, Any] | None = None, label: str = "y") -> Report:
        data: dict[str, Any] = {"label": label}
        for name, split in (("train", TRAIN), ("validation", VALIDATION)):
            np.savez(tmp_path / f"{name}.npz", x=split.x, **{label: labels(split)})
            data[name] = {"uri": str(tmp_path / f"{name}.npz")}
        body = {"model": {"uri": str(saved_models / "outputs" / model)}, "data": data, **(request or {})}
        return audit(AuditRequest.model_validate(body), audit_id="one", roots=Roots((tmp_path, saved_models)))

    return run


@pytest.mark.parametrize("name", SAMPLES)
def test_a_healthy_model_is_read_rightly_and_raises_no_alarm(audited: Callable[..., Report], name: str):
    one = SAMPLES[name]

    report = audited(one.model, one.labels, one.request, one.label)

    output = report.model["output"]
    assert (output["tensor"], output["index"], output["kind"], output["form"]) == (
        one.tensor, one.index, one.kind, one.form,
    ), output  # fmt: skip
    assert output["reason"]
    assert output["chosen"]
    assert [f.code for f in report.findings if f.severity.value == "critical"] == [], report.summary
    found = {key: estimate.estimate for key, estimate in report.metrics.validation.values.items()}
    for key, wanted in expected(one, VALIDATION).items():
        assert found[key] == pytest.approx(wanted, abs=2e-3), key


def expected(one: Sample, split: World) -> dict[str, float]:
    """The metrics, by scikit-learn and NumPy from the model's own formula."""
    truth = one.truth(split)
    if one.values is not None:
        answers = one.values(split)
        return {"r2": metrics.r2_score(truth, answers), "mae": float(np.abs(truth - answers).mean()), "answered": 1.0}
    stated = None if one.probabilities is None else one.probabilities(split)
    answers = one.decisions(split) if one.decisions is not None else np.asarray(stated).argmax(axis=1)
    found = {
        "accuracy": float((truth == answers).mean()),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, answers),
        "answered": 1.0,
    }
    if stated is not None:
        found["log_loss"] = metrics.log_loss(truth, stated, labels=range(stated.shape[1]))
    return found


@pytest.mark.parametrize(
    ("model", "labels", "request_", "code", "field"),
    [
        ("labels", lambda w: w.labels, {}, "output_index_needed", "output.index"),
        ("quantities", lambda w: np.stack([w.other, w.quantity], axis=1), {}, "output_index_needed", "output.index"),
        (
            "quantities",
            lambda w: np.random.default_rng(0).normal(size=len(w.x)),
            {},
            "output_index_needed",
            "output.index",
        ),
        ("by_step", classes, {}, "output_shape_unsupported", "output.step"),
        ("tasks", named("a", "b", "c"), {"output": {"tensor": "embedding"}}, "classes_ambiguous", "output.classes"),
        ("keras_softmax", lambda w: w.order, {"task": "multiclass"}, "classes_ambiguous", "output.classes"),
    ],
)
def test_what_cannot_be_judged_says_how_to_choose(
    audited: Callable[..., Report], model: str, labels: Told, request_: dict[str, Any], code: str, field: str
):
    with pytest.raises(ProblemError) as refusal:
        audited(model, labels, request_)

    assert (refusal.value.code, refusal.value.field) == (code, field)
