"""The HTTP server of the API process."""

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from audits.isolation.kernel import hide
from service.access.store import require_safe_bind
from service.api.app import create_app
from service.api.protocol import PatientProtocol
from service.logs import configure_logging
from service.settings import Settings
from service.tracing import configure_tracing

CANNOT_START = 3  # as uvicorn's own command ends


def run_api(settings: Settings) -> None:
    """Answer HTTP until SIGTERM or SIGINT.

    Raises:
        ValueError: the host is not loopback, and there are no access keys; or webhooks would not be signed.
        DatabaseUnavailable: the database does not answer.
    """
    require_safe_bind(settings)
    settings.require_signed_callbacks()
    configure_logging(settings)
    configure_tracing("api")
    hide()
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        http=PatientProtocol,
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),  # 0 would mean for ever
    )
    server = _Server(config)
    server.on_exit = app.state.following.close
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(CANNOT_START)


class _Server(uvicorn.Server):
    """Ends the streams first: a stop would wait for them until its time is over."""

    on_exit: Callable[[], None]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.on_exit()
        super().handle_exit(sig, frame)
