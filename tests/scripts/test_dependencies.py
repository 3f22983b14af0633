"""Bills of materials agree with the lock and with the images; an audit that could not ask does not pass."""

import copy
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from scripts import dependencies
from tests.deploy.test_containers import stages
from tests.serving import serving

ROOT = Path(__file__).parents[2]
Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


@pytest.fixture(scope="module")
def bills() -> dict[str, dict[str, Any]]:
    return {image: dependencies.bill_of_materials(image) for image in dependencies.IMAGES}


@pytest.fixture(scope="module")
def locked() -> dict[tuple[str, str], dict[str, Any]]:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return {(package["name"], package["version"]): package for package in packages}


def names(bill: dict[str, Any]) -> set[str]:
    return {component["name"] for component in bill["components"]}


class TestBills:
    def test_each_component_is_locked_and_known_by_its_hashes(self, bills, locked):
        for bill in bills.values():
            for component in bill["components"]:
                package = locked[component["name"], component["version"]]
                hashes = {
                    f"sha256:{digest['content']}"
                    for reference in component["externalReferences"]
                    for digest in reference["hashes"]
                }
                assert hashes
                assert hashes <= {file["hash"] for file in (*package["wheels"], package.get("sdist", {"hash": ""}))}
                assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"

    def test_each_image_has_its_own(self, bills):
        api, cpu, gpu = (names(bills[f"fitcheck-{image}"]) for image in ("api", "worker-cpu", "worker-gpu"))

        assert {"fastapi", "pyarrow", "uvloop"} & api == {"fastapi", "pyarrow"}
        assert not {"tensorflow", "tensorflow-cpu", "pytest"} & api
        assert "tensorflow-cpu" in cpu
        assert {"tensorflow", "nvidia-cudnn-cu12"} <= gpu
        assert api < cpu

    def test_they_are_of_what_the_dockerfile_installs(self):
        """A stage that is given another extra makes these bills wrong."""
        for stage, options in (("build-api", ""), ("build-worker", ' --extra "${ACCELERATOR}"')):
            syncs = [rest for word, rest in stages()[stage] if word == "RUN" and "uv sync" in rest]
            assert {sync.partition("uv sync ")[2].replace(" --no-editable", "") for sync in syncs[1:]} == {
                f"--frozen --no-dev{options}"
            }
        assert set(dependencies.IMAGES.values()) == {(), ("--extra", "cpu"), ("--extra", "gpu")}

    def test_what_is_no_cyclonedx_is_told(self, bills):
        wrong = copy.deepcopy(bills["fitcheck-api"])
        del wrong["components"][0]["name"]
        wrong["components"][1]["externalReferences"][0]["hashes"][0]["content"] = "short"
        told = " ".join(dependencies.problems_of(wrong))

        assert "$.components[0]: 'name' is a required property" in told
        assert "'short' does not match" in told

    def test_one_file_an_image_is_written(self, bills, tmp_path, monkeypatch):
        monkeypatch.setattr(dependencies, "bill_of_materials", bills.__getitem__)
        dependencies.write_bills(tmp_path / "sbom")

        assert {path.name for path in (tmp_path / "sbom").iterdir()} == {f"{image}.cdx.json" for image in bills}
        for image, bill in bills.items():
            assert json.loads((tmp_path / "sbom" / f"{image}.cdx.json").read_text()) == bill


@contextmanager
def database(answer: Answer) -> Iterator[str]:
    """A database of vulnerabilities with the interface of osv.dev; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(answer(asked))

        def do_GET(self) -> None:
            self._send({"id": self.path.rpartition("/")[2], "modified": "2026-01-01T00:00:00Z", "summary": "sentinel"})

        def _send(self, told: dict[str, Any] | None) -> None:
            content = json.dumps(told or {}).encode()
            self.send_response(200 if told is not None else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as address:
        yield f"{address}/"


def nothing_but(*vulnerable: str) -> Answer:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        found = {"vulns": [{"id": "GHSA-0000-0000-0000", "modified": "2026-01-01T00:00:00Z"}]}
        return {"results": [found if q["package"]["name"] in vulnerable else {} for q in asked["queries"]]}

    return answer


class TestAudit:
    def test_it_passes_where_nothing_is_known_of_any_locked_package(self, locked):
        asked: list[tuple[str, str]] = []

        def answer(question: dict[str, Any]) -> dict[str, Any]:
            asked.extend((query["package"]["name"], query["version"]) for query in question["queries"])
            return nothing_but()(question)

        with database(answer) as address:
            assert dependencies.audit(["--service-url", address]) == 0
        assert set(asked) == {package for package in locked if package[0] != "fitcheck"}

    def test_a_vulnerable_package_is_named(self, capfd):
        with database(nothing_but("jinja2")) as address:
            assert dependencies.audit(["--service-url", address]) == 1
        told = capfd.readouterr()

        assert "jinja2" in told.out + told.err
        assert "sentinel" in told.out + told.err

    def test_a_database_that_does_not_answer_is_no_pass(self, capfd):
        with database(lambda _: None) as address:
            assert dependencies.audit(["--service-url", address]) == 2

        assert "Nothing is known of the dependencies" in capfd.readouterr().err

    def test_the_exit_code_is_that_of_the_command(self, monkeypatch):
        monkeypatch.setattr(dependencies, "audit", lambda: 2)
        monkeypatch.setattr(sys, "argv", ["dependencies", "audit"])

        assert dependencies.main() == 2


def test_without_uv_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))

    with pytest.raises(FileNotFoundError, match="make setup"):
        dependencies.uv()


def test_it_is_the_uv_of_the_setup():
    version = subprocess.run([dependencies.uv(), "--version"], check=True, capture_output=True, text=True).stdout

    assert f"UV_VERSION={version.split()[1]}" in (ROOT / "scripts/setup.sh").read_text()
