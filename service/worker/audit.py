"""The evaluator of production: the audit engine, with TensorFlow loaded before the fork."""

from collections.abc import Callable, Sequence
from pathlib import Path

from audits import engine
from audits.models import import_tensorflow
from audits.sources import Roots
from schemas.job import Progress
from schemas.report import Report
from schemas.request import AuditRequest
from service.settings import get_settings


def preload() -> None:
    import_tensorflow()


def evaluate(
    request: AuditRequest, *, audit_id: str, roots: Sequence[Path], progress: Callable[[Progress], None]
) -> Report:
    settings = get_settings()
    where = Roots(tuple(roots), remote=settings.remote, uploads=settings.uploads_dir, closed=settings.closed)
    return engine.audit(request, audit_id=audit_id, roots=where, progress=progress, ray_address=settings.ray_address)
