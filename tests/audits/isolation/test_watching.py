"""The parent sees what goes beyond a limit, and takes its time for nothing else."""

import fcntl
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from audits.isolation import watching
from audits.isolation.watching import LimitError, Watch, WatchedConnection


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


def watch_of(pipe: tuple[int, int], folder: Path, **limits: int | None) -> Watch:
    return Watch(os.getpid(), pipe[0], folder, **{"memory_bytes": None, "scratch_bytes": None, **limits})


def limit_of(watch: Watch) -> str:
    with pytest.raises(LimitError) as caught:
        watch.look()
    return caught.value.limit


def test_nothing_is_said_within_the_limits(pipe, tmp_path: Path) -> None:
    watch = watch_of(pipe, tmp_path, memory_bytes=2**40, scratch_bytes=2**30)
    watch.deadline = time.monotonic() + 60
    watch.look()
    watch.close()


def test_time_memory_and_disk(pipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100_000))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert limit_of(watch_of(pipe, tmp_path, memory_bytes=1000)) == "memory"
    assert limit_of(watch_of(pipe, tmp_path, scratch_bytes=1000)) == "disk"
    late = watch_of(pipe, tmp_path)
    late.deadline = time.monotonic() - 1
    assert limit_of(late) == "time"
    late.close()


def test_the_first_of_what_is_printed_is_logged_on_lines_of_its_own(pipe, tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setattr(watching, "LOGGED_BYTES", 20)
    caplog.set_level("INFO")
    watch = watch_of(pipe, tmp_path)
    os.write(pipe[1], b"one\nt\x1b[31mwo\n" + b"x" * 1000)
    watch.look()
    watch.close()

    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["one", "t\\x1b[31mwo", "xxxxxxx"]


def test_printing_without_end(pipe, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(watching, "MAX_PRINTED_BYTES", 1000)
    watch = watch_of(pipe, tmp_path)
    os.write(pipe[1], b"x" * 2000)

    assert limit_of(watch) == "output"
    watch.close()


def test_a_connection_is_watched_while_nothing_comes(pipe, tmp_path) -> None:
    """Also where a byte comes now and then: the deadline is that of the whole answer."""
    ours, theirs = socket.socketpair()
    watch = watch_of(pipe, tmp_path)
    connection = WatchedConnection(ours, watch)
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            theirs.send(b"x")

    threading.Thread(target=drip).start()
    watch.deadline = time.monotonic() + 0.3
    begun = time.monotonic()
    try:
        with pytest.raises(LimitError):
            receive_for_ever(connection)
    finally:
        stop.set()
    assert time.monotonic() - begun < 5
    connection.close()
    theirs.close()


def test_a_descriptor_may_have_any_number(pipe, tmp_path) -> None:
    """A service with many connections has numbers beyond those that `select` takes."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2000), before[1]))
    low, theirs = socket.socketpair()
    ours = socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD, 1500))
    connection = WatchedConnection(ours, watch_of(pipe, tmp_path))
    reply = threading.Timer(0.1, lambda: theirs.sendall(bytes(theirs.recv(65536)[:1])))
    reply.start()
    try:
        connection.sendall(b"a" * 2)
        got = bytearray(1)
        assert connection.recv_into(memoryview(got)) == 1
        assert got == b"a"
    finally:
        reply.join()
        connection.close()
        low.close()
        theirs.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def receive_for_ever(connection: WatchedConnection) -> None:
    while True:
        connection.recv_into(memoryview(bytearray(1)))


def test_more_than_a_buffer_is_sent_whole(pipe, tmp_path) -> None:
    ours, theirs = socket.socketpair()
    connection = WatchedConnection(ours, watch_of(pipe, tmp_path))
    got = bytearray()

    def read() -> None:
        while len(got) < 5_000_000:
            got.extend(theirs.recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    connection.sendall(b"a" * 5_000_000)
    reader.join()
    connection.close()
    theirs.close()

    assert bytes(got) == b"a" * 5_000_000
