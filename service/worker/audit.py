"""The evaluator of production: the audit engine, with TensorFlow loaded before the fork, in a cage of its own."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from audits import engine
from audits.isolation import Cage, enter, require_isolation
from audits.isolation.memory import own_limit
from audits.isolation.runtime import has_gpu
from audits.models import import_tensorflow
from audits.sources import Roots
from audits.sources.remote import scratch
from audits.sources.staging import fetch_apart, remote_addresses
from audits.sources.uploads import ids_in
from schemas.isolation import Isolation
from schemas.job import Progress
from schemas.report import Report
from schemas.request import AuditRequest
from service.settings import Settings, get_settings

log = structlog.get_logger(__name__)


def preload() -> None:
    import_tensorflow()


def evaluate(
    request: AuditRequest, *, audit_id: str, roots: Sequence[Path], progress: Callable[[Progress], None]
) -> Report:
    settings = get_settings()
    own = [settings.uploads_dir / id_ for id_ in ids_in(request.addresses)]
    with scratch() as place:
        if remote_addresses(request):
            progress(Progress(fraction=0, stage="opening", detail="fetching what lies elsewhere"))
        fetch_apart(request, settings.remote, place)
        _lock_in(request, [*roots, *own], settings)
        return engine.audit(
            request,
            audit_id=audit_id,
            roots=Roots(
                tuple(roots),
                remote=settings.remote,
                scratch=place,
                uploads=settings.uploads_dir,
                closed=settings.closed,
            ),
            progress=progress,
            ray_address=settings.ray_address,
            sandbox=settings.sandbox,
            allowed_ops=settings.allowed_ops,
        )


def _lock_in(request: AuditRequest, read: Sequence[Path], settings: Settings) -> None:
    """Readers of data are native code too, and what they parse may be hostile: they reach the data alone.

    The client of a Ray cluster needs sockets, shared memory and the cluster's own files; where that is asked for, the
    process of the model alone is locked in.
    """
    if request.resources.engine == "ray":
        isolation = Isolation(missing=["the client of a Ray cluster cannot be locked in"])
    else:
        isolation = enter(
            Cage(
                Path(tempfile.gettempdir()),
                tuple(read),
                profile="evaluator",
                # A small file may unpack into more than there is: that ends this audit, not the machine.
                memory_bytes=own_limit(),
                gpu=request.resources.device != "cpu" and has_gpu(),
                sandbox=settings.sandbox,
            )
        )
    log.debug("evaluator_isolated", isolation=isolation.model_dump())
    require_isolation(isolation, settings.sandbox)
