"""How fast the API answers under load, beside a bare FastAPI application that does one insert or one select a request.

Usage: python -m benchmarks.load [--seconds 60] [--submits 50] [--pollers 100] [--database URL] [--output FILE]

Both sides take turns in one run, on databases of the same kind. The load is open: submits come at their times, whether
or not the earlier ones were answered, and a late answer counts from when its request was due. Pollers ask once a
second, each for an audit of its own. Loopback only; no worker runs: what it would compute is not the API's.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psycopg
import sqlalchemy as sa

from benchmarks.document import rows_of, write_between
from scripts.demo import free_port

ROUNDS = 3
POLL_SECONDS = 1.0
READY_SECONDS = 60
REQUEST = {
    "model": {"uri": "wrong_scaling/model"},
    "data": {
        "train": {"uri": "wrong_scaling/train.csv"},
        "validation": {"uri": "wrong_scaling/validation.csv"},
        "label": "benign",
    },
}
EXAMPLES = Path(__file__).parents[1] / "examples"


@dataclass
class Seconds:
    """Answer times of one side, and how many requests had none or a wrong one."""

    post: list[float] = field(default_factory=list)
    get: list[float] = field(default_factory=list)
    errors: int = 0


@dataclass(frozen=True)
class Side:
    """One of the two applications.

    Attributes:
        command: starts it on a port and a database.
    """

    name: str
    command: Callable[[int, str], list[str]]


OURS = Side(
    "fitcheck api", lambda port, _: [str(Path(sys.executable).with_name("fitcheck")), "api", "--port", str(port)]
)
BARE = Side("bare", lambda port, url: [sys.executable, "-m", "benchmarks.bare_api", str(port), url])


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """An empty database of the kind: `sqlite`, or one made on the PostgreSQL server of that address."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/{random.randrange(2**32):08x}.sqlite"
        return
    name = f"fitcheck_load_{random.randrange(2**32):08x}"
    with psycopg.connect(kind, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield sa.make_url(kind).set(database=name).render_as_string(hide_password=False)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running(side: Side, url: str, folder: Path) -> Iterator[str]:
    """The application on a free port; its address."""
    port = free_port()
    settings = {
        "FITCHECK_DATABASE": url,
        "FITCHECK_STATE_DIR": str(folder),
        "FITCHECK_DATA_ROOTS": str(EXAMPLES),
        # All clients here are one caller.
        "FITCHECK_MAX_QUEUE": "1000000",
        "FITCHECK_MAX_QUEUE_PER_CALLER": "1000000",
        "FITCHECK_RATE_LIMIT": "0",
    }
    with (folder / "server.log").open("wb") as output:
        process = subprocess.Popen(side.command(port, url), env=os.environ | settings, stdout=output, stderr=output)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/healthz").is_success:
                return
        time.sleep(0.1)
    raise SystemExit(f"{address} is not ready after {READY_SECONDS} s")


async def load(address: str, *, seconds: float, submits: float, pollers: int) -> Seconds:
    """Submit and poll for so many seconds."""
    seen = Seconds()
    limits = httpx.Limits(max_connections=400, max_keepalive_connections=400)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=30) as client:
        known = [await _submit(client, seen, time.perf_counter()) for _ in range(pollers)]
        seen.post.clear()
        begun = time.perf_counter()
        work = [
            _poll(client, seen, known[i], begun + POLL_SECONDS * i / pollers, begun + seconds) for i in range(pollers)
        ]
        work += [_submit_at(client, seen, begun + i / submits) for i in range(int(submits * seconds))]
        await asyncio.gather(*work)
    return seen


async def _submit_at(client: httpx.AsyncClient, seen: Seconds, due: float) -> None:
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await _submit(client, seen, due)


async def _submit(client: httpx.AsyncClient, seen: Seconds, due: float) -> str:
    try:
        answer = await client.post("/v1/audits", json=REQUEST)
        seen.post.append(time.perf_counter() - due)
        seen.errors += answer.status_code != httpx.codes.ACCEPTED
        return str(answer.json()["id"])
    except (httpx.HTTPError, KeyError, json.JSONDecodeError):
        seen.errors += 1
        return ""


async def _poll(client: httpx.AsyncClient, seen: Seconds, job: str, due: float, end: float) -> None:
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        try:
            answer = await client.get(f"/v1/audits/{job}")
            seen.get.append(time.perf_counter() - due)
            seen.errors += answer.status_code != httpx.codes.OK
        except httpx.HTTPError:
            seen.errors += 1
        due += POLL_SECONDS


def measure(kind: str, *, seconds: float, submits: float, pollers: int) -> dict[str, Seconds]:
    """Both sides in turn, each in as many rounds; by the name of the side."""
    seen = {side.name: Seconds() for side in (BARE, OURS)}
    for _ in range(ROUNDS):
        for side in (BARE, OURS):
            with (
                tempfile.TemporaryDirectory() as folder,
                database(kind, Path(folder)) as url,
                running(side, url, Path(folder)) as address,
            ):
                one = asyncio.run(load(address, seconds=seconds / ROUNDS, submits=submits, pollers=pollers))
            total = seen[side.name]
            total.post += one.post
            total.get += one.get
            total.errors += one.errors
            times = f"POST p99 {_ms(one.post, 99)} ms, GET p99 {_ms(one.get, 99)} ms"
            print(f"{_name(kind)}, {side.name}: {times}", flush=True)
    return seen


def _name(kind: str) -> str:
    return kind.partition(":")[0]


def _ms(seconds: list[float], percentile: float) -> str:
    return f"{1000 * np.percentile(seconds, percentile):.1f}"


def table(kinds: dict[str, dict[str, Seconds]]) -> str:
    header = ("database", "request", "n", "bare p50, ms", "p50, ms", "bare p99, ms", "p99, ms", "p99 / bare", "errors")
    rows = []
    for kind, seen in kinds.items():
        ours, bare = seen[OURS.name], seen[BARE.name]
        for request, a, b in (("POST", ours.post, bare.post), ("GET", ours.get, bare.get)):
            ratio = np.percentile(a, 99) / np.percentile(b, 99)
            cells = (_ms(b, 50), _ms(a, 50), _ms(b, 99), _ms(a, 99), f"{ratio:.1f}", ours.errors)
            rows.append((_name(kind), request, len(a), *cells))
    return rows_of(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of load, for each side")
    parser.add_argument("--submits", type=float, default=50, help="a second")
    parser.add_argument("--pollers", type=int, default=100)
    parser.add_argument(
        "--database", action="append", help="`sqlite`, or a PostgreSQL server's address; may be repeated"
    )
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    kinds = arguments.database or ["sqlite", "postgresql://postgres@127.0.0.1:5432/postgres"]
    options = {"seconds": arguments.seconds, "submits": arguments.submits, "pollers": arguments.pollers}
    content = table({kind: measure(kind, **options) for kind in kinds})
    rates = f"{arguments.submits:.0f} submits a second and {arguments.pollers} pollers for {arguments.seconds:.0f} s"
    machine = f"client and server on {os.cpu_count()} cores; load average at the end {os.getloadavg()[0]:.1f}"
    content = f"{rates}, {machine}.\n\n{content}"
    print(content)
    if arguments.output:
        write_between(arguments.output, "load", content)


if __name__ == "__main__":
    main()
