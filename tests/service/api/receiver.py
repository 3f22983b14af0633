"""A receiver of webhooks on this machine, that answers as a test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.serving import serving


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers 200, or the next of `answers`: a status, or a function that writes to the connection itself."""

    url: str = ""
    answers: list = field(default_factory=list)
    received: list[Received] = field(default_factory=list)


@contextmanager
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            answer = state.answers.pop(0) if state.answers else 200
            if callable(answer):
                answer(self.wfile)
                return
            self.send_response(answer)
            if answer == 307:
                self.send_header("Location", state.url + "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with serving(Handler) as state.url:
        yield state
