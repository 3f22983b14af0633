"""Raw outputs as (rows, values), whatever axes they were exported with."""

import numpy as np

from audits.artefacts import Array
from schemas.problem import ModelError, RequestError


def is_text(raw: Array) -> bool:
    return raw.dtype.kind in "OUS"


def as_matrix(raw: Array, tensor: str, step: int | None = None) -> Array:
    """The raw output as (rows, values) float64; axes of size 1 do not count.

    Args:
        raw: (rows, ...).
        tensor: its name, for problems.
        step: of an output with one answer a step, (rows, steps, values): the step to take; -1 is the last.

    Raises:
        ModelError: the output is text or complex, or has more than one axis of values.
        RequestError: there is no such step.
    """
    if raw.dtype.kind not in "fiub":
        raise ModelError(
            "output_not_numeric",
            f"Output {tensor!r} holds {'text' if is_text(raw) else raw.dtype.name}. Name a numeric output of the "
            "signature in output.tensor.",
            field="output.tensor",
        )
    if step is not None:
        raw = _at_step(raw, tensor, step)
    if int(np.sum(np.asarray(raw.shape[1:]) > 1)) > 1:
        raise ModelError(
            "output_shape_unsupported",
            f"Output {tensor!r} has the shape {list(raw.shape[1:])} per row; one value, or one per class, is judged. "
            "Of one answer a step, choose the step in output.step (-1 is the last); or export a signature that ends "
            "in one answer a row, or name another in output.tensor.",
            field="output.step" if raw.ndim == 3 else "output.tensor",
        )
    return np.asarray(raw.reshape(len(raw), -1), dtype=np.float64)


def _at_step(raw: Array, tensor: str, step: int) -> Array:
    steps = raw.shape[1] if raw.ndim > 1 else 1
    if raw.ndim < 2 or not -steps <= step < steps:
        raise RequestError(
            "output_step_missing",
            f"output.step is {step}, but output {tensor!r} has the shape {list(raw.shape[1:])} per row"
            + (f": steps 0 to {steps - 1}." if raw.ndim > 1 else ", without steps."),
            field="output.step",
        )
    return raw[:, step]
