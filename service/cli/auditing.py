"""`fitcheck audit`: the engine in this process, without a service."""

import uuid
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from audits.engine import audit
from audits.isolation.kernel import hide
from audits.sources import Roots
from schemas.problem import ProblemError
from schemas.report import Report
from schemas.request import AuditRequest
from service.client.progress import ProgressDisplay
from service.settings import get_settings

# Whoever types the command may read what they may read.
EVERYTHING = Roots((Path("/"),), remote=("s3://", "gs://", "az://", "abfs://", "abfss://", "https://"))


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
    with ProgressDisplay(errors) as progress:
        settings = get_settings()
        return audit(
            request,
            audit_id=uuid.uuid4().hex,
            roots=replace(EVERYTHING, remote=(*EVERYTHING.remote, *settings.remote)),
            progress=progress,
            ray_address=settings.ray_address,
            sandbox=settings.sandbox,
            allowed_ops=settings.allowed_ops,
        )
