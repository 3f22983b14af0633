"""Does the service keep every promise while its processes and its machine fail at random?

    python -m benchmarks.soak --audits 200 --minutes 20 --database both --output docs/benchmarks.md

Submits audits over HTTP and meanwhile kills slots, evaluators, the fork server, the API and the supervisor with
`kill -9`, stops slots for longer than their lease, fills the disk, turns the clock, and on PostgreSQL restarts the
database in immediate mode, as after a power cut, and takes it away for a minute. Then, with the faults over, every
audit must be final, none lost, each succeeded one reported exactly once, and no process left. Exits with 1 where that
is not so.

PostgreSQL is a private cluster that this program makes and stops; it needs `initdb` and `pg_ctl`. A disk of its own
needs root; a clock of its own needs a C compiler. What cannot be done here is said and left out.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.document import rows_of, write_between
from benchmarks.soak.faults import Faults
from benchmarks.soak.machine import Clock, disk, fill
from benchmarks.soak.postgres import Cluster, cluster
from benchmarks.soak.service import FINAL, Service
from scripts.demo import free_port
from service.jobs.database import connect
from service.jobs.tables import audit, report, workflow
from service.settings import Settings

LEASE_SECONDS = 4.0
SLOTS = 3
DISK_SECONDS = 15.0
JUMP_SECONDS = 600  # far beyond every lease, and less than an audit may take
OUTAGE_SECONDS = 60.0

Found = dict[str, Any]


def soak(database: str, arguments: argparse.Namespace) -> Found:
    """Run on one kind of database: what was seen, and the promises that were broken."""
    with ExitStack() as stack:
        folder = stack.enter_context(disk())
        clock = Clock(folder)
        server = stack.enter_context(cluster(folder, clock.environment)) if database == "postgresql" else None
        url = server.url if server else f"sqlite:///{folder}/soak.sqlite"
        service = Service(settings_for(folder, url), folder / "service.log", clock.environment)
        others = _faults_of_the_machine(folder, clock, server, random.Random(arguments.seed))
        try:
            found = _run(service, folder, arguments, others)
        except TimeoutError as error:
            found = {"broken": [f"answered in time: {error}"]}
        finally:
            service.kill()
        if found["broken"] and arguments.keep is not None:
            shutil.copy(service.log, arguments.keep)
    print(json.dumps({"database": database, **found}, indent=2), flush=True)
    return {"database": database, **found}


def settings_for(folder: Path, database: str) -> Settings:
    return Settings(
        database=database,
        state_dir=folder,
        data_roots=(folder,),
        port=free_port(),
        slots=SLOTS,
        gpu_slots=0,
        lease_seconds=LEASE_SECONDS,
        beat_seconds=LEASE_SECONDS / 5,
        shutdown_seconds=5,
        log_format="json",
    )


def _faults_of_the_machine(
    folder: Path, clock: Clock, server: Cluster | None, rng: random.Random
) -> dict[str, Callable[[], None]]:
    found: dict[str, Callable[[], None]] = {}
    if server is not None:
        found["database"] = server.restart
        found["outage"] = lambda: server.outage(OUTAGE_SECONDS)
    if folder.is_mount():

        def full() -> None:
            fill(folder, DISK_SECONDS)
            if server is not None:
                server.revive()

        found["disk"] = full
    else:
        print("the disk is not filled: only root may mount one", file=sys.stderr)
    if clock.is_ours:
        found["clock"] = lambda: clock.jump(rng, JUMP_SECONDS)
    else:
        print("the clock is not turned: there is no C compiler", file=sys.stderr)
    return found


def _run(service: Service, folder: Path, arguments: argparse.Namespace, others: dict[str, Callable[[], None]]) -> Found:
    rng = random.Random(arguments.seed)
    service.tend()
    began = time.monotonic()
    deadline = began + 60 * arguments.minutes
    service.ask("GET", "/healthz", deadline)
    faults = Faults(service, others, rng, pause_seconds=arguments.pause, lease_seconds=LEASE_SECONDS)
    faults.start()
    lengths = [rng.uniform(0.5, 3) for _ in range(arguments.audits)]
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda i: service.submit(folder, i, lengths[i], deadline), range(arguments.audits)))
    # The last quarter of the time is for what the faults have left to do.
    while time.monotonic() - began < 45 * arguments.minutes and faults.is_alive():
        jobs = [service.ask("GET", f"/v1/audits/{audit_id}", deadline) for audit_id in ids]
        if all(job["status"] in FINAL for job in jobs):
            break
        time.sleep(2)
    faults.stop()
    if faults.error is not None:
        raise faults.error
    jobs = [service.wait(audit_id, deadline) for audit_id in ids]
    succeeded = [job for job in jobs if job["status"] == "succeeded"]
    summaries = [service.ask("GET", f"/v1/audits/{job['id']}/report", deadline)["summary"] for job in succeeded]
    found: Found = {
        "seconds": round(time.monotonic() - began),
        "faults": dict(faults.done),
        "faults_missing": faults.missing,
        "statuses": dict(Counter(str(job["status"]) for job in jobs)),
        "given_up": dict(Counter(str(job["error"]["code"]) for job in jobs if job["error"])),
        "starts": sum(int(job["attempt"]) for job in jobs),
        "stored": _stored(service.settings),
        "exit_status": service.stop(),
        "left_behind": service.left_behind(),
    }
    is_each_its_own = summaries == [job["tags"]["number"] for job in succeeded]
    found["broken"] = _broken(found, ids, is_each_its_own=is_each_its_own)
    return found


def _stored(settings: Settings) -> dict[str, int]:
    engine = connect(settings, pool_size=1)
    tables = {"audits": audit, "reports": report, "workflows": workflow}
    with engine.connect() as connection:
        counts = {
            name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in tables.items()
        }
    engine.dispose()
    return counts


def _broken(found: Found, ids: list[str], *, is_each_its_own: bool) -> list[str]:
    """The promises that were not kept."""
    statuses, stored = found["statuses"], found["stored"]
    succeeded = statuses.get("succeeded", 0)
    # What died three times under an audit, or an evaluation that was killed three times, is rightly given up.
    given_up = sum(found["given_up"].get(code, 0) for code in ("worker_lost", "evaluator_killed", "worker_fault"))
    promises = {
        "one audit a key": len(set(ids)) == len(ids) == stored["audits"] == stored["workflows"],
        "all final": sum(statuses.get(status, 0) for status in FINAL) == len(ids),
        "none failed but those that were given up": statuses.get("failed", 0) == given_up,
        "few given up": given_up <= max(2, len(ids) // 10),
        "each report once, and its own": is_each_its_own and stored["reports"] == succeeded,
        "no process left": not found["left_behind"],
        "ended when told to": found["exit_status"] == 0,
        "each kind of fault happened": not found["faults_missing"],
    }
    return [promise for promise, is_kept in promises.items() if not is_kept]


def table(runs: list[Found]) -> str:
    rows = []
    for found in runs:
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(found["faults"].items()))
        lost = len(found["broken"])
        codes = ", ".join(f"{count} {code}" for code, count in sorted(found["given_up"].items()))
        rows.append(
            (
                found["database"],
                sum(found["statuses"].values()),
                f"{sum(found['faults'].values())}: {faults}",
                found["starts"],
                found["statuses"].get("succeeded", 0),
                codes or "none",
                found["seconds"],
                "none" if not lost else "; ".join(found["broken"]),
            )
        )
    header = ("database", "audits", "faults", "starts", "reported once", "given up", "seconds", "promises broken")
    return rows_of(header, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audits", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=10, help="for each database; unfinished audits are a failure")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument(
        "--pause", type=float, default=3, help="seconds between faults; processes that start slowly need more"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="copy the service's log here where a promise was broken")
    parser.add_argument("--output", type=Path, help="write the table into this document")
    arguments = parser.parse_args()
    # Told to stop, stop the service and the database too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    databases = ["sqlite", "postgresql"] if arguments.database == "both" else [arguments.database]
    runs = [soak(database, arguments) for database in databases]
    if arguments.output is not None and all("statuses" in found for found in runs):
        machine = f"{SLOTS} slots on {os.cpu_count()} cores, leases of {LEASE_SECONDS:.0f} s, seed {arguments.seed}."
        write_between(arguments.output, "soak", f"{machine}\n\n{table(runs)}")
    return 0 if not any(found["broken"] for found in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
