"""`fitcheck audit`: one evaluation as a worker does it, in a cage of its own, without a service."""

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from audits.isolation.kernel import hide
from audits.sources import Roots
from audits.sources.graph.files import PB
from audits.sources.locations import resolve, start_of_glob
from audits.sources.remote import is_remote
from audits.sources.uploads import is_upload, locate
from schemas.job import Progress
from schemas.problem import EvaluatorError, ProblemError
from schemas.report import Report
from schemas.request import AuditRequest
from service.client.progress import ProgressDisplay
from service.jobs.claims import Assignment, Superseded
from service.settings import PREFIX, Settings, get_settings
from service.worker.evaluation import ForkedEvaluation, is_warm
from service.worker.forkserver import PRODUCTION
from service.worker.keeping import KeptForkServer, evaluator_environment

# Whoever types the command may read what they may read.
EVERYTHING = Roots((Path("/"),))
REMOTE = ("s3://", "gs://", "az://", "abfs://", "abfss://", "https://")
STOP_SECONDS = 5.0
WARM_SECONDS = 1.0


def audit_here(request: AuditRequest, errors: Console) -> Report:
    """Run the audit, with its progress on standard error.

    Raises:
        ProblemError: see `audits.engine.audit`; `tensorflow_missing`.
    """
    hide()
    if find_spec("tensorflow") is None:
        raise ProblemError(
            "tensorflow_missing",
            "TensorFlow is not installed here: install fitcheck[cpu] or fitcheck[gpu], or `fitcheck submit` elsewhere.",
        )
    named = tuple(dict.fromkeys(named_by(request)))
    with ProgressDisplay(errors) as progress:
        return evaluate(request, named, settings_here(), progress)


def settings_here() -> Settings:
    """The settings of this process; what is fetched and what is logged is for whoever typed the command to say."""
    settings = get_settings()
    level = settings.log_level if "log_level" in settings.model_fields_set else "warning"
    remote = (*REMOTE, *settings.remote)
    return settings.model_copy(update={"remote": remote, "log_level": level, "log_format": "console"})


def named_by(request: AuditRequest) -> Iterator[Path]:
    """What the evaluation may read: the files and folders that the request names, and what they link to.

    Raises:
        ProblemError: an address cannot be read, or nothing is there.
    """
    for field, addresses in request.addresses.items():
        for address in addresses:
            if is_upload(address):
                locate(address, None, field=field)
            if not is_remote(address):
                yield from _reached(address, field)


def _reached(address: str, field: str) -> Iterator[Path]:
    start = start_of_glob(address, field)
    for path in resolve(address, EVERYTHING, field=field):
        yield path
        yield from [start] if start is not None else []
        # A model may be named by the file in the middle of its folder.
        top = path.parent if path.name == PB else path
        yield top
        for place, folders, files in os.walk(top):
            links = (Path(place, name) for name in (*folders, *files) if Path(place, name).is_symlink())
            yield from (link.resolve() for link in links)


def evaluate(
    request: AuditRequest,
    roots: tuple[Path, ...],
    settings: Settings,
    progress: Callable[[Progress], None],
    *,
    evaluator: str = PRODUCTION,
) -> Report:
    """Evaluate in a process that a fork server of our own starts, as a worker's does, and that ends with this call.

    Args:
        request: what to audit.
        roots: all that it may read.
        settings: of the evaluation.
        progress: told what is being done.
        evaluator: see `service.worker.evaluator.Evaluator`.

    Raises:
        ProblemError: why there is no report.
    """
    with tempfile.TemporaryDirectory(prefix="fitcheck-", ignore_cleanup_errors=True) as folder:
        environment = evaluator_environment(settings, 1)
        # One that has forked all that it may is replaced at once: it never comes to that here.
        kept = KeptForkServer(Path(folder), evaluator, environment=environment, recycle_after=2)

        def is_gone() -> bool:
            kept.tend()
            return kept.ends > 0

        try:
            # Loading TensorFlow from a slow disk, on a busy machine, takes as long as it takes.
            while not is_gone() and not is_warm(kept.address, WARM_SECONDS):
                pass
            evaluation = ForkedEvaluation(kept.address, roots, _environment(environment))
            asked = Assignment(uuid.uuid4().hex, request, attempt=1, deadline=None, verdict=None)
            return evaluation(asked, progress=progress, stopped=is_gone)
        except Superseded:
            raise EvaluatorError(
                "evaluator_not_started", "The process that evaluates could not be started; the lines above say why."
            ) from None
        finally:
            kept.stop(time.monotonic() + STOP_SECONDS)


def _environment(known: dict[str, str]) -> dict[str, str]:
    """Credentials and the like, for what is fetched before the evaluation locks itself in and forgets them."""
    ours = {*known, "TMPDIR"}
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith(PREFIX)}
