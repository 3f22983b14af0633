"""The HTTP server of the API process."""

import uvicorn

from audits.isolation.kernel import hide
from service.api.app import create_app
from service.logs import configure_logging
from service.settings import Settings


def run_api(settings: Settings) -> None:
    """Answer HTTP until SIGTERM or SIGINT.

    Raises:
        ValueError: the host is not loopback, and there are no access keys.
        DatabaseUnavailable: the database does not answer.
    """
    settings.require_safe_bind()
    configure_logging(settings)
    hide()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),  # 0 would mean for ever
    )
