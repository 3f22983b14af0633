"""Archives are unpacked as plain files below the target, within limits, or not at all."""

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from audits.sources.model import archives
from audits.sources.model.archives import is_archive, unpack
from schemas.problem import ModelError

ZEROS = bytes(100_000)


def unchanged(_: zipfile.ZipInfo) -> None:
    """Leave the member as it is."""


def zipped(
    path: Path, *names: str, content: bytes = b"x", change: Callable[[zipfile.ZipInfo], None] = unchanged
) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in names:
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            change(member)
            opened.writestr(member, content)
    return path


def tarred(path: Path, *names: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "../../secret"
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            opened.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.fixture
def refused(target: Path) -> Callable[[Path], ModelError]:
    def refuse(archive: Path) -> ModelError:
        with pytest.raises(ModelError) as caught:
            unpack(archive, target)
        assert caught.value.field == "model.uri"
        assert not [path for path in target.parent.iterdir() if path not in {archive, target}]
        return caught.value

    return refuse


@pytest.mark.parametrize("write", [zipped, tarred])
def test_files_and_folders_come_out(tmp_path: Path, target: Path, write) -> None:
    archive = write(tmp_path / "m", "churn/saved_model.pb", "./churn/variables/index", "__MACOSX/._churn", ".DS_Store")
    unpack(archive, target)
    files = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}

    assert files == {"churn/saved_model.pb", "churn/variables/index"}
    assert is_archive(archive.read_bytes()[:512])


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_compressions_of_tar(tmp_path: Path, target: Path, mode: str) -> None:
    archive = tarred(tmp_path / "m", "saved_model.pb", mode=mode)
    unpack(archive, target)

    assert (target / "saved_model.pb").read_bytes() == b"x"
    assert is_archive(archive.read_bytes()[:512])


@pytest.mark.parametrize("write", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "a\\..\\evil", "C:evil", "a\nb", "x" * 300])
def test_names_that_lead_out(tmp_path: Path, refused, write, name: str) -> None:
    assert refused(write(tmp_path / "m", "good", name)).code == "archive_unsafe"


@pytest.mark.parametrize("write", [zipped, tarred])
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a", "a"), ("a", "./a"), ("a", "a/b")])
def test_files_that_stand_twice(tmp_path: Path, refused, write, names: tuple[str, str]) -> None:
    assert "twice" in refused(write(tmp_path / "m", *names)).detail


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_in_a_tar(tmp_path: Path, refused, kind: bytes) -> None:
    problem = refused(tarred(tmp_path / "m", "assets/words.txt", kind=kind))

    assert problem.code == "archive_unsafe"
    assert "'assets/words.txt'" in problem.detail


def test_links_in_a_zip(tmp_path: Path, refused) -> None:
    def link(member: zipfile.ZipInfo) -> None:
        member.create_system = 3
        member.external_attr = (stat.S_IFLNK | 0o777) << 16

    assert "a link" in refused(zipped(tmp_path / "m", "words.txt", content=b"/etc/passwd", change=link)).detail


def test_passwords(tmp_path: Path, refused) -> None:
    archive = zipped(tmp_path / "m", "saved_model.pb")
    raw = bytearray(archive.read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 8] |= 1
    archive.write_bytes(raw)

    assert "encrypted" in refused(archive).detail


@pytest.mark.parametrize("write", [zipped, tarred])
def test_more_than_their_size_can_hold(tmp_path: Path, refused, monkeypatch, write) -> None:
    monkeypatch.setattr(archives, "FREE_OF_RATIO_BYTES", 1000)
    problem = refused(write(tmp_path / "m", "a", content=ZEROS * 10))

    assert problem.code == "archive_too_large"
    assert sum(path.stat().st_size for path in (tmp_path / "target").rglob("*")) < len(ZEROS) * 10


def test_what_a_zip_announces_is_checked_before_anything_is_written(
    tmp_path: Path, target: Path, refused, monkeypatch
) -> None:
    monkeypatch.setattr(archives, "FREE_OF_RATIO_BYTES", 1000)
    refused(zipped(tmp_path / "m", "a", content=ZEROS * 10))

    assert list(target.iterdir()) == []


@pytest.mark.parametrize("write", [zipped, tarred])
def test_too_many_files(tmp_path: Path, refused, monkeypatch, write) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)

    assert refused(write(tmp_path / "m", *"abcd")).code == "archive_too_large"


@pytest.mark.parametrize("write", [zipped, tarred])
def test_no_room(tmp_path: Path, refused, monkeypatch, write) -> None:
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))

    assert "has free" in refused(write(tmp_path / "m", "a", content=ZEROS)).detail


def test_a_directory_of_a_zip_that_would_not_fit_into_memory(tmp_path: Path, refused) -> None:
    archive = zipped(tmp_path / "m", "a")
    raw = bytearray(archive.read_bytes())
    struct.pack_into("<I", raw, raw.rindex(b"PK\x05\x06") + 12, archives.MAX_DIRECTORY_BYTES + 1)
    archive.write_bytes(raw)

    assert refused(archive).code == "archive_too_large"


def test_the_larger_of_two_directories_of_a_zip_counts(tmp_path: Path, refused) -> None:
    """Python reads the one of ZIP64 where there is one, whatever the other says."""
    archive = zipped(tmp_path / "m", "a")
    raw = archive.read_bytes()
    at = raw.rindex(b"PK\x05\x06")
    wide = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, archives.MAX_DIRECTORY_BYTES + 1, 0)
    archive.write_bytes(raw[:at] + wide + struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1) + raw[at:])

    assert refused(archive).code == "archive_too_large"


def test_what_is_passed_over_in_a_tar_counts(tmp_path: Path, refused, monkeypatch) -> None:
    """It is unpacked to get past it."""
    monkeypatch.setattr(archives, "FREE_OF_RATIO_BYTES", 1000)

    assert refused(tarred(tmp_path / "m", "._clutter", content=ZEROS * 10)).code == "archive_too_large"


def test_folders_in_a_tar_count(tmp_path: Path, refused, monkeypatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)

    assert refused(tarred(tmp_path / "m", *"abcd", kind=tarfile.DIRTYPE)).code == "archive_too_large"


@pytest.mark.parametrize("write", [zipped, tarred])
def test_a_path_that_no_file_can_have(tmp_path: Path, refused, write) -> None:
    """Each of its parts is short enough, the whole is not."""
    assert refused(write(tmp_path / "m", "/".join(["d" * 200] * 25))).code == "archive_unsafe"


def test_headers_of_a_tar_that_would_not_fit_into_memory(tmp_path: Path, refused) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**33
    archive = tmp_path / "m"
    archive.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))

    assert "a header that is too long" in refused(archive).detail


@pytest.mark.parametrize("write", [zipped, tarred])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_archives_that_were_cut_off(tmp_path: Path, refused, write, share: float) -> None:
    content = bytes(range(256)) * 40
    archive = write(tmp_path / "m", "saved_model.pb", "variables/index", content=content)
    raw = archive.read_bytes()
    archive.write_bytes(raw[: int(len(raw) * share)])

    assert refused(archive).code == "model_malformed"
