"""The evaluator's line to a model's process: a question, and an answer or a problem."""

import logging
import math
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from audits.isolation import Cage, require_isolation
from audits.isolation.memory import model_limit
from audits.isolation.runtime import has_gpu
from audits.isolation.watching import MAX_SCRATCH_BYTES, Limit, LimitError, Watch, WatchedConnection
from audits.models import frames
from audits.models.children import start_child
from audits.models.frames import ClosedError, Frame, FrameError
from audits.models.serving import serve
from schemas.isolation import Isolation, Sandbox
from schemas.problem import EvaluatorError, ModelError

START_SECONDS = 180.0  # a fresh interpreter, on a slow disk
DYING_SECONDS = 5.0
MAX_EXPORT_BYTES = 16 * 2**30
MAX_DETAIL = 1_000
MUCH = 0.5  # of the memory that a process may hold: what is asked for at once may be as much again
_FIELDS = {"device_unavailable": "resources.device", "signature_missing": "model.signature"}

log = logging.getLogger(__name__)


class Conversation:
    """A process in its cage, and the connection to it. Use it as a context manager or close it.

    Args:
        timeout_seconds: how long any answer may take.
        read: files and folders of the model; it reaches no others.
        device: where the model is to run; "cpu" closes the GPU.
        sandbox: how it is locked in.
        export_to: folder to write an exported model in. The default writes nothing that stays.

    Attributes:
        isolation: how well it is locked in.
        timeout_seconds: as given.

    Raises:
        EvaluatorError: `isolation_unavailable`, `model_crashed`.
    """

    def __init__(
        self,
        timeout_seconds: float | None,
        read: Sequence[Path],
        *,
        device: str = "cpu",
        sandbox: Sandbox = "auto",
        export_to: Path | None = None,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._own_scratch = Path(tempfile.mkdtemp(prefix="model-")) if export_to is None else None
        cage = _cage(export_to or self._own_scratch, read, device, sandbox)  # type: ignore[arg-type]  # one of the two
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        self.child = start_child(theirs, serve, cage, writing)
        theirs.close()
        os.close(writing)
        most = MAX_SCRATCH_BYTES if export_to is None else MAX_EXPORT_BYTES
        self._memory_bytes = cage.memory_bytes
        self._watch = Watch(self.child.pid, reading, cage.scratch, memory_bytes=cage.memory_bytes, scratch_bytes=most)
        self.connection = WatchedConnection(ours, self._watch)
        try:
            answer = self._answer(START_SECONDS)
            self.isolation = Isolation.model_validate(answer.header["isolation"])
            require_isolation(self.isolation, sandbox)
        except BaseException:
            self.close()
            raise

    def ask(self, frame: Frame) -> Frame:
        """Send a request and wait for its answer.

        Raises:
            ModelError: the model's own problem.
            EvaluatorError: there was no whole answer, whatever the exit code.
        """
        answer = self._answer(self.timeout_seconds, frame)
        if "code" in answer.header:
            raise _problem(answer.header)
        return answer

    def _answer(self, timeout_seconds: float | None, frame: Frame | None = None) -> Frame:
        self._watch.deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        try:
            if frame is not None:
                frames.send(self.connection, frame)
            return frames.receive(self.connection)
        except LimitError as error:
            self.child.kill()
            raise _beyond(error.limit, timeout_seconds) from None
        except ClosedError:
            raise self._crashed() from None
        except FrameError:
            self.child.kill()
            raise EvaluatorError(
                "model_crashed", "The model's process answered with what is no answer and was stopped."
            ) from None

    def _crashed(self) -> EvaluatorError:
        status = self.child.wait(DYING_SECONDS)
        if status == -signal.SIGABRT and self._ran_out_of_memory():
            return _beyond("memory", None)
        if status is not None and status < 0:
            why = f"was ended by {_signal_name(-status)}"
            if -status == signal.SIGKILL:
                why += ", which the system sends when memory runs out,"
        else:
            why = f"ended by itself (exit code {status})"
        return EvaluatorError(
            "model_crashed",
            f"The model's process {why} before it answered. TensorFlow crashed in native code, or the model ended it: "
            "run the signature on the same data elsewhere, and export the model anew.",
            field="model.uri",
        )

    def _ran_out_of_memory(self) -> bool:
        """TensorFlow aborts where the kernel refuses it memory: while it holds much, or with words of C++."""
        with suppress(LimitError):
            self._watch.drain()
        return self._watch.ran_out_of_memory or self.child.peak_bytes > MUCH * (self._memory_bytes or math.inf)

    def close(self) -> None:
        """End the process: it holds nothing worth waiting for."""
        self.child.kill()
        try:
            self._watch.drain()  # the last words are the ones that tell why
        except LimitError:
            log.info("the model's process printed without end")
        self.connection.close()
        if self._own_scratch is not None:
            shutil.rmtree(self._own_scratch, ignore_errors=True)

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cage(scratch: Path, read: Sequence[Path], device: str, sandbox: Sandbox) -> Cage:
    memory = None if sandbox == "off" else model_limit()
    uses_gpu = device != "cpu" and has_gpu()
    return Cage(
        scratch,
        tuple(path.absolute() for path in read),
        gpu=uses_gpu,
        memory_bytes=memory,
        file_bytes=MAX_EXPORT_BYTES,
        sandbox=sandbox,
    )


def _beyond(limit: Limit, timeout_seconds: float | None) -> EvaluatorError:
    if limit == "time":
        return EvaluatorError(
            "model_timeout",
            f"The model gave no answer within {timeout_seconds or 0:g} s and was stopped.",
        )
    if limit == "memory":
        return EvaluatorError(
            "model_out_of_memory",
            "The model's process took more memory than the worker can give it and was stopped. Use a smaller model, "
            "or a worker with more memory.",
            field="model.uri",
        )
    what = "printed without end" if limit == "output" else "filled its scratch folder"
    return EvaluatorError(
        "model_output_limit",
        f"The model's process {what} and was stopped. Export the model without ops that print or write.",
        field="model.uri",
    )


def _problem(header: Mapping[str, object]) -> ModelError:
    """What the process says is wrong; it may have been taken over, so what it says is cut."""
    code, op = str(header["code"])[:64], header.get("op")
    detail = str(header.get("detail"))[:MAX_DETAIL]
    return ModelError(code, detail, field=_FIELDS.get(code, "model.uri"), op=None if op is None else str(op)[:200])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
