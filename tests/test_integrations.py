"""The files of examples/integrations: run, or held against their tool's own schema."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
import yaml
from typer.testing import CliRunner

import service.cli
from fitcheck import Client
from schemas.problem import Problem
from service.api.app import create_app
from service.logs import quiet_logging
from service.settings import Settings
from tests.foreign import python_of
from tests.service.cli.reports import whole_report
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
def url(jobs: FakeJobs, tmp_path: Path) -> Iterator[str]:
    """The address of a service in a thread of this process."""
    quiet_logging()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(
            uvicorn.Config(create_app(Settings(data_roots=(STORY, tmp_path)), jobs), log_config=None)
        )
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


def ends(jobs: FakeJobs, end: Callable[[str], None]) -> None:
    """As soon as there is an audit, what `end` does to it."""

    def work() -> None:
        while not jobs.stored:
            time.sleep(0.01)
        end(jobs.stored[0].job.id)

    threading.Thread(target=work, daemon=True).start()


class TestCron:
    def run(self, url: str, tmp_path: Path, request: Path = STORY / "request.json") -> subprocess.CompletedProcess[str]:
        command = [FOLDER / "cron" / "audit.sh", request, tmp_path]
        return subprocess.run(command, env=environment(url), capture_output=True, text=True, timeout=120, check=False)

    @pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("warn", 0), ("fail", 1)])
    def test_the_verdict_is_the_exit_code_and_the_page_is_kept(self, url, jobs, tmp_path, verdict, code):
        ends(jobs, lambda audit: jobs.succeed(audit, verdict))
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
        ends(jobs, lambda audit: jobs.fail(audit, problem))
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


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("verdict", "ending"), [("pass", "passed"), ("fail", "refused: fail:")])
def test_airflow_defers_follows_and_judges(url: str, jobs: FakeJobs, tmp_path: Path, verdict: str, ending: str):
    command = [python_of("airflow"), "-W", "ignore", "-c", AIRFLOW, url]
    told = {**environment(url), "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    with subprocess.Popen(
        command, cwd=ROOT, env=told, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        while running.poll() is None and not jobs.stored:
            time.sleep(0.1)
        if jobs.stored:
            time.sleep(0.5)
            jobs.succeed(jobs.stored[0].job.id, verdict)
        out, errors = running.communicate(timeout=600)

    assert running.returncode == 0, errors[-3000:]
    assert f"\n{ending}" in out
    assert len(jobs.stored) == 1


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("verdict", "versions"), [("warn", 1), ("fail", 0)])
def test_tfx_pushes_what_the_audit_blesses(url: str, jobs: FakeJobs, tmp_path: Path, verdict: str, versions: int):
    """A real pipeline, whose Pusher writes where TensorFlow Serving reads; what it wrote can be audited in its turn.

    TFX has releases for Python 3.10, or else for newer systems than Debian 12.
    """
    python = python_of("tfx", "3.10")
    trained, served, bin_ = (tmp_path / name for name in ("trained", "served", "bin"))
    shutil.copytree(STORY / "model", trained / "Format-Serving")
    served.mkdir()
    bin_.mkdir()
    # ours runs in an environment of its own
    fitcheck = bin_ / "fitcheck"
    fitcheck.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m service "$@"\n')
    fitcheck.chmod(0o755)
    told = {**environment(url), "PATH": f"{bin_}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": ""}
    del told["PYTHONPATH"]
    ends(jobs, lambda audit: jobs.succeed(audit, verdict))
    command = [python, FOLDER / "tfx" / "pipeline.py", trained, served, STORY, "benign"]
    done = subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, text=True, timeout=1100, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
    assert jobs.requests[jobs.stored[0].job.id].model.uri == str(trained / "Format-Serving")
    pushed = [*served.iterdir()]
    assert len(pushed) == versions
    for version in pushed:
        assert version.name.isdecimal()
        assert (version / "saved_model.pb").is_file()
        with Client(url) as client:
            client.submit(
                model=str(served), train="train.csv", validation="validation.csv", label="benign"
            )  # refused where there is no model


KUBEFLOW = """
import sys
from kfp import dsl

sys.path.insert(0, "examples/integrations/kubeflow")
from component import audit_model

url, folder = sys.argv[1:]
asked = {"model": "model", "train": "train.csv", "validation": "validation.csv", "label": "benign", "url": url}
page, metrics = dsl.HTML(uri=f"{folder}/page.html"), dsl.Metrics()
try:
    print("verdict:", audit_model.execute(**asked, page=page, metrics=metrics))
finally:
    print("metrics:", metrics.metadata)
"""


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("verdict", "ending"), [("warn", "verdict: warn"), ("fail", "GateError: fail: ")])
def test_kubeflow_runs_the_component(url: str, jobs: FakeJobs, tmp_path: Path, verdict: str, ending: str):
    """What a step does, without the cluster and the container."""
    metrics = whole_report().metrics
    ends(jobs, lambda audit: jobs.succeed(audit, verdict, metrics=metrics))
    command = [python_of("kubeflow"), "-W", "ignore", "-c", KUBEFLOW, url, tmp_path]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(url), capture_output=True, text=True, timeout=600, check=False
    )

    assert ending in done.stdout + done.stderr, done.stderr[-3000:]
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert "metrics: {'balanced_accuracy': 0.5}" in done.stdout


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_kubeflow_compiles_the_component(tmp_path: Path):
    command = [python_of("kubeflow"), FOLDER / "kubeflow" / "component.py"]
    told = {**os.environ, "FITCHECK_PACKAGE": "https://packages.test/fitcheck.whl"}
    subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, timeout=600, check=True)
    (pipeline,) = (
        part for part in yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()) if "components" in part
    )

    assert set(pipeline["components"]["comp-audit-model"]["inputDefinitions"]["parameters"]) == {
        "model", "train", "validation", "label", "url", "fail_on",
    }  # fmt: skip
    assert "https://packages.test/fitcheck.whl" in json.dumps(pipeline["deploymentSpec"])
