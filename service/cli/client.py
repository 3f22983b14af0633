"""The commands' client: says at once where no service answers, and outlives one that is away while it waits."""

from collections.abc import Callable

import httpx

from schemas.job import Progress
from schemas.report import Report
from service.client.blocking import Calls
from service.client.calls import Patience, require_report

# Whoever types a command sees at once that nothing answers; that the service is busy passes.
AT_ONCE = Patience(away_seconds=0.0)


class Client(Calls):
    """Calls the service; see `Calls`."""

    def __init__(self, url: str, key: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        super().__init__(url, key, transport, AT_ONCE)

    def wait(self, audit_id: str, progress: Callable[[Progress], None]) -> Report:
        """The report, as soon as there is one.

        Raises:
            AuditFailedError: the audit failed or was cancelled.
        """
        require_report(self.poll(audit_id, progress))
        return self.report(audit_id)
