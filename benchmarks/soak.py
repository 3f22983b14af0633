"""Does the service keep every promise while its processes are killed at random?

    python -m benchmarks.soak --audits 60 --minutes 10 --database both

Submits audits over HTTP and meanwhile kills slots, evaluators, the fork server, the API and the supervisor with
``kill -9``, stops slots for longer than their lease, and on PostgreSQL restarts the database in immediate mode, as
after a power cut. Then, with the faults over, every audit must be final, none lost, each succeeded one reported
exactly once, and no process left. Exits with 1 where that is not so.

PostgreSQL is a private cluster that this program makes and stops; it needs `initdb` and `pg_ctl`.
"""

import argparse
import contextlib
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import sqlalchemy as sa

from scripts.demo import free_port
from service.jobs.database import connect
from service.jobs.leases import started_at
from service.jobs.tables import audit, report, workflow
from service.settings import Settings

LEASE_SECONDS = 4.0
SLOTS = 3
FINAL = {"succeeded", "failed", "cancelled"}
SERVE = "from service.settings import Settings; from service.worker.supervisor import run_serve; import sys; "
SERVE += "sys.exit(run_serve(Settings(), evaluator='benchmarks.sleeping'))"


@dataclass
class Service:
    """The service under test: started again when it was killed."""

    settings: Settings
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    seen: set[tuple[int, int]] = field(default_factory=set)  # every process there ever was: number and begin

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            environment = {**os.environ, **self.settings.environment()}
            self.process = subprocess.Popen([sys.executable, "-c", SERVE], env=environment, stderr=log, stdout=log)

    def tend(self) -> None:
        """Start it where it does not run, and remember its processes."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        for pid in self.family():
            began = started_at(pid)
            if began is not None:
                self.seen.add((pid, began))

    def family(self) -> list[int]:
        """The supervisor and all below it."""
        children: dict[int, list[int]] = {}
        for name in glob.glob("/proc/[0-9]*/stat"):  # noqa: PTH207 - processes end between listing and reading
            with contextlib.suppress(OSError):
                text = Path(name).read_text()
                parent = int(text.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(name.split("/")[2]))
        found = [self.process.pid] if self.process is not None else []
        for pid in found:
            found += children.get(pid, [])
        return found

    def kill(self) -> None:
        """End it whatever it does; its processes end with it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=60)

    def left_behind(self) -> list[int]:
        """Processes of any start that still run."""
        time.sleep(1)
        return sorted(pid for pid, began in self.seen if started_at(pid) == began)

    def kind(self, pid: int) -> str:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        if self.process is not None and pid == self.process.pid:
            return "supervisor"
        if "service.worker.slot" in command:
            return "slot"
        if "forkserver" in command:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            return "fork server" if self.process is not None and parent == self.process.pid else "evaluator"
        return "api" if "service api" in command else "other"


class Faults(threading.Thread):
    """Does harm at random, until told to stop."""

    WEIGHTS = {"slot": 5, "evaluator": 5, "pause": 3, "api": 2, "fork server": 1, "supervisor": 1, "database": 3}

    def __init__(
        self, service: Service, rng: random.Random, pause: float, restart_database: Callable[[], None] | None
    ) -> None:
        super().__init__(daemon=True)
        self.done: Counter[str] = Counter()
        self._service = service
        self._rng = rng
        self._pause_seconds = pause
        self._restart_database = restart_database
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(self._rng.uniform(0.3, 1.7) * self._pause_seconds):
            self._service.tend()
            fault = self._rng.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
            with contextlib.suppress(OSError):  # the victim was gone already
                self._do(fault)

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        self._service.tend()

    def _do(self, fault: str) -> None:
        if fault == "database":
            if self._restart_database is not None:
                self._restart_database()
                self.done[fault] += 1
            return
        kind = "slot" if fault == "pause" else fault
        victims = [pid for pid in self._service.family() if self._kind(pid) == kind]
        if not victims:
            return
        victim = self._rng.choice(victims)
        if fault == "pause":
            os.kill(victim, signal.SIGSTOP)
            self._stopping.wait(self._rng.uniform(1.2, 2.0) * LEASE_SECONDS)
            os.kill(victim, signal.SIGCONT)
        else:
            os.kill(victim, signal.SIGKILL)
        self.done[fault] += 1

    def _kind(self, pid: int) -> str:
        try:
            return self._service.kind(pid)
        except OSError:
            return "gone"


def ask(service: Service, method: str, path: str, deadline: float, **options: object) -> dict[str, object]:
    """The service's answer, as soon as it gives one."""
    while True:
        try:
            answer = httpx.request(method, service.url + path, timeout=10, **options)  # type: ignore[arg-type]
            if answer.is_success:
                return dict(answer.json())
            if answer.status_code < 500 and answer.status_code != 429:
                raise SystemExit(f"{method} {path} was refused: {answer.text}")
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{method} {path}")
        time.sleep(0.3)


def submit(service: Service, folder: Path, number: int, seconds: float, deadline: float) -> str:
    """One audit, sent until it is taken, under one key."""
    body = {
        "model": {"uri": str(folder / "model")},
        "data": {
            "train": {"uri": str(folder / "train.csv")},
            "validation": {"uri": str(folder / "validation.csv")},
            "label": "benign",
        },
        "tags": {"number": str(number), "seconds": f"{seconds:.2f}"},
    }
    return str(ask(service, "POST", "/v1/audits", deadline, json=body, headers={"Idempotency-Key": f"n{number}"})["id"])


def wait(service: Service, audit_id: str, deadline: float) -> dict[str, object]:
    while True:
        job = ask(service, "GET", f"/v1/audits/{audit_id}", deadline)
        if job["status"] in FINAL:
            return job
        if time.monotonic() > deadline:
            return job
        time.sleep(1)


def soak(settings: Settings, folder: Path, arguments: argparse.Namespace, restart: Callable[[], None] | None) -> bool:
    """Run on one database; whether every promise was kept."""
    service = Service(settings, folder / "service.log")
    try:
        found = _run(service, folder, arguments, restart)
    except TimeoutError as error:
        found = {"broken": [f"answered in time: {error}"]}
    finally:
        service.kill()
    print(json.dumps(found, indent=2), flush=True)
    if found["broken"] and arguments.keep is not None:
        shutil.copy(service.log, arguments.keep)
    return not found["broken"]


def _run(
    service: Service, folder: Path, arguments: argparse.Namespace, restart: Callable[[], None] | None
) -> dict[str, object]:
    rng = random.Random(arguments.seed)
    service.tend()
    began = time.monotonic()
    deadline = began + 60 * arguments.minutes
    ask(service, "GET", "/healthz", deadline)
    faults = Faults(service, rng, arguments.pause, restart)
    faults.start()
    with ThreadPoolExecutor(4) as pool:
        lengths = [rng.uniform(0.5, 3) for _ in range(arguments.audits)]
        ids = list(pool.map(lambda i: submit(service, folder, i, lengths[i], deadline), range(arguments.audits)))
    # The last quarter of the time is for what the faults have left to do.
    while time.monotonic() - began < 45 * arguments.minutes:
        jobs = [ask(service, "GET", f"/v1/audits/{audit_id}", deadline) for audit_id in ids]
        if all(job["status"] in FINAL for job in jobs):
            break
        time.sleep(2)
    faults.stop()
    jobs = [wait(service, audit_id, deadline) for audit_id in ids]
    reports = [
        ask(service, "GET", f"/v1/audits/{job['id']}/report", deadline)["summary"]
        for job in jobs
        if job["status"] == "succeeded"
    ]
    stored = _stored(service.settings)
    status = service.stop()
    found = {
        "database": service.settings.database_url.get_backend_name(),
        "seconds": round(time.monotonic() - began),
        "faults": dict(faults.done),
        "statuses": dict(Counter(str(job["status"]) for job in jobs)),
        "given_up": dict(Counter(str(job["error"]["code"]) for job in jobs if job["error"])),  # type: ignore[index]
        "starts": sum(int(str(job["attempt"])) for job in jobs),
        "stored": stored,
        "exit_status": status,
        "left_behind": service.left_behind(),
    }
    found["broken"] = _broken(found, jobs, ids, reports)
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


def _broken(found: dict, jobs: list[dict], ids: list[str], reports: list) -> list[str]:  # type: ignore[type-arg]
    """The promises that were not kept."""
    statuses, stored = found["statuses"], found["stored"]
    succeeded = statuses.get("succeeded", 0)
    # What died three times under an audit, or an evaluation that was killed three times, is rightly given up.
    given_up = sum(found["given_up"].get(code, 0) for code in ("worker_lost", "evaluator_killed", "worker_fault"))
    promises = {
        "one audit a key": len(set(ids)) == len(ids) == stored["audits"] == stored["workflows"],
        "all final": all(job["status"] in FINAL for job in jobs),
        "none failed but those that were given up": statuses.get("failed", 0) == given_up,
        "few given up": given_up <= max(2, len(ids) // 10),
        "each report once, and its own": len(reports) == succeeded
        and reports == [job["tags"]["number"] for job in jobs if job["status"] == "succeeded"]
        and stored["reports"] >= succeeded,
        "no process left": not found["left_behind"],
        "ended when told to": found["exit_status"] == 0,
        "there were faults": sum(found["faults"].values()) >= 5,
    }
    return [promise for promise, is_kept in promises.items() if not is_kept]


@contextmanager
def private_postgres(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A cluster of our own: its URL, and a restart as after a power cut."""
    bin_folder = _postgres_bin()
    cluster, port = folder / "cluster", free_port()
    cluster.mkdir()
    # The server refuses to run as root.
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if prefix:
        folder.chmod(0o755)
        shutil.chown(cluster, "postgres", "postgres")

    def run(program: str, *options: str) -> None:
        command = [*prefix, str(bin_folder / program), "-D", str(cluster), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8")
    start = ("-w", "-l", str(cluster / "log"), "-o", f"-p {port} -k {cluster} -c listen_addresses=127.0.0.1")
    run("pg_ctl", *start, "start")

    def restart() -> None:
        run("pg_ctl", "-m", "immediate", *start, "restart")

    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres", restart
    finally:
        run("pg_ctl", "-m", "immediate", "-w", "stop")


def _postgres_bin() -> Path:
    """Where Debian keeps the server's programs, or where PATH leads."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise SystemExit("initdb is not installed: apt-get install postgresql, or --database sqlite")
    return found[-1] if found else Path(str(on_path)).parent


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder with what the requests name: the API looks at it, though nothing evaluates it."""
    with tempfile.TemporaryDirectory(prefix="fitcheck-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        example = Path(__file__).parents[1] / "examples" / "wrong_scaling"
        shutil.copytree(example, folder, dirs_exist_ok=True)
        yield folder


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
    arguments = parser.parse_args()
    # Told to stop, stop the service and the database too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    kept = []
    if arguments.database != "postgresql":
        with scratch() as folder:
            kept.append(soak(settings_for(folder, f"sqlite:///{folder}/soak.sqlite"), folder, arguments, None))
    if arguments.database != "sqlite":
        with scratch() as folder, private_postgres(folder) as (url, restart):
            kept.append(soak(settings_for(folder, url), folder, arguments, restart))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
