"""Requests are examined elsewhere: whatever happens there, the API answers, and goes on."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from structlog.testing import capture_logs

from audits.isolation.probing import IsolationUnavailable, probe
from schemas.problem import ProblemError
from schemas.request import AuditRequest
from service.api import examiner as examining
from service.api.examiner import Examiner
from service.api.unchanged import Unchanged
from service.settings import Settings
from tests.service.conftest import make_request

from .conftest import EXAMPLES

ROOT = EXAMPLES.parent
FAKE = "tests.service.examinations"


@contextmanager
def running(examiner: Examiner) -> Iterator[Examiner]:
    """The examiner, kept by an event loop in a thread of its own, as an API keeps it."""
    ready, stop = threading.Event(), threading.Event()

    async def keep() -> None:
        async with examiner.running():
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(keep()))
    thread.start()
    try:
        assert ready.wait(60)
        yield examiner
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(state_dir=tmp_path_factory.mktemp("x"), data_roots=(EXAMPLES,))


@pytest.fixture(scope="module")
def fake(settings: Settings) -> Iterator[Examiner]:
    """One whose examinations do what the model's address says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with running(Examiner(settings, module=FAKE, seconds=2)) as started:
            yield started


def examine(examiner: Examiner, model: str) -> list[dict]:
    """What the log says of an examination that refuses nothing."""
    with capture_logs() as lines:
        examiner.examine(make_request(model))
    return [line for line in lines if line["event"] == "audit_not_examined"]


def test_what_nothing_is_wrong_with_passes(fake: Examiner) -> None:
    assert examine(fake, "sound") == []


def test_a_problem_is_told_as_it_was_seen(fake: Examiner) -> None:
    with pytest.raises(ProblemError) as raised:
        fake.examine(make_request("problem"))

    told = raised.value
    assert (told.code, told.field, told.file, told.row, told.column) == (
        "label_missing",
        "data.label",
        "train.csv",
        3,
        "y",
    )


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("segfault", "it ended by SIGSEGV"),
        ("leave:0", "it ended with status 0"),
        ("bloat", "out_of_memory"),
        ("sleep:60", "it took too long"),
    ],
)
def test_a_failed_examination_refuses_nothing(fake: Examiner, model: str, reason: str) -> None:
    """In bounded time; the log says why, and the next request is examined."""
    begun = time.monotonic()
    (line,) = examine(fake, model)

    assert (line["log_level"], line["reason"]) == ("warning", reason)
    assert time.monotonic() - begun < 4
    assert examine(fake, "sound") == []


def test_others_are_answered_while_one_hangs(fake: Examiner) -> None:
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(fake.examine, make_request("sleep:60"))
        time.sleep(0.2)
        begun = time.monotonic()
        assert examine(fake, "sound") == []
        assert time.monotonic() - begun < 1
        assert not hanging.done()


@pytest.mark.parametrize(
    ("cores", "gibibytes", "expected"),
    [
        (1, 64, 2),
        (16, 20, 4),  # ten gibibytes, and two and a half each
        (16, 4, 1),  # at its worst, one takes more than half
    ],
)
def test_all_examinations_together_leave_half_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, cores: int, gibibytes: int, expected: int
) -> None:
    monkeypatch.setattr(examining, "cores", lambda: cores)
    monkeypatch.setattr(examining, "memory_bytes", lambda: gibibytes * 2**30)
    examiner = Examiner(settings, module=FAKE)

    assert [examiner._places.acquire(blocking=False) for _ in range(expected + 1)] == [True] * expected + [False]


def test_no_more_threads_wait_than_can_be_spared(fake: Examiner, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes beyond is not kept waiting."""
    monkeypatch.setattr(fake, "_waiting", threading.BoundedSemaphore(1))
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(fake.examine, make_request("sleep:60"))
        time.sleep(0.2)
        (line,) = examine(fake, "sound")
        assert line["reason"] == "too many requests are being examined"
        assert not hanging.done()


def test_an_examiner_that_dies_is_started_again(fake: Examiner) -> None:
    """Who asks meanwhile waits for the next, or is not examined."""
    assert fake.answers()
    os.kill(fake._fork_server._child.process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not fake.answers():
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert examine(fake, "sound") == []


def test_a_sandbox_that_is_required_and_missing_refuses(fake: Examiner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "_settings", fake._settings.model_copy(update={"sandbox": "require"}))
    fake.examine(make_request("sound"))

    with pytest.raises(IsolationUnavailable):
        fake.examine(make_request("loose"))


@pytest.mark.parametrize("module", ["tests.service.no_such_module", FAKE])
def test_without_an_examiner_audits_are_queued_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Be it that its module cannot be loaded, or that there is no place for its files."""
    if module == FAKE:
        (tmp_path / "run").write_text("in the way")
    with (
        capture_logs() as lines,
        running(Examiner(Settings(state_dir=tmp_path), module=module, seconds=1)) as broken,
    ):
        assert not broken.answers()
        assert examine(broken, "problem")
    assert [line for line in lines if line["event"] == "examiner_not_started" and line["log_level"] == "error"]


def test_an_examiner_that_takes_its_time_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.examiner.START_SECONDS", 1e-9)
    monkeypatch.setattr("service.api.examiner.is_warm", lambda *_: False)
    with capture_logs() as lines, running(Examiner(Settings(state_dir=tmp_path), module=FAKE, seconds=1)):
        pass
    (told,) = [line for line in lines if line["event"].startswith("examiner_")]

    assert (told["event"], told["log_level"]) == ("examiner_still_starting", "warning")
    assert "tried again" in told["effect"]


def test_nothing_is_left_of_an_examiner_that_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with running(Examiner(Settings(state_dir=tmp_path), module=FAKE)) as examiner:
        pid = examiner._fork_server._child.process.pid
    assert not Path(f"/proc/{pid}").exists()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Iterator[Examiner]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        state = tmp_path_factory.mktemp("s")
        with running(Examiner(Settings(state_dir=state, data_roots=(EXAMPLES, data)), seconds=20)) as started:
            yield started


@pytest.fixture
def ask(real: Examiner, body: dict) -> Callable[..., list[dict]]:
    """Examine the sound request, changed; what the log says of it."""

    def ask(**data: str) -> list[dict]:
        asked = {**body, "data": {**body["data"], **{name: {"uri": uri} for name, uri in data.items()}}}
        with capture_logs() as lines:
            real.examine(AuditRequest.model_validate(asked))
        return [line for line in lines if line["event"] == "audit_not_examined"]

    return ask


def test_a_sound_request_passes(ask) -> None:
    assert ask() == []


def test_what_is_missing_is_told_as_before(ask, data: Path) -> None:
    with pytest.raises(ProblemError) as raised:
        ask(train=str(data / "nothing.csv"))
    assert (raised.value.code, raised.value.field) == ("data_not_found", "data.train.uri")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl", ".feather", ".h5"])
def test_the_readers_work_in_the_cage(ask, data: Path, suffix: str) -> None:
    frame = pd.read_csv(EXAMPLES / "wrong_scaling" / "validation.csv")
    path = data / f"validation{suffix}"
    write = {
        ".csv": lambda: frame.to_csv(path, index=False),
        ".parquet": lambda: frame.to_parquet(path),
        ".jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        ".feather": lambda: frame.to_feather(path),
        ".h5": lambda: frame.to_hdf(path, key="frame", format="table", data_columns=True),
    }
    write[suffix]()

    assert ask(validation=str(path)) == []


@pytest.mark.skipif(probe("auto").level not in {"strong", "full"}, reason="no cage here")
@pytest.mark.parametrize(
    ("act", "answer"), [("read_inside", "done"), ("read_outside", "denied"), ("socket", "denied"), ("fork", "denied")]
)
def test_whoever_takes_an_examination_over_is_locked_in(fake: Examiner, tmp_path: Path, act: str, answer: str) -> None:
    """Acts of code that runs in the cage of production, beyond what any reader would do."""
    place = EXAMPLES / "wrong_scaling" / "train.csv" if act == "read_inside" else tmp_path / "secret"
    (tmp_path / "secret").write_text("a secret")
    with pytest.raises(ProblemError) as raised:
        fake.examine(make_request(f"{act}:{place}"))

    assert raised.value.detail == answer


@pytest.mark.skipif(probe("auto").level not in {"strong", "full"}, reason="no cage here")
def test_an_examination_has_no_more_memory_than_it_may(fake: Examiner) -> None:
    (line,) = examine(fake, "hold:4096")

    assert line["reason"] == "out_of_memory"
    assert examine(fake, "hold:64") == []


def test_the_places_are_as_many_as_before(fake: Examiner) -> None:
    """However examinations ended, each gave its place back."""
    assert fake._places._value == 2 * examining.cores()
    assert fake._waiting._value == examining.MAX_WAITING


class TestMemory:
    """The data of an example have long been as they are; the model's address notes each examination."""

    @pytest.fixture
    def asked(self, fake: Examiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
        """Examines and tells how often that was done so far, with an identity given for all that is asked."""
        monkeypatch.setattr(fake, "_unchanged", Unchanged())

        def asked(identity: str) -> int:
            monkeypatch.setattr(examining, "identity_of", lambda *_: identity.encode() or None)
            fake.examine(make_request(f"count:{tmp_path}/journal"))
            journal = tmp_path / "journal"
            return len(journal.read_text().splitlines()) if journal.exists() else 0

        return asked

    def test_what_was_found_sound_is_not_examined_again(self, asked) -> None:
        assert [asked("a"), asked("a"), asked("b"), asked("a")] == [1, 1, 2, 2]

    def test_what_has_no_identity_is_examined_every_time(self, asked) -> None:
        assert [asked(""), asked("")] == [1, 2]

    def test_neither_problems_nor_failures_are_remembered(self, fake: Examiner, monkeypatch) -> None:
        monkeypatch.setattr(examining, "identity_of", lambda *_: b"one")
        monkeypatch.setattr(fake, "_unchanged", Unchanged())
        for _ in range(2):
            with pytest.raises(ProblemError):
                fake.examine(make_request("problem"))
            assert examine(fake, "segfault")
