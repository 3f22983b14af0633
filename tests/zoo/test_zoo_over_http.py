"""Hostile models through a running service: each ends in its problem, and the others are served meanwhile."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from audits.isolation import landlock, seccomp
from scripts.demo import running_service
from tests.zoo.conftest import Zoo

LIMIT_SECONDS = 240
HANGING_SECONDS = 20

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.timeout(3 * LIMIT_SECONDS),
    pytest.mark.skipif(landlock.abi() < 4 or not seccomp.is_available(), reason="no full sandbox here"),
]


@pytest.fixture(scope="module")
def data(zoo: Zoo) -> Path:
    """Two tables below the zoo's folder, whose label is the sum that the honest models answer."""
    folder = zoo.models.parent / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("train", "validation"):
        table = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"])
        table.assign(y=table.sum(axis=1)).to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def client(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    state = tmp_path_factory.mktemp("state")
    with (
        running_service(state, state / "log", data_root=zoo.models.parent) as address,
        httpx.Client(base_url=address, timeout=60) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def submit(client: httpx.Client, zoo: Zoo, data: Path):
    def answer(name: str, **resources: Any) -> httpx.Response:
        body = {
            "model": {"uri": str(zoo.models / name)},
            "data": {
                "train": {"uri": str(data / "train.csv")},
                "validation": {"uri": str(data / "validation.csv")},
                "label": "y",
            },
            "task": "regression",
            "resources": {"device": "cpu", **resources},
        }
        return client.post("/v1/audits", json=body)

    return answer


def finished(client: httpx.Client, submitted: httpx.Response) -> dict[str, Any]:
    assert submitted.status_code == 202, submitted.text
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        job = client.get(submitted.json()["links"]["self"]).json()
        if job["status"] not in {"queued", "running"}:
            return job
        time.sleep(0.2)
    raise AssertionError("the audit does not end")


def test_what_the_files_show_is_refused_at_once(submit, zoo: Zoo) -> None:
    answer = submit("read_labels")

    assert (answer.status_code, answer.json()["code"], answer.json()["op"]) == (422, "model_forbidden_op", "ReadFile")
    zoo.require_untouched()


def test_a_model_that_hangs_is_stopped_while_others_are_served(client, submit, zoo: Zoo) -> None:
    hanging = submit("loop_call", timeout_seconds=HANGING_SECONDS)
    at_load = submit("loop_at_load", timeout_seconds=HANGING_SECONDS)
    good = finished(client, submit("good"))
    ends = [finished(client, one) for one in (hanging, at_load)]

    assert good["status"] == "succeeded", good
    # the service, which counts the whole audit, may be first
    assert {end["error"]["code"] for end in ends} <= {"model_timeout", "audit_timeout"}
    zoo.require_untouched()


def test_the_report_says_what_locked_the_model_in(client, submit) -> None:
    job = finished(client, submit("variables"))
    isolation = client.get(job["links"]["report"]).json()["environment"]["isolation"]

    assert (isolation["level"], isolation["network"], isolation["missing"]) == ("full", "denied", [])
    assert client.get("/readyz").json()["isolation"]["level"] == "full"
