"""A model in a process of its own: forked, told what to load, asked for predictions, killed at the end.

The process never sees a label. If it dies, whatever kills it, the evaluator gets a problem and lives on; if the
evaluator dies, so does it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audits.artefacts import Array, ModelDescription
from audits.models.conversation import Conversation
from audits.models.frames import Frame
from audits.models.runtime import USAGE, Device
from audits.sources.graph.files import model_files
from audits.sources.model.opening import Export
from schemas.isolation import Sandbox
from schemas.problem import ModelError, ProblemError

FRAME_BYTES = 64 * 2**20  # of the inputs that are sent at once


def reserve_process(
    description: ModelDescription,
    *,
    device: Device = "auto",
    timeout_seconds: float | None = None,
    sandbox: Sandbox = "auto",
) -> Conversation:
    """A process that is locked in and waits for `start_model`.

    A forked process has in its memory what its parent had: one that is reserved before data are read holds no label.

    Raises:
        EvaluatorError: `isolation_unavailable`, `model_crashed`.
    """
    return Conversation(timeout_seconds, model_files(Path(description.path)), device=device, sandbox=sandbox)


def start_model(
    description: ModelDescription,
    *,
    device: Device = "auto",
    timeout_seconds: float | None = None,
    sandbox: Sandbox = "auto",
    reserved: Conversation | None = None,
) -> "ModelProcess":
    """Load the model in a child process.

    The child is forked where TensorFlow has not touched a device here, which takes milliseconds when it has been
    imported before (`import_tensorflow`); otherwise a fresh interpreter is started.

    Args:
        description: what to load.
        device: "gpu" insists on one.
        timeout_seconds: how long the loading, and every call, may go without an answer.
        sandbox: whether the process is locked in, and must be.
        reserved: a process for this model, of `reserve_process` with the same arguments; default: a new one.

    Raises:
        ModelError: `model_load_failed`, `device_unavailable`.
        EvaluatorError: `model_crashed`, `model_timeout`, `model_out_of_memory`, `model_output_limit`,
            `isolation_unavailable`.
    """
    if any(one.tensor is not None for one in description.fixed):
        # no function of the signature takes these placeholders
        why = "the signature leaves out placeholders that must be fed"
        return ModelProcess(description, device, timeout_seconds, sandbox, as_session=why, reserved=reserved)
    try:
        return ModelProcess(description, device, timeout_seconds, sandbox, reserved=reserved)
    except ModelError as problem:
        if problem.code != "model_load_failed":
            raise
        try:
            return ModelProcess(description, device, timeout_seconds, sandbox, as_session=problem.detail)
        except ModelError:
            raise problem from None


def export_model(order: Export, *, timeout_seconds: float | None = None, sandbox: Sandbox = "auto") -> str:
    """Write a SavedModel in a child process, and say what was done.

    Raises:
        ModelError: `keras_custom_code`, `keras_weights_only`, `keras_not_built`, `signature_missing`,
            `op_unsupported`, `model_load_failed` or `model_malformed`.
        EvaluatorError: as `start_model` does.
    """
    asked = {
        "source": str(order.source.absolute()),
        "target": str(order.target.absolute()),
        "function": order.function,
        "tags": list(order.tags),
        "ops": dict(order.ops),
    }
    read = model_files(order.source) if order.source.is_dir() else (order.source.resolve(),)
    with Conversation(timeout_seconds, read, sandbox=sandbox, export_to=order.target.parent.absolute()) as conversation:
        return str(conversation.ask(Frame({"export": asked})).header["done"])


class ModelProcess:
    """Implements `audits.artefacts.Model`; use it as a context manager or close it.

    Attributes:
        description: of the model.
        runs_as: a function of TensorFlow 2, or a session of TensorFlow 1.
        reason: why it is a session; None for a function.
        device: where it runs, "cpu" or "gpu (name)".
        tensorflow_version: that runs it.
        isolation: how well its process is locked in.
    """

    def __init__(
        self,
        description: ModelDescription,
        device: Device,
        timeout_seconds: float | None,
        sandbox: Sandbox = "auto",
        *,
        as_session: str | None = None,
        reserved: Conversation | None = None,
    ) -> None:
        self.description = description
        self._wanted: tuple[Device, float | None, Sandbox] = device, timeout_seconds, sandbox
        # a graph of TensorFlow 1 may load as a function and then not run as one
        self._may_fall_back = description.is_version_1 and as_session is None
        self._start(as_session=as_session, reserved=reserved)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            answers = self._predict(inputs)
        except ModelError as problem:
            if not self._may_fall_back or problem.code != "model_refused_input":
                raise
            self._may_fall_back = False
            self.close()
            self._start(as_session=problem.detail)
            answers = self._predict(inputs)
        self._may_fall_back = False
        return answers

    def variables(self, keys: Sequence[str]) -> dict[str, Array]:
        """Values of the checkpoint by key; those that are missing or too large are left out."""
        return dict(self._conversation.ask(Frame({"variables": list(keys)})).arrays) if keys else {}

    def usage(self) -> dict[str, int | None]:
        """What the predictions took until now; empty where the process has ended.

        Returns:
            `device_memory_bytes`, the most that was held on the GPU, None on the CPU; `rows_a_call`, where more did
            not fit into memory, else None.
        """
        try:
            told = self._conversation.ask(Frame({"usage": True})).header.get("usage")
        except ProblemError:
            return {}
        # The process runs code of the model's: of what it says, only numbers go into the report.
        numbers = told if isinstance(told, dict) else {}
        return {name: value if type(value := numbers.get(name)) is int else None for name in USAGE}

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._conversation.child.pid

    def close(self) -> None:
        self._conversation.close()

    def __enter__(self) -> "ModelProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, *, as_session: str | None, reserved: Conversation | None = None) -> None:
        """In a session for a reason, else as a function."""
        device, timeout_seconds, sandbox = self._wanted
        self._conversation = reserved or reserve_process(
            self.description, device=device, timeout_seconds=timeout_seconds, sandbox=sandbox
        )
        self.isolation = self._conversation.isolation
        try:
            header = _as_header(self.description, device, as_session=as_session is not None)
            answer = self._conversation.ask(Frame(header))
        except BaseException:
            self.close()
            raise
        self.runs_as: Literal["function", "session"] = "function" if as_session is None else "session"
        self.reason = as_session
        self.device = str(answer.header.get("device"))
        self.tensorflow_version = str(answer.header.get("tensorflow_version"))

    def _predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        rows = len(next(iter(inputs.values())))
        size = _rows_per_frame(inputs, rows)
        parts: list[Mapping[str, Array]] = []
        for first in range(0, max(rows, 1), size):
            part = {name: array[first : first + size] for name, array in inputs.items()}
            parts.append(self._conversation.ask(Frame({}, part)).arrays)
        return _concatenated(parts)


def _as_header(description: ModelDescription, device: Device, *, as_session: bool) -> dict[str, Any]:
    return {
        "path": str(Path(description.path).absolute()),  # the process has a folder of its own
        "signature": description.signature,
        "tags": list(description.tags),
        "inputs": [asdict(spec) for spec in description.inputs],
        "fixed": [asdict(one) for one in description.fixed],
        "ops": dict(description.ops),
        "device": device,
        "parameters": description.parameters,
        "as_session": as_session,
    }


def _rows_per_frame(inputs: Mapping[str, Array], rows: int) -> int:
    total = sum(array.nbytes for array in inputs.values())
    return max(1, rows * FRAME_BYTES // max(total, FRAME_BYTES))


def _concatenated(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
