"""`fitcheck audit`: the engine in this process, without a service."""

import uuid
from pathlib import Path

from rich.console import Console

from audits.engine import audit
from audits.sources import Roots
from schemas.report import Report
from schemas.request import AuditRequest
from service.cli.progress import ProgressDisplay

# Whoever types the command may read what they may read.
EVERYTHING = Roots((Path("/"),))


def audit_here(request: AuditRequest, errors: Console) -> Report:
    """Run the audit, with its progress on standard error.

    Raises:
        ProblemError: see `audits.engine.audit`.
    """
    with ProgressDisplay(errors) as progress:
        return audit(request, audit_id=uuid.uuid4().hex, roots=EVERYTHING, progress=progress)
