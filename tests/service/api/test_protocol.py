"""A client that never finishes the head of its request is hung up on; all others are served."""

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from service.api import protocol
from service.api.app import create_app
from service.settings import Settings
from tests.service.fakes import FakeJobs


@pytest.fixture
def address(tmp_path, monkeypatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    app = create_app(Settings(state_dir=tmp_path), FakeJobs())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # who comes before the server is up waits
        config = uvicorn.Config(app, log_config=None, http=protocol.PatientProtocol, timeout_keep_alive=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("begin", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_end(address, begin: bytes) -> None:
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(begin)

        assert client.recv(1) == b""


def test_a_second_head_that_does_not_end(address) -> None:
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\n")
        received = b"".join(iter(lambda: client.recv(65536), b""))

    assert received.count(b"HTTP/1.1 200") == 1


def test_a_body_is_not_hurried(address) -> None:
    """It has a patience of its own."""
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(
            b"POST /v1/audits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        )
        threading.Event().wait(1)
        client.sendall(b"{}")

        assert client.recv(12) == b"HTTP/1.1 422"


def test_a_connection_is_used_again(address) -> None:
    with httpx.Client(base_url=f"http://{address[0]}:{address[1]}") as client:
        for _ in range(3):
            assert client.get("/healthz").is_success


def test_headers_beyond_the_parsers_limit_end_the_connection(address) -> None:
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000)

        assert client.recv(12) == b"HTTP/1.1 400"
