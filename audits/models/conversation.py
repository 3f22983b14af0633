"""The evaluator's line to a model's process: a question, and an answer or a problem."""

import signal
import socket

from audits.models import frames
from audits.models.children import start_child
from audits.models.frames import ClosedError, Frame, FrameError
from audits.models.serving import serve
from schemas.problem import EvaluatorError, ModelError

DYING_SECONDS = 5.0
_FIELDS = {"device_unavailable": "resources.device", "signature_missing": "model.signature"}


class Conversation:
    """A process and the connection to it. Use it as a context manager or close it.

    Args:
        timeout_seconds: how long any answer may take.
    """

    def __init__(self, timeout_seconds: float | None) -> None:
        self.connection, theirs = socket.socketpair()
        self.connection.settimeout(timeout_seconds)
        self.child = start_child(theirs, serve)
        theirs.close()

    def ask(self, frame: Frame) -> Frame:
        """Send a request and wait for its answer.

        Raises:
            ModelError: the model's own problem.
            EvaluatorError: there was no whole answer, whatever the exit code.
        """
        try:
            frames.send(self.connection, frame)
            answer = frames.receive(self.connection)
        except TimeoutError:
            self.child.kill()
            raise EvaluatorError(
                "model_timeout",
                f"The model gave no answer within {self.connection.gettimeout():g} s and was stopped.",
            ) from None
        except ClosedError:
            raise self._crashed() from None
        except FrameError:
            self.child.kill()
            raise EvaluatorError(
                "model_crashed", "The model's process answered with what is no answer and was stopped."
            ) from None
        if "code" in answer.header:
            code = str(answer.header["code"])
            detail, op = str(answer.header.get("detail")), answer.header.get("op")
            raise ModelError(code, detail, field=_FIELDS.get(code, "model.uri"), op=None if op is None else str(op))
        return answer

    def _crashed(self) -> EvaluatorError:
        status = self.child.wait(DYING_SECONDS)
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

    def close(self) -> None:
        """End the process: it holds nothing worth waiting for."""
        self.connection.close()
        self.child.kill()

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
