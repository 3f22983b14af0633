"""What the cage would be here, before anything is put into it."""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from audits.isolation.cage import Cage, enter
from schemas.isolation import REQUIRED, Isolation, Sandbox
from schemas.problem import EvaluatorError

PROBE_SECONDS = 60.0


class IsolationUnavailable(EvaluatorError):  # noqa: N818 - named for what it says
    """This machine cannot lock a model in as well as is required."""

    def __init__(self, found: Isolation) -> None:
        missing = ", ".join(found.missing) or "nothing that we know of"
        super().__init__(
            "isolation_unavailable",
            f"The sandbox here is {found.level!r}, and {REQUIRED!r} is required; missing: {missing}. Run the worker on "
            "Linux 5.13 or later with Landlock and seccomp, or, for models that you would run anyway, set "
            "FITCHECK_SANDBOX=auto.",
        )


def require_isolation(found: Isolation, sandbox: Sandbox) -> Isolation:
    """What was found, if it is enough.

    Raises:
        IsolationUnavailable: the sandbox is required, and there is none that deserves the name.
    """
    if sandbox == "require" and not found.reaches(REQUIRED):
        raise IsolationUnavailable(found)
    return found


@cache
def probe(sandbox: Sandbox = "auto") -> Isolation:
    """What a model would be locked in by: found out by a process that locks itself in and tries. Takes 0.2 s."""
    if sandbox == "off":
        return Isolation(missing=["switched off"])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-c", f"from {__name__} import main; main()"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=True,
        )
        return Isolation.model_validate_json(done.stdout)
    except (OSError, subprocess.SubprocessError, ValidationError) as error:
        return Isolation(missing=[f"the probe failed: {type(error).__name__}"])


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        child = os.fork()
        if child == 0:
            print(enter(Cage(Path(scratch))).model_dump_json(), flush=True)  # noqa: T201 - the answer
            os._exit(0)
        os.waitpid(child, 0)
