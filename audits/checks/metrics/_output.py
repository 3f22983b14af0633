"""What the questions to an output share."""

from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from audits.artefacts import Array
from audits.evidence.case import Case, Subject
from audits.evidence.labels import UNKNOWN
from schemas.report import Confirmation, Effect, Estimate, Remedy, Severity

CODE = "metrics.output_mismatch"


@dataclass(frozen=True)
class Mismatch:
    """What was found, before it becomes a finding."""

    title: str
    summary: str
    effect: Effect
    remedy: Remedy
    evidence: dict[str, JsonValue]
    severity: Severity = Severity.CRITICAL
    confirmation: Confirmation | None = None
    recovered: Estimate | None = None


def op_of(case: Case) -> str | None:
    return case.description.output_ops.get(case.meaning.tensor)


def width_of(case: Case) -> int:
    """How many values a row answer for the label."""
    if case.meaning.index is not None:
        return 1
    shapes = [spec.shape for spec in case.description.outputs if spec.name == case.meaning.tensor]
    last = shapes[0][-1] if shapes and shapes[0] else 1
    return int(last or 1)


def answered(case: Case) -> tuple[Subject, Subject]:
    """The training and the mended validation rows with an answer and a known label."""
    train, validation = (
        s.at(s.predictions.answered & (np.isfinite(s.labels) if case.is_regression else s.labels != UNKNOWN))
        for s in (case.train.sample, case.mended)
    )
    return train, validation


def given_by(subject: Subject) -> Array:
    """(rows, outputs) values or probabilities."""
    given = subject.predictions.values if subject.predictions.values is not None else subject.predictions.probabilities
    assert given is not None  # noqa: S101 - one of the two is there by construction
    return given.reshape(len(subject), -1)


def activation_remedy(case: Case, text: str) -> Remedy:
    if case.is_regression:
        layer, loss = "keras.layers.Dense(1)", "mse"
    elif case.labels.n_classes == 2:
        layer, loss = "keras.layers.Dense(1, activation='sigmoid')", "binary_crossentropy"
    else:
        layer = f"keras.layers.Dense({case.labels.n_classes}, activation='softmax')"
        loss = "sparse_categorical_crossentropy"
    return Remedy(
        text=f"{text}: {layer} with the loss {loss}.",
        code="import keras\n\n"
        "def with_fitting_output(model):\n"
        f"    output = {layer}(model.layers[-1].input)\n"
        "    fitting = keras.Model(model.inputs, output)\n"
        f"    fitting.compile('adam', loss={loss!r})\n"
        "    return fitting\n",
    )
