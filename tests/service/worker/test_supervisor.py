"""What the supervisor decides: devices, environments, folders, when to start again."""

import os
import sys
import time
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.isolation import Isolation
from service.settings import Settings
from service.worker import children
from service.worker.children import Child, Start
from service.worker.devices import gpus
from service.worker.keeping import _address, evaluator_environment, run_folder
from service.worker.supervisor import _run

from .conftest import is_alive, wait_until


def child(code: str, name: str = "child", **fields: object) -> Child:
    return Child(name, lambda: Start((sys.executable, "-c", code), dict(os.environ)), **fields)  # type: ignore[arg-type]


def test_a_child_that_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each end is told, and each start waits longer than the one before."""
    monkeypatch.setattr(children, "FIRST_DELAY_SECONDS", 0.05)
    statuses: list[int] = []
    failing = child("raise SystemExit(3)", on_exit=statuses.append)
    failing._delay = 0.05

    wait_until(lambda: failing.tend() is None and len(statuses) == 3)

    assert statuses == [3, 3, 3]
    assert failing.starts == 3
    assert failing._delay == pytest.approx(0.4)


def test_a_child_that_ran_long_is_started_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "HEALTHY_SECONDS", 0.0)
    ending = child("")
    ending._delay = 20.0

    wait_until(lambda: ending.tend() is not None)

    assert ending._delay == children.FIRST_DELAY_SECONDS


def test_a_child_that_does_not_end_is_killed() -> None:
    stubborn = child("import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)")
    stubborn.tend()
    assert stubborn.process is not None
    pid = stubborn.process.pid

    stubborn.wait(time.monotonic() + 0.1)

    assert stubborn.process is None
    assert not is_alive(pid)


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["0", "1", "10"]),
        ("1,0", ["1", "0"]),
        ("GPU-8932f937,1", ["GPU-8932f937", "1"]),
        ("0,-1,1", ["0"]),
        ("", []),
        ("-1", []),
    ],
)
def test_gpus_are_those_that_cuda_would_see(tmp_path: Path, visible: str | None, found: list[str]) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}

    assert gpus(environment, tmp_path) == found


def test_evaluators_inherit_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they need to find libraries and devices, and nothing else of ours."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("FITCHECK_API_KEYS", "secret")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    settings = Settings(database="postgresql://u:secret@h/n")

    environment = evaluator_environment(settings, slots=1)

    assert "secret" not in str(environment)
    assert environment["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["FITCHECK_STATE_DIR"] == str(settings.state_dir)


def test_audits_at_a_time_share_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))

    assert evaluator_environment(Settings(), slots=1)["OMP_NUM_THREADS"] == str(cores)
    assert evaluator_environment(Settings(), slots=cores)["OMP_NUM_THREADS"] == "1"
    assert evaluator_environment(Settings(), slots=10 * cores)["OMP_NUM_THREADS"] == "1"


def test_folders_of_killed_services_are_removed(tmp_path: Path) -> None:
    """Those of services that run are not: they hold a lock."""
    for name in ("killed", "running"):
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / "lock").touch()
    with (tmp_path / "run" / "running" / "lock").open() as lock:
        flock(lock, LOCK_EX)

        with run_folder(tmp_path) as mine, run_folder(tmp_path) as another:
            assert {path.name for path in (tmp_path / "run").iterdir()} == {
                "lock",
                "running",
                mine.name,
                another.name,
            }
    assert not mine.exists()


def test_an_address_fits_the_kernels_limit(tmp_path: Path) -> None:
    """Even where the state folder lies deep."""
    assert _address(tmp_path / "x").parent == tmp_path / "x"
    elsewhere = _address(tmp_path / ("x" * 100))
    assert len(str(elsewhere)) < 108
    elsewhere.parent.rmdir()


def test_a_worker_without_tensorflow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends at once rather than start a process that cannot work again and again."""
    monkeypatch.setattr("service.worker.supervisor.configure_logging", lambda _: None)
    monkeypatch.setattr("service.worker.supervisor.find_spec", lambda _: None)

    assert _run(Settings(state_dir=tmp_path), "service.worker.audit", with_api=False) == 3


def test_a_worker_without_the_sandbox_that_it_must_have_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.worker.supervisor.configure_logging", lambda _: None)
    monkeypatch.setattr("service.worker.supervisor.probe", lambda _: Isolation(level="weak", missing=["landlock"]))
    with capture_logs() as lines:
        status = _run(Settings(state_dir=tmp_path, sandbox="require"), "tests.service.evaluators", with_api=False)

    assert status == 3
    assert lines[0]["isolation"]["missing"] == ["landlock"]
    assert lines[-1]["event"] == "isolation_unavailable"


def test_a_worker_without_a_database_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.worker.supervisor.configure_logging", lambda _: None)
    settings = Settings(state_dir=tmp_path, database="postgresql://u@127.0.0.1:1/none")

    assert _run(settings, "tests.service.evaluators", with_api=False) == 3
