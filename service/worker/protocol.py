"""What a slot, the fork server and an evaluator say to each other: one JSON object a line, bounded in length.

A slot opens one connection an audit. ::

    fork server ─► slot       hello            the models' libraries are loaded
    slot ─► evaluator         Order            (the evaluator is forked when it arrives)
    evaluator ─► slot         progress ...     then one report or problem; of an examination, what it saw
    fork server ─► slot       ended            how the evaluator ended; closes the connection

When a slot closes its end, or dies, the fork server kills the evaluator and all that it started. The API speaks as a
slot does, to a fork server of its own, to have a request examined.
"""

import select
import socket
import time
from typing import Self

from pydantic import Field, ValidationError, model_validator

from schemas.base import Received, Sent
from schemas.isolation import Isolation
from schemas.job import Progress
from schemas.problem import Problem
from schemas.report import Report
from schemas.request import AuditRequest

MAX_FRAME_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 256 * 1024


class ConnectionLost(Exception):  # noqa: N818 - named for what it says
    """The other end is gone, or says what cannot be understood."""


class Order(Sent):
    """What to evaluate, and in which surroundings."""

    audit_id: str
    request: AuditRequest
    roots: list[str]
    environment: dict[str, str] = {}


class Ended(Sent):
    """How an evaluator ended: by itself, or by a signal."""

    code: int | None = None
    signal: int | None = None


class Examined(Sent):
    """What an examination saw, and how well its process was locked in while it looked."""

    isolation: Isolation
    problem: Problem | None = Field(None, description="Why the request is refused; null: nothing is seen to be wrong.")


class Frame(Sent):
    """One message to a slot; exactly one field is set."""

    hello: int | None = Field(None, description="Process id of the fork server.")
    progress: Progress | None = None
    report: Report | None = None
    examined: Examined | None = None
    problem: Problem | None = None
    passing: Problem | None = Field(None, description="A fault of the machine: another try may do better.")
    ended: Ended | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a frame has exactly one field")
        return self


def send(connection: socket.socket, message: Sent | Received) -> None:
    """Send one message, whole."""
    connection.sendall(message.model_dump_json(exclude_unset=True).encode() + b"\n")


class Lines:
    """The lines that arrive on a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._poll = select.poll()  # which, other than select, knows no highest descriptor
        self._poll.register(connection, select.POLLIN)
        self._buffer = bytearray()
        self._searched = 0

    def next(self, timeout_seconds: float) -> bytes | None:
        """The next line without its end, None where none is complete in time.

        Raises:
            ConnectionLost: the other end closed, or the line is too long.
        """
        deadline = time.monotonic() + timeout_seconds
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            left = max(0.0, deadline - time.monotonic())
            if not self._poll.poll(1000 * left):
                return None
            self._receive()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def _receive(self) -> None:
        try:
            chunk = self._connection.recv(CHUNK_BYTES)
        except ConnectionError as error:
            raise ConnectionLost(str(error)) from error
        if not chunk:
            raise ConnectionLost("closed")
        self._buffer += chunk
        if len(self._buffer) > MAX_FRAME_BYTES:
            raise ConnectionLost("a line is too long")


class Frames:
    """The frames that arrive on a slot's connection. What is none is skipped: a dying process leaves half a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._lines = Lines(connection)

    def next(self, timeout_seconds: float) -> Frame | None:
        """The next frame, None where none arrives in time.

        Raises:
            ConnectionLost: the other end closed.
        """
        line = self._lines.next(timeout_seconds)
        try:
            return Frame.model_validate_json(line) if line else None
        except ValidationError:
            return None


def receive_order(connection: socket.socket, timeout_seconds: float) -> Order:
    """The order that a slot sent.

    Raises:
        ConnectionLost: none came, or it cannot be understood.
    """
    line = Lines(connection).next(timeout_seconds)
    try:
        return Order.model_validate_json(line or b"")
    except ValidationError as error:
        raise ConnectionLost("not an order") from error
