"""Runs a function in a process that has locked itself in, and tells what came of it."""

import json
import os
import signal
from collections.abc import Callable
from typing import Any

from audits.isolation import Cage, enter


def caged(cage: Cage, act: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """The isolation as it was found, and what the function answered; "denied" where the kernel refused."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            isolation = enter(cage)
            try:
                answer = act()
            except OSError as error:
                answer = "denied" if isinstance(error, PermissionError) else f"{type(error).__name__} {error.errno}"
            os.write(writing, json.dumps([isolation.model_dump(), answer]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if not text:
        number = -os.waitstatus_to_exitcode(status)
        return {}, signal.Signals(number).name if number > 0 else "no answer"
    isolation, answer = json.loads(text)
    return isolation, answer
