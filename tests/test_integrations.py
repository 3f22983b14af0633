"""The files of examples/integrations: run, or held against their tool's own schema."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
import yaml
from typer.testing import CliRunner

import service.cli
from schemas.problem import Problem
from service.api.app import create_app
from service.logs import quiet_logging
from service.settings import Settings
from tests.service.fakes import FakeJobs

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "integrations"
STORY = ROOT / "examples" / "wrong_scaling"
GATES = {
    "vendor.github-workflows": FOLDER / "github" / "fitcheck.yml",
    "vendor.gitlab-ci": FOLDER / "gitlab" / "fitcheck.gitlab-ci.yml",
}


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def url(jobs: FakeJobs) -> Iterator[str]:
    """The address of a service in a thread of this process."""
    quiet_logging()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(create_app(Settings(data_roots=(STORY,)), jobs), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def environment(url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FITCHECK_")}
    return {**kept, "FITCHECK_URL": url, "FITCHECK_POLL_SECONDS": "0.1", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("schema", GATES)
def test_a_gate_is_what_its_tool_expects(schema: str):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, GATES[schema]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def commands_of(gate: Path) -> list[list[str]]:
    """Every call of `fitcheck` in a YAML file, as words."""
    texts = [text for text in strings_of(yaml.safe_load(gate.read_text())) if "fitcheck submit" in text]
    return [text.replace('"', "").split("fitcheck submit", 1)[1].split() for text in texts]


def strings_of(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for item in node.values() if isinstance(node, dict) else node:
            yield from strings_of(item)


@pytest.mark.parametrize("schema", GATES)
def test_the_options_of_a_gate_exist(schema: str):
    """Named in the help of the command; a typo would only be seen in a pipeline."""
    told = CliRunner().invoke(service.cli.app, ["submit", "--help"], env={"COLUMNS": "300"}).output
    (words,) = commands_of(GATES[schema])

    assert {word for word in words if word.startswith("--")} <= set(told.split())


class TestCron:
    def run(self, url: str, tmp_path: Path, request: Path = STORY / "request.json") -> subprocess.CompletedProcess[str]:
        command = [FOLDER / "cron" / "audit.sh", request, tmp_path]
        return subprocess.run(command, env=environment(url), capture_output=True, text=True, timeout=120, check=False)

    def ends(self, jobs: FakeJobs, end) -> None:
        def work() -> None:
            while not jobs.stored:
                time.sleep(0.01)
            end(jobs.stored[0].job.id)

        threading.Thread(target=work).start()

    @pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("warn", 0), ("fail", 1)])
    def test_the_verdict_is_the_exit_code_and_the_page_is_kept(self, url, jobs, tmp_path, verdict, code):
        self.ends(jobs, lambda audit: jobs.succeed(audit, verdict))
        done = self.run(url, tmp_path)

        assert done.returncode == code, done.stderr
        assert done.stdout == f"audit-0001 {verdict}\n"
        assert (tmp_path / "audit-0001.html").read_text().startswith("<!doctype html>")

    def test_a_request_that_is_refused_says_why(self, url, tmp_path):
        request = tmp_path / "request.json"
        request.write_text(json.dumps({"model": {"uri": "nothing"}}))
        done = self.run(url, tmp_path, request)

        assert done.returncode == 2
        assert done.stderr.strip()

    def test_an_audit_that_fails_is_no_verdict(self, url, jobs, tmp_path):
        problem = Problem(title="Killed", code="evaluator_killed", detail="Out of memory.")
        self.ends(jobs, lambda audit: jobs.fail(audit, problem))
        done = self.run(url, tmp_path)

        assert done.returncode == 3
        assert "Out of memory." in done.stderr


class TestServing:
    def promote(self, tmp_path: Path, code: int) -> subprocess.CompletedProcess[str]:
        """With a `fitcheck` that ends with the code."""
        (tmp_path / "bin").mkdir()
        fitcheck = tmp_path / "bin" / "fitcheck"
        fitcheck.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit {code}\n')
        fitcheck.chmod(0o755)
        shutil.copytree(STORY / "model", tmp_path / "staged")
        for version in ("2", "10"):
            (tmp_path / "served" / version).mkdir(parents=True)
        command = [FOLDER / "tf_serving" / "promote.sh", "staged", "served", "--", "--label", "y"]
        path = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        return subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, timeout=60, check=False)

    def test_what_passes_becomes_the_next_version(self, tmp_path: Path):
        done = self.promote(tmp_path, 0)

        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["10", "11", "2"]
        assert (tmp_path / "served" / "11" / "saved_model.pb").is_file()
        assert (tmp_path / "asked").read_text().split()[:4] == ["submit", "--wait", "--model", "staged"]

    def test_what_fails_is_never_served(self, tmp_path: Path):
        assert self.promote(tmp_path, 1).returncode == 1
        assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["10", "2"]


AIRFLOW = """
import asyncio, json, sys
from types import SimpleNamespace
from airflow.exceptions import AirflowException, TaskDeferred
from fitcheck.airflow import AuditTrigger, FitcheckAuditOperator

sys.path.insert(0, "examples/integrations/airflow")
import model_gate

assert [task.task_id for task in model_gate.dag.tasks] == ["audit"]

request = json.load(open("examples/wrong_scaling/request.json"))
task = FitcheckAuditOperator(task_id="audit", url=sys.argv[1], request=request)
ti = SimpleNamespace(dag_id="d" * 250, task_id="audit", run_id="r" * 250, map_index=-1, try_number=1)
told = []
for _ in range(2):
    try:
        task.execute({"ti": ti})
    except TaskDeferred as deferred:
        told.append(deferred)
path, arguments = told[0].trigger.serialize()
assert path == "fitcheck.airflow.AuditTrigger", path
assert told[1].trigger.audit_id == arguments["audit_id"], "the same try is the same audit"

async def first(trigger):
    async for event in trigger.run():
        return event.payload

print(arguments["audit_id"], flush=True)
event = asyncio.run(first(AuditTrigger(**arguments)))
assert told[0].method_name == "finish"
try:
    task.finish({}, event)
except AirflowException as error:
    print("refused:", error)
else:
    print("passed")
"""


def foreign(name: str) -> str:
    """The Python of an environment that holds a library too heavy for ours."""
    if name not in os.environ:
        pytest.skip(f"{name} names no Python")
    return os.environ[name]


@pytest.mark.parametrize(("verdict", "ending"), [("pass", "passed"), ("fail", "refused:")])
def test_airflow_defers_follows_and_judges(url: str, jobs: FakeJobs, tmp_path: Path, verdict: str, ending: str):
    """`FITCHECK_TEST_AIRFLOW=/path/to/python` with apache-airflow, pydantic, httpx and rich."""
    command = [foreign("FITCHECK_TEST_AIRFLOW"), "-W", "ignore", "-c", AIRFLOW, url]
    told = {**environment(url), "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    with subprocess.Popen(
        command, cwd=ROOT, env=told, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        while running.poll() is None and not jobs.stored:
            time.sleep(0.1)
        if jobs.stored:
            time.sleep(0.5)
            jobs.succeed(jobs.stored[0].job.id, verdict)
        out, errors = running.communicate(timeout=150)

    assert running.returncode == 0, errors[-3000:]
    assert f"\n{ending}" in out
    assert len(jobs.stored) == 1


def test_kubeflow_compiles_the_component(tmp_path: Path):
    """`FITCHECK_TEST_KFP=/path/to/python` with kfp."""
    command = [foreign("FITCHECK_TEST_KFP"), FOLDER / "kubeflow" / "component.py"]
    told = {**os.environ, "FITCHECK_PACKAGE": "https://packages.test/fitcheck.whl"}
    subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, timeout=150, check=True)
    (pipeline,) = (
        part for part in yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()) if "components" in part
    )

    assert set(pipeline["components"]["comp-audit-model"]["inputDefinitions"]["parameters"]) == {
        "model", "train", "validation", "label", "url", "fail_on",
    }  # fmt: skip
    assert "https://packages.test/fitcheck.whl" in json.dumps(pipeline["deploymentSpec"])
