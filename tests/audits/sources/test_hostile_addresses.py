"""Whatever an address holds, it is refused with a problem or leads below what is allowed."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audits.sources import Roots
from audits.sources.locations import resolve, resolve_files
from audits.sources.remote import require_allowed
from audits.sources.uploads import file_name, is_upload
from schemas.problem import ProblemError, RequestError

ALLOWED = ("s3://bucket/data/", "https://host.example/data/", "gs://")
PIECES = st.sampled_from(
    [
        *("/", "//", "\\", ".", "..", "%2e", "%2E%2e", "%252e", "%2f", "%5c", "%00", "%", "*", "**", "?", "#", "@"),
        *("[", "]", "file:", "file://", "s3://", "https://", "gs://", "upload://", "localhost", "bucket", "data"),
        *("host.example", "127.0.0.1", "443", "8443", "etc", "passwd", "\x00", "\n", " ", "\u202e", "\ud800", "é"),
        *("~", ":", "a.csv"),
    ]
)
ADDRESSES = st.one_of(
    st.text(max_size=60),
    st.lists(PIECES, max_size=12).map("".join),
    st.tuples(
        st.sampled_from(["file://", "s3://bucket/data/", "https://host.example/data/", "../", "/"]),
        st.lists(PIECES, max_size=8).map("".join),
    ).map("".join),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with files, beside one that is nobody's, to which a link leads."""
    place = tmp_path_factory.mktemp("place")
    (place / "root" / "data").mkdir(parents=True)
    (place / "secret").mkdir()
    (place / "secret" / "a.csv").write_text("x,y\n1,0\n")
    (place / "root" / "data" / "a.csv").write_text("x,y\n1,0\n")
    (place / "root" / "link").symlink_to(place / "secret")
    os.mkfifo(place / "root" / "data" / "pipe.csv")
    return place / "root"


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(ADDRESSES)
@example("file:///../../etc/passwd")
@example("https://host.example/data/..%252f..")
def test_remote_addresses_lead_below_what_is_allowed(address: str) -> None:
    try:
        usual = require_allowed(address, ALLOWED, field="data.train.uri")
    except RequestError:
        return
    parts = urlsplit(usual)
    assert usual.startswith(("s3://bucket/data", "https://host.example/data", "gs://"))
    assert parts.username is None
    assert ".." not in unquote(parts.path).replace("\\", "/").split("/")
    assert require_allowed(usual, ALLOWED, field="data.train.uri") == usual


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(address=ADDRESSES)
@example(address="link/a.csv")
@example(address="link/*.csv")
@example(address="**/*.csv")
@example(address="data/pipe.csv")
@example(address="file:///proc/self/root/etc/passwd")
def test_local_addresses_lead_below_the_roots(address: str, root: Path) -> None:
    try:
        found = resolve(address, Roots((root,)), field="data.train.uri")
    except ProblemError:
        return
    assert all(path.resolve().is_relative_to(root) for path in found)


@pytest.mark.parametrize("address", ["data/pipe.csv", "data/*", "data"])
@pytest.mark.timeout(20)
def test_a_fifo_hangs_nobody(address: str, root: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        resolve_files(address, Roots((root,)), field="data.train.uri", is_data=lambda name: name.endswith(".csv"))
    assert caught.value.code == "data_not_regular_file"


@given(st.text())
def test_the_name_of_an_upload_is_no_path(name: str) -> None:
    made = file_name("0190c3b4-0000-7000-8000-000000000000", name)

    assert Path(made).name == made
    assert made.isascii()
    assert len(made) < 80


@given(ADDRESSES)
def test_uploads_are_looked_for_in_their_folder_alone(address: str) -> None:
    if is_upload(address):
        with pytest.raises(ProblemError):
            resolve(address, Roots((), uploads=Path("/")), field="data.train.uri")
