"""Addresses elsewhere: allowed or refused in one place, fetched within limits, called by their address."""

import contextlib
import functools
import socket
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import fsspec
import pytest

from audits.sources import Roots, https, open_splits, remote
from audits.sources.locations import resolve
from audits.sources.remote import Scratch, require_allowed, scratch
from schemas.data import Data
from schemas.problem import ProblemError
from tests.audits.sources.conftest import everything
from tests.serving import serving

CSV = b"a,y\n1,0\n2,1\n"
REDIRECTS = {
    "/moved.csv": "x.csv",
    "/loop.csv": "/loop.csv",
    "/away.csv": "http://elsewhere.example/x.csv?sig=sentinel",
    "/metadata.csv": "http://169.254.169.254/latest/meta-data/",
    "/file.csv": "ftp://host/x",
    "/up.csv": "http://user@host/",
}


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's store in memory, which stands for any other."""
    files = fsspec.filesystem("memory")
    for path in ("/bucket/d/year=2023/a.csv", "/bucket/d/year=2024/b.csv", "/bucket/x.csv"):
        files.pipe(path, CSV)
    yield files
    files.rm("/bucket", recursive=True)


@pytest.fixture
def place(tmp_path: Path) -> Scratch:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return Scratch(folder)


def opened(train: str, place: Scratch | None, *allowed: str):
    data = Data.model_validate({"train": {"uri": train}, "validation": {"uri": train}, "label": "y"})
    return open_splits(data, Roots((), allowed, place))


def refused(address: str, *allowed: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        require_allowed(address, allowed, field="data.train.uri")
    return caught.value


class TestAllowed:
    @pytest.mark.parametrize(
        ("address", "prefix"),
        [
            ("s3://b/d/x.csv", "s3://b/d"),
            ("s3://b/d/x.csv", "s3://b/d/"),
            ("s3://b/d", "s3://b/d"),
            ("s3://b/d/*/x.csv", "s3://b/d/"),
            ("s3://b/x", "s3://"),
            ("HTTPS://Host/x?sig=1", "https://host/"),
        ],
    )
    def test_let_through(self, address: str, prefix: str) -> None:
        assert require_allowed(address, (prefix,), field="f")

    @pytest.mark.parametrize(
        ("address", "code"),
        [
            ("s3://b/other/x.csv", "uri_not_allowed"),
            ("s3://b/dx/x.csv", "uri_not_allowed"),
            ("s3://b2/d/x.csv", "uri_not_allowed"),
            ("s3://b/*/x.csv", "uri_not_allowed"),
            ("gs://b/d/x.csv", "uri_not_allowed"),
            ("http://host/x", "uri_not_allowed"),
            ("https://host.evil/x", "uri_not_allowed"),
            ("s3://b/d/../x.csv", "uri_malformed"),
            ("s3://b/d/%2e%2e/x.csv", "uri_malformed"),
            ("s3://b/d/..%2fx.csv", "uri_malformed"),
            ("https://user@host/x", "uri_malformed"),
            ("https://host/a b", "uri_malformed"),
            ("https://host\\@evil/x", "uri_malformed"),
            ("https:///x", "uri_malformed"),
            ("https://host/x#", "uri_malformed"),
            ("https://@host/x", "uri_malformed"),
            ("https://[host/x", "uri_malformed"),
            ("https://host:99999/x", "uri_malformed"),
            ("https://host:0/x", "uri_malformed"),
            ("https://host/%252e%252e/x", "uri_malformed"),
            ("https://host/%00", "uri_malformed"),
            ("https://host/%5c..%5cx", "uri_malformed"),
            ("https://h\u00f6st/x", "uri_malformed"),
            ("https://host/\u202ex", "uri_malformed"),
            ("https://2130706433/x", "uri_malformed"),
            ("https://127.1/x", "uri_malformed"),
            ("https://0x7f.0.0.1/x", "uri_malformed"),
            ("https://127.0.0.0x1/x", "uri_malformed"),
            ("https://host/" + "x" * 2048, "uri_malformed"),
            ("https://host:8443/x", "uri_not_allowed"),
            ("ftp://host/x", "uri_scheme_forbidden"),
            ("upload://x", "uri_scheme_forbidden"),
        ],
    )
    def test_refused(self, address: str, code: str) -> None:
        assert refused(address, "s3://b/d", "https://host/").code == code

    def test_nothing_is_allowed_by_default(self, place: Scratch) -> None:
        with pytest.raises(ProblemError) as caught:
            opened("memory://bucket/x.csv", place)

        assert caught.value.code == "uri_not_allowed"
        assert "FITCHECK_REMOTE" in caught.value.detail


class TestStores:
    def test_a_file_a_folder_and_a_glob(self, memory, place: Scratch) -> None:
        for address, rows in (("bucket/x.csv", 2), ("bucket/d", 4), ("bucket/d/*/*.csv", 4)):
            train, _ = opened(f"memory://{address}", place, "memory://bucket/")

            assert sum(map(len, everything(train))) == rows
        assert [column.name for column in train.columns] == ["a", "year"]

    def test_what_is_not_there(self, memory, place: Scratch) -> None:
        for address in ("memory://bucket/none.csv", "memory://bucket/none*"):
            with pytest.raises(ProblemError) as caught:
                opened(address, place, "memory://")
            assert caught.value.code == "data_not_found"

    def test_a_model_folder(self, memory, place: Scratch) -> None:
        memory.pipe("/bucket/m/saved_model.pb", b"pb")
        memory.pipe("/bucket/m/variables/variables.index", b"i")
        (folder,) = resolve("memory://bucket/m", Roots((), ("memory://bucket",), place), field="model.uri")

        assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == [
            "saved_model.pb",
            "variables/variables.index",
        ]
        with pytest.raises(ProblemError) as caught:
            resolve("memory://bucket/none", Roots((), ("memory://bucket",), place), field="model.uri")
        assert caught.value.code == "model_not_found"

    def test_more_than_there_is_room_for(self, memory, place: Scratch, monkeypatch) -> None:
        monkeypatch.setattr(remote, "MAX_BYTES", 10)
        with pytest.raises(ProblemError) as caught:
            opened("memory://bucket/x.csv", place, "memory://")

        assert caught.value.code == "data_too_large"

    def test_a_store_that_trickles_is_left(self, memory, place: Scratch, monkeypatch) -> None:
        """In all, not a file: each block may come in time, and each file."""
        monkeypatch.setattr(remote, "DEADLINE_SECONDS", 0.3)
        monkeypatch.setattr(remote, "COPIED_AT_ONCE", 1)
        for number in range(3):
            memory.pipe(f"/bucket/slow/{number}.csv", b"a,y\n")
        read = type(memory.open("/bucket/slow/0.csv")).read

        def trickle(file: object, size: int = -1) -> bytes:
            time.sleep(0.04)
            return read(file, size)

        monkeypatch.setattr("fsspec.implementations.memory.MemoryFile.read", trickle, raising=False)
        begun = time.monotonic()
        with pytest.raises(ProblemError, match=r"longer than 0\.3 seconds") as caught:
            resolve("memory://bucket/slow", Roots((), ("memory://bucket",), place), field="data.train.uri")

        assert caught.value.code == "data_unreadable"
        assert time.monotonic() - begun < 2

    def test_too_many_files(self, memory, place: Scratch, monkeypatch) -> None:
        monkeypatch.setattr(remote, "MAX_FILES", 1)
        with pytest.raises(ProblemError) as caught:
            opened("memory://bucket/d", place, "memory://")

        assert caught.value.code == "data_too_many_files"

    def test_a_package_that_is_missing_is_named(self, place: Scratch, monkeypatch) -> None:
        monkeypatch.setitem(remote._STORES, "gs", ("not-installed", "gcsfs", "gcs"))
        monkeypatch.setattr(fsspec, "filesystem", lambda *_, **__: (_ for _ in ()).throw(ImportError("gcsfs")))
        with pytest.raises(ProblemError) as caught:
            opened("gs://bucket/x.csv", place, "gs://")

        assert caught.value.code == "extra_missing"
        assert "pip install 'fitcheck[gcs]'" in caught.value.detail

    def test_problems_and_reports_name_addresses(self, memory) -> None:
        memory.pipe("/bucket/bad.csv", b"a,y\n1,0\n2\n")
        with pytest.raises(ProblemError) as caught, scratch() as made:
            opened("memory://bucket/bad.csv", made, "memory://")
        assert caught.value.file == "memory://bucket/bad.csv"

        with scratch() as made:
            train, _ = opened("memory://bucket/x.csv", made, "memory://")
            assert made.said(train.describe())["files"] == ["memory://bucket/x.csv"]
            folder = made.folder
        assert not folder.exists()


class TestHttps:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[str]:
        (tmp_path / "x.csv").write_bytes(CSV)

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.split("?")[0] in REDIRECTS:
                    self.send_response(302)
                    self.send_header("Location", REDIRECTS[self.path.split("?")[0]])
                    self.end_headers()
                elif self.path == "/huge.csv":
                    self.send_response(200)
                    self.send_header("Content-Length", str(2**60))
                    self.end_headers()
                elif self.path == "/slow.csv":
                    self.send_response(200)
                    self.end_headers()
                    with contextlib.suppress(OSError):
                        for _ in range(100):
                            self.wfile.write(b"1")
                            time.sleep(0.05)
                elif self.path.startswith("/row.csv"):
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(b"a,y\n" + self.path[-1].encode() + b",0\n")
                elif self.path == "/short.csv":
                    self.send_response(200)
                    self.send_header("Content-Length", "100")
                    self.end_headers()
                    self.wfile.write(CSV)
                else:
                    super().do_GET()

            def log_message(self, *_: object) -> None: ...

        with serving(functools.partial(Handler, directory=str(tmp_path))) as address:
            yield f"{address}/"

    def test_a_file(self, server: str, place: Scratch) -> None:
        train, _ = opened(server + "x.csv", place, server)

        assert everything(train)[0].labels.tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("none.csv", "data_not_found"),
            ("short.csv", "data_unreadable"),
            ("huge.csv", "data_too_large"),
            ("loop.csv", "data_unreadable"),
            ("away.csv", "uri_not_allowed"),
            ("metadata.csv", "uri_not_allowed"),
            ("file.csv", "uri_scheme_forbidden"),
            ("up.csv", "uri_malformed"),
        ],
    )
    def test_what_goes_wrong(self, server: str, place: Scratch, name: str, code: str) -> None:
        with pytest.raises(ProblemError) as caught:
            opened(server + name, place, server)

        assert caught.value.code == code
        assert not [path for path in place.folder.rglob("*") if path.is_file()]

    def test_a_redirect_is_followed_to_what_is_allowed(self, server: str, place: Scratch) -> None:
        train, _ = opened(server + "moved.csv", place, server)

        assert everything(train)[0].labels.tolist() == [0, 1]

    def test_the_metadata_of_a_cloud_is_never_asked(self, server: str, place: Scratch) -> None:
        """Neither where a redirect leads there, nor where an operator named it."""
        with pytest.raises(ProblemError) as caught:
            opened(server + "metadata.csv", place, server, "http://169.254.169.254/")

        assert caught.value.code == "uri_host_forbidden"

    def test_nothing_is_redirected_off_https(self, place: Scratch, tmp_path: Path, monkeypatch) -> None:
        gates = []
        monkeypatch.setattr(remote, "download", lambda *_, redirected, **__: gates.append(redirected))
        remote.fetch("https://host/x.csv", ("https://host/", "http://host/"), place, field="f")

        assert gates[0]("https://host/y.csv") == ("https://host/y.csv", True)
        for location in ("http://host/y.csv", "memory://b/y.csv"):
            with pytest.raises((OSError, ProblemError)):
                gates[0](location)

    def test_a_server_that_trickles_is_left(self, server: str, place: Scratch, monkeypatch) -> None:
        monkeypatch.setattr(https, "DEADLINE_SECONDS", 0.3)
        with pytest.raises(ProblemError) as caught:
            opened(server + "slow.csv", place, server)

        assert "longer than 0.3 seconds" in caught.value.detail

    def test_addresses_that_differ_in_the_query_are_different_files(self, server: str, place: Scratch) -> None:
        data = Data.model_validate(
            {"train": {"uri": f"{server}row.csv?id=1"}, "validation": {"uri": f"{server}row.csv?id=2"}, "label": "y"}
        )
        splits = open_splits(data, Roots((), (server,), place))

        assert [everything(split)[0].features["a"].tolist() for split in splits] == [[1], [2]]

    def test_a_signature_is_never_said(self, server: str, place: Scratch) -> None:
        for name in ("none.csv", "short.csv", "loop.csv", "away.csv", "bad.csv"):
            with pytest.raises(ProblemError) as caught:
                opened(f"{server}{name}?sig=sentinel", place, server)
            assert "sentinel" not in repr(vars(caught.value))
        opened(f"{server}x.csv?sig=sentinel", place, server)
        assert "sentinel" not in place.said(str(place.folder) + repr(list(place.folder.rglob("*"))))

    def test_more_than_there_is_room_for(self, server: str, place: Scratch, monkeypatch) -> None:
        monkeypatch.setattr(remote, "MAX_BYTES", 5)
        with pytest.raises(ProblemError) as caught:
            opened(server + "x.csv", place, server)

        assert caught.value.code == "data_too_large"

    def test_this_machine_is_not_asked_unless_it_is_named(self, server: str, place: Scratch) -> None:
        with pytest.raises(ProblemError) as caught:
            opened(server + "x.csv", place, "http://")

        assert caught.value.code == "uri_host_forbidden"

    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.1.2.3", "169.254.169.254", "168.63.129.16", "0.0.0.0", "224.0.0.1", "100.64.0.1"),
            *("::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fec0::1"),
        ],
    )
    def test_addresses_that_are_not_public(self, monkeypatch, tmp_path: Path, address: str) -> None:
        def answers(*_: object, **__: object) -> list:
            return [(socket.AF_INET, 0, 0, "", (ip, 443)) for ip in ("93.184.215.14", address)]

        monkeypatch.setattr(socket, "getaddrinfo", answers)
        with pytest.raises(ProblemError) as caught:
            https.download("https://host/x", tmp_path / "x", max_bytes=1, private=False, field="f")

        assert caught.value.code == "uri_host_forbidden"
