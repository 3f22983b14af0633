"""One log for everything in the process, on standard error: lines for people on a terminal, JSON for machines."""

import logging
import os
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.settings import Settings

# These speak of every request and every poll; we have our own words for both.
QUIET = ("uvicorn.access", "httpx", "httpcore", "dbos")


def _drop_color_message(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Uvicorn says each message twice, once with colours."""
    event.pop("color_message", None)
    return event


SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    _drop_color_message,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure_logging(settings: Settings) -> None:
    """Send structlog's and the standard library's logs to standard error in the format of the settings."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    _configure(settings.log_level.upper(), as_json=as_json)


def quiet_logging() -> None:
    """For commands whose output is for people: warnings alone, as lines."""
    _configure("WARNING", as_json=False)


def _configure(level: str, *, as_json: bool) -> None:
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(as_json=as_json))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _formatter(*, as_json: bool) -> logging.Formatter:
    drop_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    colours = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    # Plain tracebacks: the pretty ones print local variables, keys and data among them.
    render: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]
    )
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=SHARED, processors=[drop_meta, *render])
