"""Each layer of the cage holds alone, all of them together leave nothing, and honest work goes on inside."""

import ctypes
import faulthandler
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audits.isolation import Cage, enter, landlock, seccomp
from audits.isolation.kernel import hide, syscall
from tests.audits.isolation.caged import caged

pytestmark = [
    pytest.mark.skipif(landlock.abi() < 1, reason="this kernel has no Landlock"),
    pytest.mark.skipif(not seccomp.is_available(), reason="this kernel has no seccomp"),
]

NOTHING, LANDLOCK, SECCOMP = frozenset(), frozenset({"landlock"}), frozenset({"seccomp"})
NUMBERS = seccomp._MACHINES.get(platform.machine(), seccomp._MACHINES["x86_64"]).numbers


@pytest.fixture
def cage(tmp_path: Path) -> Cage:
    scratch, model = tmp_path / "scratch", tmp_path / "model"
    scratch.mkdir()
    model.mkdir()
    (model / "weights").write_text("1 2 3")
    (tmp_path / "labels.csv").write_text("secret")
    return Cage(scratch, (model,))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A process that ends by a signal would print where it stood."""
    was_enabled = faulthandler.is_enabled()
    faulthandler.disable()
    yield
    if was_enabled:
        faulthandler.enable()


def read(path: object) -> Callable[[], str]:
    return lambda: Path(str(path)).read_text(errors="replace")[:100]


def write(path: Path) -> Callable[[], int]:
    return lambda: path.write_text("x")


def opened(family: int, kind: int, protocol: int = 0) -> Callable[[], str]:
    def act() -> str:
        socket.socket(family, kind, protocol).close()
        return "opened"

    return act


def called(name: str, *arguments: int) -> Callable[[], str]:
    """A raw call; arguments that make it fail otherwise where it is not refused."""

    def act() -> str:
        syscall(NUMBERS[name], *arguments)
        return "done"

    return act


def forked() -> str:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "forked"


def ran() -> str:
    return subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, text=True, check=True).stdout


def connected() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        return "connected"


def threaded() -> int:
    found: list[int] = []
    threads = [threading.Thread(target=found.append, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(found)


def test_everything_together_is_full_isolation(cage: Cage) -> None:
    isolation, _ = caged(cage, lambda: None)

    assert isolation["level"] == ("full" if landlock.abi() >= landlock.NETWORK_ABI else "strong")
    assert (isolation["network"], isolation["missing"]) == ("denied", [])


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests have no privileges already")
def test_it_takes_no_privileges(cage: Cage, tmp_path: Path) -> None:
    """Also below a process that hides its memory, as the fork server does."""
    for folder in (*tmp_path.parents, tmp_path, cage.scratch):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o777)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        hide()
        isolation, _ = caged(cage, lambda: None)
        os.write(writing, f"{isolation['level']} {isolation['missing']}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1000).decode() in {"full []", "strong []"}
    os.close(reading)
    os.close(writing)


class TestHonestWork:
    def test_the_model_is_read(self, cage: Cage) -> None:
        assert caged(cage, read(cage.read[0] / "weights"))[1] == "1 2 3"

    def test_the_scratch_folder_is_written(self, cage: Cage) -> None:
        assert caged(cage, write(cage.scratch / "file"))[1] == 1
        assert (cage.scratch / "file").read_text() == "x"

    def test_files_move_between_folders_of_the_scratch_folder_alone(self, cage: Cage) -> None:
        """Checkpoints are written so. What is moved out would be written outside."""
        (cage.scratch / "a").mkdir()
        (cage.scratch / "a" / "file").write_text("x")

        assert caged(cage, lambda: str((cage.scratch / "a" / "file").rename(cage.scratch / "moved")))[1] != "denied"
        assert (cage.scratch / "moved").read_text() == "x"
        out = caged(cage, lambda: str((cage.scratch / "moved").rename(cage.scratch.parent / "out")))[1]
        assert out in {"denied", "OSError 18"}

    def test_temporary_files_lie_in_the_scratch_folder(self, cage: Cage) -> None:
        assert caged(cage, tempfile.mkdtemp)[1].startswith(str(cage.scratch))

    def test_threads_start(self, cage: Cage) -> None:
        assert caged(cage, threaded)[1] == 6

    def test_libraries_are_imported(self, cage: Cage) -> None:
        def act() -> str:
            import fractions  # noqa: PLC0415 - inside
            import wave  # noqa: F401, PLC0415

            return str(fractions.Fraction(1, 2))

        assert caged(cage, act)[1] == "1/2"

    def test_it_ends_itself_by_a_signal(self, cage: Cage) -> None:
        """TensorFlow's CHECK does, and the evaluator tells it by that."""
        assert caged(cage, os.abort)[1] == "SIGABRT"

    def test_an_evaluator_starts_and_ends_a_process(self, cage: Cage) -> None:
        def act() -> str:
            child = os.fork()
            if child == 0:
                signal.pause()
            os.kill(child, signal.SIGKILL)
            return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        isolation, answer = caged(replace(cage, profile="evaluator"), act)
        assert answer == "-9"
        assert isolation["missing"] == []

    def test_an_evaluator_locks_a_model_in(self, cage: Cage, tmp_path: Path) -> None:
        def act() -> list[Any]:
            inner = tmp_path / "scratch" / "inner"
            inner.mkdir()
            isolation, answer = caged(Cage(inner, cage.read), read(tmp_path / "labels.csv"))
            return [isolation["level"], answer, Path(tmp_path / "labels.csv").read_text()]

        outer = replace(cage, profile="evaluator", read=(*cage.read, tmp_path / "labels.csv"))
        assert caged(outer, act)[1] == ["full" if landlock.abi() >= 4 else "strong", "denied", "secret"]

    def test_the_network_opens_where_it_must(self, cage: Cage) -> None:
        isolation, answer = caged(replace(cage, profile="evaluator", network=True), connected)

        assert (answer, isolation["network"]) == ("connected", "allowed")


FILES: dict[str, Callable[[Path], Callable[[], Any]]] = {
    "a file outside": lambda folder: read(folder / "labels.csv"),
    "a system file": lambda _: read("/etc/passwd"),
    "a listing": lambda folder: lambda: os.listdir(folder),  # noqa: PTH208
    "its own environment": lambda _: read("/proc/self/environ"),
    "its own memory": lambda _: read("/proc/self/maps"),
    "a new file outside": lambda folder: write(folder / "new"),
    "an old file outside": lambda folder: write(folder / "labels.csv"),
    "a file of the model": lambda folder: write(folder / "model" / "weights"),
    "a cut file": lambda folder: lambda: os.truncate(folder / "labels.csv", 0),
    "a removed file": lambda folder: lambda: os.unlink(folder / "labels.csv"),  # noqa: PTH108
    "a new folder outside": lambda folder: lambda: os.mkdir(folder / "new"),  # noqa: PTH102
    "a pipe in the scratch folder": lambda folder: lambda: os.mkfifo(folder / "scratch" / "pipe"),
}


@pytest.mark.parametrize("what", FILES)
def test_landlock_alone_closes_files(cage: Cage, tmp_path: Path, what: str) -> None:
    act = FILES[what](tmp_path)

    assert caged(replace(cage, layers=LANDLOCK), act)[1] == "denied"
    (tmp_path / "scratch" / "pipe").unlink(missing_ok=True)
    assert caged(replace(cage, layers=SECCOMP), act)[1] != "denied" or what == "a pipe in the scratch folder"


def test_landlock_follows_links_to_where_they_lead(cage: Cage, tmp_path: Path) -> None:
    (cage.read[0] / "link").symlink_to(tmp_path / "labels.csv")

    assert caged(replace(cage, layers=LANDLOCK), read(cage.read[0] / "link"))[1] == "denied"


@pytest.mark.skipif(landlock.abi() < landlock.NETWORK_ABI, reason="an older Landlock")
def test_landlock_alone_closes_tcp(cage: Cage) -> None:
    assert caged(replace(cage, layers=LANDLOCK), connected)[1] == "denied"
    assert caged(replace(cage, layers=NOTHING), connected)[1] == "connected"


@pytest.mark.skipif(landlock.abi() < landlock.SCOPE_ABI, reason="an older Landlock")
def test_landlock_alone_closes_signals_and_abstract_sockets(cage: Cage) -> None:
    parent = os.getpid()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0fitcheck-{parent}")
        server.listen()

        def act() -> str:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(f"\0fitcheck-{parent}")
            return "connected"

        assert caged(replace(cage, layers=NOTHING), act)[1] == "connected"
        assert caged(replace(cage, layers=LANDLOCK), act)[1] == "denied"
    assert caged(replace(cage, layers=LANDLOCK), lambda: os.kill(parent, 0))[1] == "denied"


SOCKETS = {
    "TCP": opened(socket.AF_INET, socket.SOCK_STREAM),
    "TCP 6": opened(socket.AF_INET6, socket.SOCK_STREAM),
    "UDP": opened(socket.AF_INET, socket.SOCK_DGRAM),
    "multipath TCP": opened(socket.AF_INET, socket.SOCK_STREAM, 262),
    "netlink": opened(socket.AF_NETLINK, socket.SOCK_RAW),
    "Unix": opened(socket.AF_UNIX, socket.SOCK_STREAM),
}


@pytest.mark.parametrize("kind", SOCKETS)
def test_seccomp_alone_closes_sockets(cage: Cage, kind: str) -> None:
    assert caged(replace(cage, layers=SECCOMP), SOCKETS[kind])[1] == "denied"
    assert caged(replace(cage, layers=NOTHING), SOCKETS[kind])[1] != "denied"


ACTS = {
    "fork": forked,
    "run a program": ran,
    "signal others": lambda: os.kill(os.getppid(), 0),
    "change a mode": lambda: os.chmod("/proc/self/cwd", 0o700),  # noqa: PTH101
    "make a link": lambda: os.symlink("a", "b"),  # noqa: PTH211
    "limit others": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
}


@pytest.mark.parametrize("what", ACTS)
def test_seccomp_alone_closes_processes_and_more(cage: Cage, what: str) -> None:
    assert caged(replace(cage, layers=SECCOMP), ACTS[what])[1] == "denied"
    assert caged(replace(cage, layers=NOTHING), ACTS[what])[1] != "denied"


REFUSED = sorted(NUMBERS.keys() - seccomp._BY_ARGUMENT - seccomp._NETWORK - {"clone3"})


@pytest.mark.parametrize("name", REFUSED)
def test_seccomp_refuses_every_call_of_its_list(cage: Cage, name: str) -> None:
    """With arguments that no kernel accepts: not refused, the call fails in another way."""
    bad = (-1, -1, -1, -1, -1)

    assert caged(replace(cage, layers=SECCOMP), called(name, *bad))[1] == "denied"


def test_newer_calls_and_clone3_are_not_there(cage: Cage) -> None:
    def unknown() -> str:
        syscall(seccomp.NEWEST_KNOWN + 5)
        return "done"

    assert caged(replace(cage, layers=SECCOMP), unknown)[1] == "OSError 38"
    assert caged(replace(cage, layers=SECCOMP), called("clone3", 0, 0))[1] == "OSError 38"


def test_an_evaluator_makes_no_namespace(cage: Cage) -> None:
    new_user = 0x10000000
    evaluator = replace(cage, profile="evaluator", layers=SECCOMP)

    assert caged(evaluator, called("clone", new_user | signal.SIGCHLD, 0, 0, 0, 0))[1] == "denied"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the 32-bit calls of x86")
def test_calls_of_another_architecture_end_the_process(cage: Cage) -> None:
    x32_getpid = 0x40000000 + 39

    assert caged(replace(cage, layers=SECCOMP), lambda: syscall(x32_getpid))[1] == "SIGSYS"


def test_seccomp_holds_for_threads_that_run_already(cage: Cage) -> None:
    go, found = threading.Event(), []

    def late() -> None:
        go.wait()
        try:
            found.append(SOCKETS["UDP"]())
        except OSError as error:
            found.append(type(error).__name__)

    def act() -> list[str]:
        go.set()
        thread.join()
        return found

    child_cage = replace(cage, layers=SECCOMP)
    reading, writing = os.pipe()
    if os.fork() == 0:
        thread = threading.Thread(target=late)
        thread.start()
        enter(child_cage)
        os.write(writing, str(act()).encode())
        os._exit(0)
    os.wait()
    assert os.read(reading, 100) == b"['PermissionError']"
    os.close(reading)
    os.close(writing)


class TestLimits:
    def test_no_core_and_few_files(self, cage: Cage) -> None:
        limits = caged(
            cage, lambda: [resource.getrlimit(kind) for kind in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)]
        )

        assert limits[1][0] == [0, 0]
        assert limits[1][1][1] <= 1024

    def test_files_stay_small(self, cage: Cage) -> None:
        def act() -> str:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            (cage.scratch / "big").write_bytes(bytes(2_000_000))
            return "written"

        assert caged(replace(cage, file_bytes=1_000_000), act)[1] == "OSError 27"

    def test_memory_is_limited(self, cage: Cage) -> None:
        def act() -> str:
            try:
                return str(len(bytearray(2**31)))
            except MemoryError:
                return "no memory"

        assert caged(replace(cage, memory_bytes=2**30), act)[1] == "no memory"
        assert caged(replace(cage, memory_bytes=2**30, layers=LANDLOCK), act)[1] == str(2**31)


class TestEnvironment:
    def test_nothing_of_it_is_left_but_what_libraries_need(self, cage: Cage, monkeypatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("FITCHECK_API_KEYS", "secret")
        found = caged(cage, lambda: dict(os.environ))[1]

        assert "secret" not in found.values()
        assert found["HOME"] == found["TMPDIR"] == str(cage.scratch)

    def test_the_c_library_has_lost_it_too(self, cage: Cage, monkeypatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_char_p

        assert caged(cage, lambda: str(getenv(b"AWS_SECRET_ACCESS_KEY")))[1] == "None"

    @pytest.mark.parametrize("name", ["environ", "mem", "maps"])
    def test_the_parents_is_closed_by_landlock(self, cage: Cage, name: str) -> None:
        parent = os.getpid()
        evaluator = replace(cage, profile="evaluator", layers=LANDLOCK)

        assert caged(evaluator, read(f"/proc/{parent}/{name}"))[1] == "denied"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may look into any process")
    def test_a_hidden_process_is_closed_without_the_cage(self, cage: Cage) -> None:
        child = os.fork()
        if child == 0:
            hide()
            parent = os.getpid()
            os._exit(caged(replace(cage, layers=NOTHING), read(f"/proc/{parent}/environ"))[1] != "denied")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class TestLevels:
    @pytest.mark.parametrize(
        ("layers", "level", "says"),
        [
            (LANDLOCK, "weak", "start a process"),
            (SECCOMP, "weak", "read a file outside"),
            (NOTHING, "none", "open a TCP socket"),
        ],
    )
    def test_what_is_missing_is_said(self, cage: Cage, layers: frozenset[str], level: str, says: str) -> None:
        isolation, _ = caged(replace(cage, layers=layers), lambda: None)

        assert isolation["level"] == level
        assert says in isolation["missing"]

    def test_an_older_landlock_is_strong(self, cage: Cage, monkeypatch) -> None:
        monkeypatch.setattr(landlock, "abi", lambda: 3)
        isolation, answer = caged(cage, connected)

        assert (isolation["level"], isolation["landlock_abi"], answer) == ("strong", 3, "denied")

    def test_an_older_landlock_is_strong_for_an_evaluator_too(self, cage: Cage, monkeypatch) -> None:
        """It can signal others there, which is no reason to refuse all work."""
        monkeypatch.setattr(landlock, "abi", lambda: 3)
        isolation, _ = caged(replace(cage, profile="evaluator"), lambda: None)

        assert isolation["level"] == "strong"

    def test_a_layer_that_does_not_hold_is_not_believed(self, cage: Cage, monkeypatch) -> None:
        monkeypatch.setattr(landlock, "restrict", lambda *_, **__: 7)
        isolation, _ = caged(cage, lambda: None)

        assert isolation["level"] == "weak"
        assert "read a file outside" in isolation["missing"]

    def test_a_kernel_without_landlock_is_weak(self, cage: Cage, monkeypatch) -> None:
        monkeypatch.setattr(landlock, "abi", lambda: 0)
        isolation, _ = caged(cage, lambda: None)

        assert (isolation["level"], "landlock" in isolation["missing"]) == ("weak", True)

    def test_switched_off_is_said(self, cage: Cage) -> None:
        isolation, answer = caged(replace(cage, sandbox="off"), read("/etc/passwd"))

        assert (isolation["level"], isolation["missing"]) == ("none", ["switched off"])
        assert answer != "denied"


def test_a_cage_crosses_to_a_process_that_is_spawned(cage: Cage) -> None:
    assert Cage.from_json(cage.to_json()) == cage
