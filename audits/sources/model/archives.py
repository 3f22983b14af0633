"""Archives of models, unpacked by our own loop: regular files alone, below the target, within limits.

What an archive announces is checked before a byte is written, and what really comes while it is written.
"""

import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from audits.sources.zip_directory import directory_bytes
from schemas.problem import ModelError

FIELD = "model.uri"
MAX_MEMBERS = 10_000
MAX_BYTES = 16 * 2**30
# Weights hardly shrink; so much is allowed at any ratio.
MAX_RATIO, FREE_OF_RATIO_BYTES = 100, 64 * 2**20
# Extended headers: Python before 3.11.10 takes as long as the square of one's size.
MAX_DIRECTORY_BYTES, MAX_HEADER_BYTES = 16 * 2**20, 2**14
MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_DEPTH = 255, 2_000, 32
BLOCK_BYTES = 2**20
# zip, empty zip, gzip, bzip2, xz
_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_EXTENDED_HEADERS = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, ValueError)


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is an archive: zip, or tar, plain or compressed."""
    return head.startswith(_MAGIC) or head[257:262] == b"ustar"


def zip_members(archive: Path) -> list[zipfile.ZipInfo]:
    """What a zip file announces, checked.

    Raises:
        ModelError: `archive_unsafe`, `archive_too_large` or `model_malformed`.
    """
    _require_small_directory(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [one for one in opened.infolist() if not one.is_dir() and not _is_clutter(one.filename)]
    except (*_DAMAGE, NotImplementedError) as error:
        raise _damaged(archive, error) from None
    budget = _Budget(archive)
    for member in members:
        _require_plain(archive, member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in {0, stat.S_IFREG}:
            raise _unsafe(archive, member.filename, "is a link or a device")
        if member.flag_bits & 1:
            raise _unsafe(archive, member.filename, "is encrypted")
        budget.add_member()
        budget.add_bytes(member.file_size)
    return members


def unpack(archive: Path, target: Path) -> None:
    """Write the files of an archive below an empty folder.

    Raises:
        ModelError: `archive_unsafe` (a name that leads out, a link, a device, a second file of one name, a password),
            `archive_too_large`, or `model_malformed` where the archive is damaged.
    """
    budget = _Budget(archive, target)
    is_zip = zipfile.is_zipfile(archive)
    try:
        for name, content in (_zip_contents if is_zip else _tar_contents)(archive, budget):
            _write(archive, name, content, target, budget)
    except _DAMAGE as error:
        raise _damaged(archive, error) from None
    except (NotImplementedError, RuntimeError) as error:
        raise _damaged(archive, error) from None


class _Budget:
    """Counts what comes out of an archive against the limits."""

    def __init__(self, archive: Path, target: Path | None = None) -> None:
        self._archive = archive
        self._members = self._bytes = 0
        self._most = min(MAX_BYTES, max(FREE_OF_RATIO_BYTES, MAX_RATIO * archive.stat().st_size))
        self._free = MAX_BYTES if target is None else shutil.disk_usage(target).free

    def add_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise self.too_large(f"holds more than {MAX_MEMBERS:,} files")

    def add_bytes(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self._most:
            raise self.too_large(
                f"unpacks to more than {self._most:,} bytes, the most that is accepted of an archive of its size"
            )
        if self._bytes > self._free:
            raise self.too_large(f"does not fit into the {self._free:,} bytes that the worker has free")

    def too_large(self, why: str) -> ModelError:
        return ModelError(
            "archive_too_large",
            f"The archive {self._archive.name} {why}. Give the model's folder instead.",
            field=FIELD,
            file=str(self._archive),
        )


def _zip_contents(archive: Path, budget: _Budget) -> Iterator[tuple[str, IO[bytes]]]:
    members = zip_members(archive)
    with zipfile.ZipFile(archive) as opened:
        for member in members:
            budget.add_member()
            with opened.open(member) as content:
                yield member.filename, content


class _Member(tarfile.TarInfo):
    """Refuses extended headers that would not fit into memory; they are read whole."""

    def _proc_member(self, file: tarfile.TarFile) -> Any:
        if self.type in _EXTENDED_HEADERS and self.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header that is too long")
        return super()._proc_member(file)  # type: ignore[misc]


def _tar_contents(archive: Path, budget: _Budget) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, "r|*", tarinfo=_Member) as opened:
        for member in opened:
            opened.members.clear()  # type: ignore[attr-defined]  # it would remember all of them
            budget.add_member()
            if member.isdir() or _is_clutter(member.name):
                budget.add_bytes(member.size)  # passed over, it is unpacked all the same
                continue
            _require_plain(archive, member.name)
            if not member.isreg() or member.issparse():
                raise _unsafe(archive, member.name, "is a link or a device")
            content = opened.extractfile(member)
            if content is not None:
                yield member.name, content


def _write(archive: Path, name: str, content: IO[bytes], target: Path, budget: _Budget) -> None:
    path = target.joinpath(*_parts(name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _unsafe(archive, name, "stands in it twice") from None
    with file:
        while block := content.read(BLOCK_BYTES):
            budget.add_bytes(len(block))
            file.write(block)


def _require_plain(archive: Path, name: str) -> None:
    """Names that stay below the target."""
    parts = PurePosixPath(name).parts
    is_odd = any(ord(character) < 32 for character in name) or "\\" in name or (len(name) > 1 and name[1] == ":")
    sizes = [len(part.encode("utf-8", "replace")) for part in parts]
    is_long = len(parts) > MAX_DEPTH or max(sizes, default=0) > MAX_NAME_BYTES or sum(sizes) > MAX_PATH_BYTES
    if is_odd or is_long or name.startswith("/") or ".." in parts or not _parts(name):
        raise _unsafe(archive, name, "has a name that leads out of the folder or is no plain one")


def _parts(name: str) -> list[str]:
    return [part for part in PurePosixPath(name).parts if part != "."]


def _is_clutter(name: str) -> bool:
    """What macOS packs along."""
    parts = PurePosixPath(name).parts
    return bool(parts) and (parts[0] == "__MACOSX" or parts[-1] == ".DS_Store" or parts[-1].startswith("._"))


def _require_small_directory(archive: Path) -> None:
    """`zipfile` reads the whole directory, which stands at the end, into memory."""
    size = directory_bytes(archive)
    if size is None:
        raise _damaged(archive, "it was cut off")
    if size > MAX_DIRECTORY_BYTES:
        raise _Budget(archive).too_large(f"holds more than {MAX_MEMBERS:,} files")


def _unsafe(archive: Path, name: str, why: str) -> ModelError:
    return ModelError(
        "archive_unsafe",
        f"{name[:200]!r} in the archive {archive.name} {why}, so nothing of it was unpacked for use. Pack the model's "
        "own files, as plain files with relative names.",
        field=FIELD,
        file=str(archive),
    )


def _damaged(archive: Path, why: object) -> ModelError:
    return ModelError(
        "model_malformed",
        f"The archive {archive.name} cannot be unpacked: {str(why)[:200]}. Pack it anew, as zip, tar or tar.gz.",
        field=FIELD,
        file=str(archive),
    )
