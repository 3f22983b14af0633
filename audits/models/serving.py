"""What the model's process does: loads or exports what it is told, and answers until the evaluator hangs up."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from audits.artefacts import FixedInput, TensorSpec
from audits.models import frames
from audits.models.exporting import export
from audits.models.frames import ClosedError, Frame, FrameError
from audits.models.runtime import Job, LoadedModel, Refused
from schemas.isolation import Isolation

TOO_LARGE = Refused(
    "output_too_large",
    "The model's answers are too large to judge: one number, or one number a class, is needed for each row.",
)


def serve(connection: socket.socket, isolation: Isolation) -> None:
    """How well we are locked in, then one order: an export, or a model to load and to ask."""
    with suppress(ClosedError):
        frames.send(connection, Frame({"isolation": isolation.model_dump()}))
        _serve_one(connection)


def _serve_one(connection: socket.socket) -> None:
    order = frames.receive(connection).header
    try:
        if "export" in order:
            frames.send(connection, Frame({"done": export(order["export"])}))
            return
        model = LoadedModel(_as_job(order))
    except Refused as refused:
        frames.send(connection, _problem(refused))
        return
    frames.send(connection, Frame({"device": model.device, "tensorflow_version": model.tensorflow_version}))
    while True:
        asked = frames.receive(connection, texts_as_bytes=True)
        try:
            frames.send(connection, _answer(model, asked))
        except Refused as refused:
            frames.send(connection, _problem(refused))
        except ClosedError:
            raise
        except FrameError:
            frames.send(connection, _problem(TOO_LARGE))


def _answer(model: LoadedModel, asked: Frame) -> Frame:
    if "usage" in asked.header:
        return Frame({"usage": model.usage()})
    keys = asked.header.get("variables")
    return Frame({}, model.predict(asked.arrays) if keys is None else model.variables(keys))


def _problem(refused: Refused) -> Frame:
    return Frame({"code": refused.code, "detail": refused.detail, "op": refused.op})


def _as_job(header: Mapping[str, Any]) -> Job:
    return Job(
        path=header["path"],
        signature=header["signature"],
        tags=tuple(header["tags"]),
        inputs=tuple(TensorSpec(**spec) for spec in header["inputs"]),
        fixed=tuple(FixedInput(**one) for one in header["fixed"]),
        ops=header["ops"],
        device=header["device"],
        parameters=header["parameters"],
        as_session=header["as_session"],
    )
