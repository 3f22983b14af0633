"""Sends generated requests to a real service: no answer may be a 5xx, and none other than its OpenAPI document says.

Usage: python -m scripts.fuzz_api [--minutes 10] [--seed NUMBER]

Schemathesis makes the requests, of every operation and of methods that there are not, valid and invalid, alone and in
sequences. It is given the document with the ids and files in it that are there: made up from nothing, next to no
request would get beyond `404`. Exits with 1 where an answer was wrong; the service's log is kept then.
"""

import argparse
import copy
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts.demo import EXAMPLES, STATE, fresh_state, running_service

# What is too large is refused as such, whatever else may be wrong with it. And no schema can say that files must exist,
# that tag keys differ, or which cursors we gave.
CONFIGURATION = """
[checks]
positive_data_acceptance.enabled = false

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 414, 415, 422, 431]
"""
EVENTS = "/v1/audits/{id}/events"
WORKERS = 2
ANSWER_SECONDS = 30
AUDIT_SECONDS = 120.0
POLL_SECONDS = 0.2
EXAMPLE = EXAMPLES / "wrong_scaling"
MODEL = str(EXAMPLE / "model")
REQUEST = {
    "model": {"uri": MODEL},
    "data": {
        "train": {"uri": str(EXAMPLE / "train.csv")},
        "validation": {"uri": str(EXAMPLE / "validation.csv")},
        "label": "benign",
    },
    "resources": {"max_rows": 200},
}


@dataclass(frozen=True)
class There:
    """What the service holds, for requests to name.

    Attributes:
        audits: ids of finished audits, whose event streams end.
        uploads: ids.
    """

    audits: Sequence[str]
    uploads: Sequence[str]


def main() -> int:
    """Fuzz; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.fuzz_api", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="of an earlier run, to repeat it")
    arguments = parser.parse_args()
    key = secrets.token_hex(16)
    log = STATE / "fuzz-api.log"
    with fresh_state() as state, running_service(state, log, settings=settings_of(key)) as address:
        there = fill(address, key)
        document = state / "openapi.json"
        document.with_suffix(".toml").write_text(CONFIGURATION)
        document.write_text(json.dumps(with_known(httpx.get(f"{address}/openapi.json").json(), there)))
        # A stream of an audit that waits has no end: in sequences, which make audits, streams are left out.
        alone = ("--phases", "examples,coverage,fuzzing", *_seconds(0.7 * arguments.minutes))
        in_sequence = ("--phases", "stateful", "--exclude-path", EVENTS, *_seconds(0.3 * arguments.minutes))
        codes = [
            subprocess.run(command(address, document, key, arguments.seed, options), check=False).returncode
            for options in (alone, in_sequence)
        ]
        faults = [line for line in log.read_text(errors="replace").splitlines() if "Traceback" in line]
    print(f"seed {arguments.seed}; the service's log is {log}, with {len(faults)} tracebacks")
    return int(any(codes) or bool(faults))


def settings_of(key: str) -> dict[str, str]:
    """A service that is never too busy: to answer that it is would be no fault."""
    return {
        "FITCHECK_API_KEYS": key,
        "FITCHECK_RATE_LIMIT": "0",
        "FITCHECK_MAX_QUEUE": "1000000",
        "FITCHECK_MAX_QUEUE_PER_CALLER": "1000000",
        "FITCHECK_SLOTS": "1",
    }


def fill(address: str, key: str) -> There:
    """Have something of each kind: an audit with a report, one without, a file.

    Raises:
        httpx.HTTPStatusError, TimeoutError: the service does not do what it should.
    """
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_SECONDS) as client:
        audits = [client.post("/v1/audits", json=REQUEST).raise_for_status().json()["id"] for _ in range(2)]
        client.post(f"/v1/audits/{audits[1]}/cancel").raise_for_status()
        sent = client.post("/v1/uploads", params={"name": "train.csv"}, content=(EXAMPLE / "train.csv").read_bytes())
        deadline = time.monotonic() + AUDIT_SECONDS
        for audit in audits:
            while client.get(f"/v1/audits/{audit}").json()["status"] in {"queued", "running"}:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the audit {audit} does not end")
                time.sleep(POLL_SECONDS)
    return There(audits, [sent.raise_for_status().json()["id"]])


def with_known(document: Mapping[str, Any], there: There) -> dict[str, Any]:
    """The document with what is there among the values that its schemas allow."""
    known: dict[str, Any] = copy.deepcopy(dict(document))
    for path, operations in known["paths"].items():
        ids = there.uploads if path.startswith("/v1/uploads") else there.audits
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] == "id":
                    parameter["schema"] = _among(ids, parameter["schema"])
    schemas = known["components"]["schemas"]
    uploads = [f"upload://{id_}" for id_ in there.uploads]
    model, data = schemas["ModelReference"]["properties"], schemas["DataReference"]["properties"]
    model["uri"] = _among([MODEL, *uploads], model["uri"])
    files = [str(EXAMPLE / "train.csv"), str(EXAMPLE / "validation.csv"), *uploads]
    data["uri"] = _among(files, data["uri"])
    for operation in known["paths"]["/v1/audits"].values():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            content["examples"] = {"known": {"value": REQUEST}}
    return known


def _among(values: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "enum": list(values)}, dict(schema)]}


def command(address: str, document: Path, key: str, seed: int, options: Sequence[str]) -> list[str]:
    """Schemathesis, on the whole document."""
    return [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(document.with_suffix(".toml"))),
        *("run", str(document), "--url", address),
        *("--header", f"Authorization:Bearer {key}", "--workers", str(WORKERS), "--seed", str(seed)),
        "--continue-on-failure",
        *("--request-timeout", str(ANSWER_SECONDS), "--generation-database", "none", "--suppress-health-check", "all"),
        *("--no-color", *options),
    ]


def _seconds(minutes: float) -> tuple[str, str]:
    return "--max-time", str(max(1, round(60 * minutes)))


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main())
