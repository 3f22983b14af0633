import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from rich.console import Console

from scripts import demo
from tests.service.cli.reports import whole_report
from tests.serving import serving

ROOT = Path(__file__).parents[2]


def start_demo(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.demo", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def services_of(folder: Path) -> list[int]:
    """Processes that run a service whose state lies below the folder."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"FITCHECK_STATE_DIR={folder}".encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return found


def eventually(condition: object, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    assert callable(condition)
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("path", sorted(demo.EXAMPLES.rglob("request.json")), ids=lambda p: p.parent.name)
def test_every_request_of_the_examples_is_valid_and_names_what_is_there(path: Path) -> None:
    request = demo.request_of(str(path.parent.relative_to(demo.EXAMPLES)))

    for uri in (request.model.uri, *request.data.train.uris, *request.data.validation.uris):
        assert Path(uri.removeprefix("file://")).exists()


def test_an_unknown_example_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(demo.DemoError, match=r"'nonsense'.*imbalanced.*missing_values/left_in"):
        demo.request_of("nonsense")


def test_what_a_killed_demo_left_behind_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "STATE", tmp_path)
    (tmp_path / "run-old").mkdir()

    with demo.fresh_state() as folder:
        assert list(tmp_path.glob("run-*")) == [folder]

    assert list(tmp_path.glob("run-*")) == []


def test_a_demo_leaves_the_state_of_another_that_still_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "STATE", tmp_path)

    with demo.fresh_state() as first, demo.fresh_state() as second:
        assert {first, second} == set(tmp_path.glob("run-*"))


@pytest.mark.parametrize(
    ("service", "page"),
    [
        ("http://127.0.0.1:8123", "http://127.0.0.1:8123/audits/audit-1/report"),
        (None, "file:///a%20folder/report.html"),
    ],
)
def test_it_ends_with_the_page_that_opens(monkeypatch: pytest.MonkeyPatch, service: str | None, page: str) -> None:
    """Alone on the line's end and unbroken, also where the terminal is narrow."""
    monkeypatch.setattr(demo, "STATE", Path("/a folder"))
    console = Console(width=30, record=True, file=io.StringIO())

    demo.name_the_page(whole_report(), console, service=service)

    assert console.export_text().splitlines()[-1] == f"==> The report with its figures: {page}"


@contextmanager
def answering(statuses: list[int]) -> Iterator[str]:
    """A service's address; it gives these statuses in turn, the last one for ever."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as address:
        yield address


@contextmanager
def living() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_slow_service_is_waited_for_and_said_to_be_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(demo, "POLL_SECONDS", 0.01)
    said: list[str] = []

    with answering([503, 503, 200]) as address, living() as process:
        demo.wait_until_ready(address, process, tmp_path / "log", 60, said.append)

    assert len(said) == 2
    assert "still starting" in said[0]


def test_a_service_that_hangs_is_given_up_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("loading\n")

    with answering([503]) as address, living() as process, pytest.raises(demo.DemoError, match=r"READY_SECONDS=0\.6"):
        demo.wait_until_ready(address, process, tmp_path / "log", 0.3, print)


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        (["KEEP=1"], "--keep"),
        (["KEEP=0"], ""),
        (["EXAMPLE=imbalanced", "READY_SECONDS=1800"], "imbalanced --ready-seconds 1800"),
    ],
)
def test_make_hands_its_variables_on(variables: list[str], arguments: str) -> None:
    shown = subprocess.run(["make", "-n", "demo", *variables], cwd=ROOT, capture_output=True, text=True, check=True)

    assert " ".join(shown.stdout.split("scripts.demo")[1].split()) == arguments


@pytest.mark.tensorflow
@pytest.mark.timeout(300)
def test_the_demo_names_the_true_cause_also_after_an_earlier_one_was_killed() -> None:
    """The killed demo's service stops by itself; the next demo starts afresh."""
    killed = start_demo()
    assert eventually(lambda: services_of(demo.STATE), 60)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()

    finished = start_demo()
    output, _ = finished.communicate(timeout=200)

    assert finished.returncode == 0, output
    report = json.loads((demo.STATE / "report.json").read_text())
    assert report["diagnosis"][0]["code"] == "preprocessing.scaling_mismatch"
    assert report["diagnosis"][0]["confirmation"]["confirmed"]
    for words in ("scaling_mismatch", "report.json", "exit code 1", "make demo KEEP=1"):
        assert words in output
    page = Path(unquote(urlsplit(output.split()[-1]).path))
    assert page == demo.STATE / "report.html"
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert eventually(lambda: not services_of(demo.STATE), 30)
