"""The fork server and its evaluators, from the side of a slot."""

import json
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

import pytest

from schemas.job import Progress
from schemas.problem import ProblemError
from schemas.report import Report
from service.jobs.claims import Assignment, Superseded
from service.jobs.engine import InfrastructureError
from service.settings import Settings
from service.worker.evaluation import ForkedEvaluation, connect, is_warm
from service.worker.forkserver import ForkServer
from service.worker.keeping import _listen, evaluator_environment
from service.worker.protocol import Frames
from tests.service import evaluators
from tests.service.conftest import make_request

from .conftest import ROOT, is_alive, pids, wait_until


class Server:
    """A fork server with the listening socket that outlives it."""

    def __init__(self, folder: Path, recycle_after: int = 1000, scratch: Path | None = None) -> None:
        self.address = folder / "evaluate"
        self.folder = folder
        self._scratch = scratch or folder
        self._recycle_after = recycle_after
        self._listener = _listen(self.address)
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        arguments = {
            "--listen": self._listener.fileno(),
            "--scratch": self._scratch,
            "--evaluator": "tests.service.evaluators",
            "--recycle-after": self._recycle_after,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.worker.forkserver", *(str(x) for pair in arguments.items() for x in pair)],
            env=evaluator_environment(Settings(state_dir=self.folder, api_keys=("a secret",)), 1),
            pass_fds=[self._listener.fileno()],
            cwd=ROOT,
        )
        return self.process

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("f"))
    yield started
    started.stop()


def evaluate(
    server: Server,
    model: str,
    *,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[Progress], None] = lambda _: None,
    **fields: object,
) -> Report:
    """Evaluate a request as a slot does."""
    evaluation = ForkedEvaluation(server.address, (server.folder,), {"CUDA_VISIBLE_DEVICES": "7"})
    assignment = Assignment("an-audit", make_request(model, **fields), 1, None, None)
    return evaluation(assignment, progress=progress, stopped=stopped)


def test_an_evaluation_gives_progress_and_a_report(server: Server) -> None:
    seen: list[Progress] = []

    report = evaluate(server, "quick", progress=seen.append)

    assert report.audit_id == "an-audit"
    assert seen == [Progress(fraction=0.25, stage="collecting", detail="quick")]


def test_an_evaluator_has_its_own_surroundings(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session and a scratch folder of its own, the device of its slot, and no secret in its environment."""
    seen = json.loads(evaluate(server, "surroundings").summary)

    assert seen["leads_its_session"]
    assert seen["environment"]["CUDA_VISIBLE_DEVICES"] == "7"
    assert seen["environment"]["TMPDIR"] == seen["folder"]
    assert "FITCHECK_API_KEYS" not in seen["environment"]
    assert "FITCHECK_DATABASE" not in seen["environment"]
    assert Path(seen["folder"]).parent == server.folder
    wait_until(lambda: not Path(seen["folder"]).exists())


def test_the_report_tells_how_much_memory_it_took(server: Server) -> None:
    """Of this audit alone: the next one begins anew."""
    peaks = [evaluate(server, model).environment["peak_memory_bytes"]["evaluator"] for model in ("hold:300", "quick")]

    assert peaks[0] > 300 * 2**20
    assert peaks[1] < 300 * 2**20


def test_a_problem_arrives_as_it_was_raised(server: Server) -> None:
    with pytest.raises(ProblemError) as raised:
        evaluate(server, "problem")

    assert not isinstance(raised.value, InfrastructureError)
    assert raised.value.code == "label_missing"
    assert (raised.value.field, raised.value.file) == ("data.label", "train.csv")


@pytest.mark.parametrize(("verb", "code"), [("crash", "internal_error"), ("no_memory", "out_of_memory")])
def test_an_unforeseen_error_says_nothing_of_its_text(server: Server, verb: str, code: str) -> None:
    with pytest.raises(ProblemError) as raised:
        evaluate(server, verb)

    assert raised.value.code == code
    assert "secret" not in raised.value.detail


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("segfault", "by SIGSEGV"),
        ("kill:6", "by SIGABRT"),
        ("leave:0", "with exit status 0"),
        ("leave:3", "with exit status 3"),
    ],
)
def test_a_crash_fails_its_audit_alone(server: Server, model: str, words: str) -> None:
    """The problem names the signal, even where the exit status claims success; the next audit is not touched."""
    with pytest.raises(ProblemError) as raised:
        evaluate(server, model)

    assert not isinstance(raised.value, InfrastructureError)
    assert raised.value.code == "evaluator_crashed"
    assert words in raised.value.detail
    assert "in the stage 'collecting'" in raised.value.detail  # which it had told
    assert evaluate(server, "quick").verdict == "pass"


@pytest.mark.parametrize(
    ("model", "code"), [("kill:9", "evaluator_killed"), ("kill:15", "evaluator_killed"), ("disk_full", "worker_fault")]
)
def test_what_the_machine_did_may_be_tried_again(server: Server, model: str, code: str) -> None:
    with pytest.raises(InfrastructureError) as raised:
        evaluate(server, model)

    assert raised.value.code == code
    assert "secret" not in raised.value.detail


def test_stopping_kills_the_evaluator_and_all_that_it_started(server: Server, tmp_path: Path) -> None:
    """Within a second, as a cancel or a deadline wants it."""
    journal = tmp_path / "journal"

    with pytest.raises(Superseded):
        evaluate(
            server,
            f"family:60:{journal}",
            tags={"journal": str(journal)},
            stopped=lambda: len(pids(journal)) == 2,
        )

    wait_until(lambda: not any(map(is_alive, pids(journal))), seconds=1)
    assert len(pids(journal)) == 2


def test_a_slot_that_hangs_up_leaves_no_process(server: Server) -> None:
    """Also one that is gone before it ordered anything, or says what is no order."""
    connect(server.address).close()
    with connect(server.address) as connection:
        connection.sendall(b"not an order\n")

    assert evaluate(server, "quick").verdict == "pass"
    wait_until(lambda: not list(server.folder.glob("audit-*")))


def test_several_slots_are_served_at_once(server: Server) -> None:
    """A long evaluation does not keep another waiting."""
    with connect(server.address) as idle:
        assert evaluate(server, "quick").verdict == "pass"
        idle.settimeout(5)
        assert b"hello" in idle.recv(100)


def test_when_the_fork_server_dies_its_evaluators_do(tmp_path: Path) -> None:
    """The slot hears of it, and may try again; connections wait for the next fork server."""
    server = Server(tmp_path)
    journal = tmp_path / "journal"

    def kill_server() -> bool:
        if pids(journal):
            server.process.kill()
        return False

    try:
        with pytest.raises(InfrastructureError):
            evaluate(server, "sleep:60", tags={"journal": str(journal)}, stopped=kill_server)
        wait_until(lambda: not is_alive(pids(journal)[0]), seconds=2)
        server.process.wait()
        assert not is_warm(server.address, 0.1)
        server.start()
        assert evaluate(server, "quick").verdict == "pass"
    finally:
        server.stop()


class TestTheMachineRefuses:
    """What passes must not end the fork server: all that it forked would die with it."""

    @pytest.fixture
    def scratch(self, tmp_path: Path) -> Path:
        (tmp_path / "scratch").mkdir()
        return tmp_path / "scratch"

    @pytest.fixture
    def own(self, tmp_path: Path, scratch: Path) -> Iterator[Server]:
        started = Server(tmp_path, scratch=scratch)
        with connect(started.address) as connection:
            assert Frames(connection).next(60) is not None
            held = descriptors(started.process.pid)
        wait_until(lambda: len(descriptors(started.process.pid)) < len(held))  # it has seen that we are gone
        yield started
        started.stop()

    def test_a_folder(self, own: Server, scratch: Path, tmp_path: Path) -> None:
        running = tmp_path / "journal"
        with ThreadPoolExecutor(1) as other:
            report = other.submit(evaluate, own, "sleep:1", tags={"journal": str(running)})
            wait_until(lambda: bool(pids(running)))
            scratch.rename(tmp_path / "gone")
            with pytest.raises(InfrastructureError) as refused:
                evaluate(own, "quick")
            (tmp_path / "gone").rename(scratch)

            assert refused.value.code == "worker_fault"
            assert report.result().verdict == "pass"
        assert evaluate(own, "quick").verdict == "pass"

    def test_a_descriptor_for_the_evaluator(self, own: Server, scratch: Path, tmp_path: Path) -> None:
        journal = tmp_path / "journal"
        # The one that is left is the connection's.
        with few_descriptors(own.process.pid, free=1), pytest.raises(InfrastructureError) as refused:
            evaluate(own, "sleep:60", tags={"journal": str(journal)})

        assert refused.value.code == "worker_fault"
        assert not any(map(is_alive, pids(journal)))
        assert list(scratch.iterdir()) == []
        assert evaluate(own, "quick").verdict == "pass"

    def test_a_descriptor_for_the_connection(self, own: Server) -> None:
        with few_descriptors(own.process.pid, free=0):
            assert not is_warm(own.address, 0.5)

        assert evaluate(own, "quick").verdict == "pass"


def descriptors(pid: int) -> set[int]:
    return {int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()}


@contextmanager
def few_descriptors(pid: int, free: int) -> Iterator[None]:
    """As long as this lasts, the process can open so many files more."""
    taken = descriptors(pid)
    limit = next(islice((number for number in count() if number not in taken), free, None))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_a_fork_server_ends_when_it_is_used_up(tmp_path: Path) -> None:
    """After so many evaluations, the last of them finished, so that what libraries leak goes back."""
    server = Server(tmp_path, recycle_after=2)
    try:
        for _ in range(2):
            assert evaluate(server, "quick").verdict == "pass"
        assert server.process.wait(timeout=10) == 0
    finally:
        server.stop()


def test_the_fork_server_finishes_what_it_began(tmp_path: Path) -> None:
    server = Server(tmp_path)
    journal = tmp_path / "journal"

    told: list[bool] = []

    def terminate_once() -> bool:
        # another signal could reach a process that is past its handlers, and kill it
        if pids(journal) and not told:
            told.append(True)
            server.process.send_signal(signal.SIGTERM)
        return False

    try:
        report = evaluate(server, "sleep:0.5", tags={"journal": str(journal)}, stopped=terminate_once)
        assert report.verdict == "pass"
        assert server.process.wait(timeout=10) == 0
    finally:
        server.stop()


def test_an_event_of_an_ended_audit_is_not_taken_for_anothers(tmp_path: Path) -> None:
    """A connection that is taken within the same look gets the number of one that was just closed."""
    with _listen(tmp_path / "socket") as listener:
        server = ForkServer(listener, evaluators, tmp_path, recycle_after=1)
        with connect(tmp_path / "socket") as first:
            server._accept()
            closed = only_descriptor(server)
            first.shutdown(socket.SHUT_RDWR)
            with connect(tmp_path / "socket") as second:
                hung_up = (closed, select.POLLHUP)
                server._handle_all([hung_up, (listener.fileno(), select.POLLIN), hung_up])

                assert only_descriptor(server) == closed
                second.settimeout(5)
                assert b"hello" in second.recv(100)
                server._handle_all([(closed, select.POLLHUP)])
                assert not server._audits


def only_descriptor(server: ForkServer) -> int:
    (descriptor,) = server._audits
    return descriptor


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    listener = _listen(tmp_path / "socket")

    assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o600
    listener.close()


def test_no_fork_server_is_not_warm(tmp_path: Path) -> None:
    assert not is_warm(tmp_path / "nothing", 0.1)
