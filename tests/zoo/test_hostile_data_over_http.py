"""Hostile data, histories and addresses through a running service, which answers an honest audit meanwhile.

Each is refused when it is submitted, in our own words and with the field to blame; nothing of a file outside the data
root, or of the service's environment, is ever said.
"""

import io
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pandas as pd
import pytest
from rich.console import Console

from audits.isolation import landlock, seccomp
from schemas.report import Report
from scripts.demo import ROOT, running_service
from service.cli.render import render_report
from tests.zoo.hostile_data import ENTRIES, ENVIRONMENT_SECRET, SECRET, Place

EXAMPLE = ROOT / "examples" / "wrong_scaling"
LIMIT_SECONDS = 240
# An examination is ended after ten seconds, and the audit then queued.
ANSWER_SECONDS = 15
HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    "\x1b[2J\x1b]0;owned\x07",
    "=cmd|'/c calc'!A0",
    "| a | b |",
    "]]></failure>",
    "../../../etc/passwd",
    "\u202egnp.exe",
    "{{7*7}}",
)

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.timeout(2 * LIMIT_SECONDS),
    pytest.mark.skipif(landlock.abi() < 4 or not seccomp.is_available(), reason="no full sandbox here"),
]


@dataclass
class Service:
    """A running service, and all that it has said.

    Attributes:
        client: of its API.
        root: the data root.
        secret: a file outside of it.
        log: what the service prints.
        processes: that it consisted of when it was ready.
        said: every answer.
        honest: the answer to an honest audit, which was submitted first.
    """

    client: httpx.Client
    root: Path
    secret: Path
    log: Path
    processes: set[int]
    said: list[str] = field(default_factory=list)
    honest: dict[str, Any] = field(default_factory=dict)

    def submit(self, **changes: Any) -> httpx.Response:
        """The honest audit with other values, by their dotted names with __ for the dots; None takes one out."""
        body: dict[str, Any] = {
            "model": {"uri": str(self.root / "honest" / "model")},
            "data": {
                "train": {"uri": str(self.root / "honest" / "train.csv")},
                "validation": {"uri": str(self.root / "honest" / "validation.csv")},
                "label": "benign",
            },
            "resources": {"device": "cpu"},
        }
        for name, value in changes.items():
            *path, last = name.replace("__", ".").split(".")
            place = body
            for part in path:
                place = place.setdefault(part, {})
            place[last] = value
        answer = self.client.post("/v1/audits", json=body)
        self.said.append(answer.text)
        return answer

    def finished(self, job: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            found: dict[str, Any] = self.client.get(job["links"]["self"]).json()
            if found["status"] not in {"queued", "running"}:
                return found
            time.sleep(0.2)
        raise AssertionError("the audit does not end")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("hostile")
    root, outside, state = home / "root", home / "outside", home / "state"
    for folder in (root, outside, state):
        folder.mkdir()
    shutil.copytree(EXAMPLE, root / "honest")
    for name in ("train", "validation"):
        table = pd.read_csv(root / "honest" / f"{name}.csv")
        renamed = dict(zip([column for column in table if column != "benign"], HOSTILE_NAMES, strict=False))
        table.rename(columns=renamed).to_csv(root / "honest" / f"{name}.csv", index=False)
    (outside / "secret.csv").write_text(f"{SECRET},y\n1,0\n")
    environment = {"CANARY": ENVIRONMENT_SECRET, "FITCHECK_REMOTE": "https://zoo.example/ s3://zoo-bucket/"}
    with (
        running_service(state, home / "log", root, environment) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        made = Service(client, root, outside / "secret.csv", home / "log", processes_of(state))
        submitted = made.submit(tags={"a": "honest"})
        assert submitted.status_code == 202, submitted.text
        made.honest = submitted.json()
        yield made


def processes_of(state: Path) -> set[int]:
    """Those that were started with the folder in their environment."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if str(state).encode() in (place / "environ").read_bytes():
                found.add(int(place.name))
        except OSError:
            continue
    return found - {os.getpid()}


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    problem = answer.json()
    return answer.status_code, problem.get("code"), problem.get("field")


@pytest.mark.parametrize("name", ENTRIES)
def test_a_hostile_file_is_refused_at_once(service: Service, name: str) -> None:
    entry = ENTRIES[name]
    made = entry.make(Place(service.root / name, service.secret))
    changes = {"data.train.uri": made, "data.validation.uri": made} if isinstance(made, str) else dict(made)
    begun = time.monotonic()
    status, code, blamed = refusal(service.submit(**{"data.label": entry.label, **changes}))

    assert code in entry.codes
    assert (status, blamed) == (status_of(code), entry.field)
    assert time.monotonic() - begun < ANSWER_SECONDS
    assert list(service.secret.parent.iterdir()) == [service.secret]
    shutil.rmtree(service.root / name, ignore_errors=True)


URIS = {
    "uri_outside_roots": [
        "/etc/passwd",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "/proc/self/environ",
        "file:///proc/1/environ",
        "../outside/secret.csv",
        "file:///%2e%2e/%2e%2e/etc/passwd",
        "/dev/zero",
        "honest/../../outside/secret.csv",
        "/etc/*",
        "/**/secret.csv",
    ],
    "uri_malformed": [
        "file://evil.example/etc/passwd",
        "file:///a%00b",
        "file:///a%zz",
        "x\ny.csv",
        "https://user:password@zoo.example/x.csv",
        "https://zoo.example/../x.csv",
        "https://zoo.example/%2e%2e/x.csv",
        "https://zoo.example\\@evil.example/x.csv",
        "https://2130706433/x.csv",
        "https://0x7f.1/x.csv",
        "https://[::ffff:127.0.0.1]/x.csv",
    ],
    "uri_not_allowed": [
        "http://127.0.0.1/x.csv",
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/x.csv",
        "https://[::1]/x.csv",
        "https://zoo.example.evil.example/x.csv",
        "https://zoo.example:8443/x.csv",
        "http://zoo.example/x.csv",
        "s3://zoo-bucket-of-another/x.csv",
        "memory://x",
    ],
    "uri_scheme_forbidden": [
        "ftp://zoo.example/x.csv",
        "zip://x.csv::file:///etc/passwd",
        "gopher://x/",
        "dict://127.0.0.1:11211/",
        "data://x,y",
    ],
}
# Chains of fsspec, which are names of files here.
CHAINED = ("zip::https://zoo.example/x.zip", "simplecache::s3://zoo-bucket/x.csv", "jar:file:///x.zip!/y")
FIELDS = ("data.train.uri", "data.validation.label_uri", "history.uri", "model.uri")


@pytest.mark.parametrize("code", URIS)
def test_an_address_that_leads_elsewhere(service: Service, code: str) -> None:
    found = {uri: refusal(service.submit(**{"data.train.uri": uri})) for uri in URIS[code]}

    assert found == dict.fromkeys(found, (status_of(code), code, "data.train.uri"))


def test_an_address_that_another_library_would_unpack(service: Service) -> None:
    found = {uri: refusal(service.submit(**{"data.train.uri": uri})) for uri in CHAINED}

    assert found == dict.fromkeys(CHAINED, (422, "data_not_found", "data.train.uri"))


@pytest.mark.parametrize("blamed", FIELDS)
def test_every_field_that_takes_an_address_is_guarded(service: Service, blamed: str) -> None:
    found = {code: refusal(service.submit(**{blamed: uris[0]})) for code, uris in URIS.items()}

    assert found == {code: (status_of(code), code, blamed) for code in URIS}


def status_of(code: str) -> int:
    """The address is wrong, or what lies there."""
    return 400 if code.startswith("uri_") else 422


def test_the_honest_audit_was_answered_and_its_names_do_no_harm(service: Service) -> None:
    """Its columns are called what would run in a page, a terminal, a spreadsheet or a template."""
    job = service.finished(service.honest)
    assert job["status"] == "succeeded", job
    answers = {
        kind: service.client.get(job["links"]["report"], headers={"Accept": kind}).text
        for kind in ("application/json", "text/html", "text/markdown", "application/xml", "text/csv")
    }
    service.said += answers.values()
    terminal = io.StringIO()
    render_report(Report.model_validate_json(answers["application/json"]), Console(file=terminal, width=120))

    assert "<script>alert(1)" not in answers["text/html"]
    prose = re.sub(r"^```.*?^```$", "", answers["text/markdown"], flags=re.MULTILINE | re.DOTALL)
    assert "<script>alert(1)" not in prose
    assert ET.fromstring(answers["application/xml"]).tag == "testsuites"
    assert not any(cell.startswith(("=", "+", "@")) for cell in answers["text/csv"].replace('"', "").split(","))
    assert not {"\x1b", "\x07", "\u202e"} & set(terminal.getvalue() + answers["text/markdown"])


def test_nothing_was_told_and_nothing_is_left(service: Service) -> None:
    """The last test of the module."""
    service.finished(service.honest)
    deadline = time.monotonic() + 20
    state = service.log.parent / "state"
    while (left := processes_of(state) - service.processes) and time.monotonic() < deadline:
        time.sleep(0.2)
    said = "\n".join([*service.said, service.log.read_text(errors="replace")])

    assert not left
    assert SECRET not in said
    assert ENVIRONMENT_SECRET not in said
    assert "root:x:0:0" not in said
    assert [path.name for path in service.secret.parent.iterdir()] == ["secret.csv"]
    assert service.client.get("/readyz").is_success
