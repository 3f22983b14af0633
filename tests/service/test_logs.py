"""One log, readable by people on a terminal and by machines elsewhere."""

import json
import logging
import sys

import pytest
import structlog

from service.logs import configure_logging
from service.settings import Settings


@pytest.fixture(autouse=True)
def restored():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def fail(secret: str) -> None:
    raise RuntimeError("no good")


def test_json_holds_one_event_a_line(capsys):
    configure_logging(Settings(log_format="json"))
    structlog.get_logger("ours").info("request", status=200)
    logging.getLogger("theirs").warning("%s things", 3)
    ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())

    assert (ours["event"], ours["status"], ours["level"], ours["logger"]) == ("request", 200, "info", "ours")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("3 things", "warning", "theirs")
    assert ours["timestamp"].endswith("Z")


def test_the_servers_messages_come_once(capsys):
    configure_logging(Settings(log_format="json"))
    logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "\x1b[1mStarted"})

    assert "color" not in capsys.readouterr().err


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_tracebacks_show_no_local_variables(capsys, log_format: str):
    configure_logging(Settings(log_format=log_format))
    try:
        fail("a" + " key")
    except RuntimeError:
        structlog.get_logger().exception("failed")
    text = capsys.readouterr().err

    assert "RuntimeError: no good" in text
    assert "a key" not in text


def test_the_level_of_the_settings_holds(capsys):
    configure_logging(Settings(log_level="warning"))
    structlog.get_logger().info("chatter")

    assert capsys.readouterr().err == ""


def test_auto_is_console_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    configure_logging(Settings(log_format="auto"))
    structlog.get_logger().info("hello")

    text = capsys.readouterr().err
    assert not text.startswith("{")
    assert "\x1b[" in text


def test_no_color_is_honoured(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logging(Settings())
    structlog.get_logger().info("hello")

    assert "\x1b[" not in capsys.readouterr().err


def test_a_console_log_in_a_file_has_no_colours(capsys):
    configure_logging(Settings(log_format="console"))
    structlog.get_logger().info("hello")

    assert "\x1b[" not in capsys.readouterr().err
