"""A model in a process of its own: forked, told what to load, asked for predictions, killed at the end.

The process never sees a label. If it dies, whatever kills it, the evaluator gets a problem and lives on; if the
evaluator dies, so does it.
"""

import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from audits.artefacts import Array, ModelDescription
from audits.models import frames, preload
from audits.models.frames import ClosedError, Frame, FrameError
from audits.models.runtime import Device, Job, LoadedModel, Refused
from schemas.problem import EvaluatorError, ModelError

FRAME_BYTES = 64 * 2**20  # of the inputs that are sent at once
DYING_SECONDS = 5.0
TOO_LARGE = Refused(
    "output_too_large",
    "The model's answers are too large to judge: one number, or one number a class, is needed for each row.",
)
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h
_FIELDS = {"device_unavailable": "resources.device"}


def start_model(
    description: ModelDescription, *, device: Device = "auto", timeout_seconds: float | None = None
) -> "ModelProcess":
    """Load the model in a child process.

    The child is forked where TensorFlow has not touched a device here, which takes milliseconds when it has been
    imported before (`import_tensorflow`); otherwise a fresh interpreter is started.

    Args:
        description: what to load.
        device: "gpu" insists on one.
        timeout_seconds: how long the loading, and every call, may go without an answer.

    Raises:
        ModelError: `model_load_failed`, `device_unavailable`.
        EvaluatorError: `model_crashed`, `model_timeout`.
    """
    try:
        return ModelProcess(description, device, timeout_seconds, as_session=False)
    except ModelError as problem:
        if problem.code != "model_load_failed":
            raise
        try:
            return ModelProcess(description, device, timeout_seconds, as_session=True)
        except ModelError:
            raise problem from None


class ModelProcess:
    """Implements `audits.artefacts.Model`; use it as a context manager or close it.

    Attributes:
        description: of the model.
        device: where it runs, "cpu" or "gpu (name)".
        tensorflow_version: that runs it.
    """

    def __init__(
        self, description: ModelDescription, device: Device, timeout_seconds: float | None, *, as_session: bool
    ) -> None:
        self.description = description
        self._connection, theirs = socket.socketpair()
        self._connection.settimeout(timeout_seconds)
        self._child = _fork(theirs) if preload.can_fork() else _spawn(theirs)
        theirs.close()
        try:
            answer = self._ask(Frame(_as_header(description, device, as_session=as_session)))
        except BaseException:
            self.close()
            raise
        self.device = str(answer.header.get("device"))
        self.tensorflow_version = str(answer.header.get("tensorflow_version"))

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        rows = len(next(iter(inputs.values())))
        size = _rows_per_frame(inputs, rows)
        parts: list[Mapping[str, Array]] = []
        for first in range(0, max(rows, 1), size):
            part = {name: array[first : first + size] for name, array in inputs.items()}
            parts.append(self._ask(Frame({}, part)).arrays)
        return _concatenated(parts)

    def variables(self, keys: Sequence[str]) -> dict[str, Array]:
        """Values of the checkpoint by key; those that are missing or too large are left out."""
        return dict(self._ask(Frame({"variables": list(keys)})).arrays) if keys else {}

    def close(self) -> None:
        """End the process: it holds nothing worth waiting for."""
        self._connection.close()
        self._child.kill()

    def __enter__(self) -> "ModelProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, frame: Frame) -> Frame:
        """Send a request and wait for its answer.

        Raises:
            ModelError: the model's own problem.
            EvaluatorError: there was no whole answer, whatever the exit code.
        """
        try:
            frames.send(self._connection, frame)
            answer = frames.receive(self._connection)
        except TimeoutError:
            self._child.kill()
            raise EvaluatorError(
                "model_timeout",
                f"The model gave no answer within {self._connection.gettimeout():g} s and was stopped.",
            ) from None
        except ClosedError:
            raise self._crashed() from None
        except FrameError:
            self._child.kill()
            raise EvaluatorError(
                "model_crashed", "The model's process answered with what is no answer and was stopped."
            ) from None
        if "code" in answer.header:
            code = str(answer.header["code"])
            raise ModelError(code, str(answer.header.get("detail")), field=_FIELDS.get(code, "model.uri"))
        return answer

    def _crashed(self) -> EvaluatorError:
        status = self._child.wait(DYING_SECONDS)
        if status is not None and status < 0:
            why = f"was ended by {signal.Signals(-status).name}"
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


class _Child:
    """A child process by its id."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._status: int | None = None
        self._is_reaped = False

    def kill(self) -> None:
        if not self._reaped(os.WNOHANG):
            os.kill(self._pid, signal.SIGKILL)
            self._reaped(0)

    def wait(self, seconds: float) -> int | None:
        """The exit code, or minus the signal that ended it; it is killed if it outlives the time."""
        deadline = time.monotonic() + seconds
        while not self._reaped(os.WNOHANG) and time.monotonic() < deadline:
            time.sleep(0.005)
        self.kill()
        return self._status

    def _reaped(self, options: int) -> bool:
        if not self._is_reaped:
            try:
                pid, status = os.waitpid(self._pid, options)
            except ChildProcessError:  # somebody else has taken the exit code
                pid, status = self._pid, None
            if pid == self._pid:
                self._is_reaped = True
                self._status = None if status is None else os.waitstatus_to_exitcode(status)
        return self._is_reaped


def _fork(theirs: socket.socket) -> _Child:
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads; the child takes no lock that one of them might hold
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _run_child(theirs, parent)
    return _Child(pid)


def _spawn(theirs: socket.socket) -> _Child:
    """A fresh interpreter, which finds our code where this one does."""
    code = f"from audits.models import process; process.run_spawned({theirs.fileno()}, {os.getpid()})"
    theirs.set_inheritable(True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    return _Child(os.posix_spawn(sys.executable, [sys.executable, "-c", code], environment))


def run_spawned(file_descriptor: int, parent: int) -> NoReturn:
    """What a spawned interpreter does."""
    _run_child(socket.socket(fileno=file_descriptor), parent)


def _run_child(connection: socket.socket, parent: int) -> NoReturn:
    """Serve, and never return into the code that was forked."""
    code = 1
    try:
        _confine(connection.fileno(), parent)
        connection.settimeout(None)
        _serve(connection)
        code = 0
    except ClosedError:
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _confine(file_descriptor: int, parent: int) -> None:
    """Take from the child what it does not need. Everything that limits it stands here, before the model is read."""
    faulthandler.disable()  # its output may be a file of the evaluator's
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        # when memory runs out, the kernel takes the model and not the evaluator
        Path("/proc/self/oom_score_adj").write_text("1000")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)  # what the model prints is no output of ours; errors stay in the log
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        if int(name) not in {1, 2, file_descriptor} and int(name) > 0:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _serve(connection: socket.socket) -> None:
    """Load the model, then answer until the evaluator hangs up."""
    job = _as_job(frames.receive(connection).header)
    try:
        model = LoadedModel(job)
    except Refused as refused:
        frames.send(connection, _problem(refused))
        return
    frames.send(connection, Frame({"device": model.device, "tensorflow_version": model.tensorflow_version}))
    while True:
        asked = frames.receive(connection)
        try:
            keys = asked.header.get("variables")
            frames.send(connection, Frame({}, model.predict(asked.arrays) if keys is None else model.variables(keys)))
        except Refused as refused:
            frames.send(connection, _problem(refused))
        except ClosedError:
            raise
        except FrameError:
            frames.send(connection, _problem(TOO_LARGE))


def _problem(refused: Refused) -> Frame:
    return Frame({"code": refused.code, "detail": refused.detail})


def _as_header(description: ModelDescription, device: Device, *, as_session: bool) -> dict[str, Any]:
    return {
        "path": description.path,
        "signature": description.signature,
        "tags": list(description.tags),
        "inputs": {spec.name: [spec.dtype, spec.shape] for spec in description.inputs},
        "device": device,
        "parameters": description.parameters,
        "as_session": as_session,
    }


def _as_job(header: Mapping[str, Any]) -> Job:
    return Job(
        path=header["path"],
        signature=header["signature"],
        tags=tuple(header["tags"]),
        inputs={name: (dtype, shape) for name, (dtype, shape) in header["inputs"].items()},
        device=header["device"],
        parameters=header["parameters"],
        as_session=header["as_session"],
    )


def _rows_per_frame(inputs: Mapping[str, Array], rows: int) -> int:
    total = sum(array.nbytes for array in inputs.values())
    return max(1, rows * FRAME_BYTES // max(total, FRAME_BYTES))


def _concatenated(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
