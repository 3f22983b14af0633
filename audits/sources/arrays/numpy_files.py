"""NumPy arrays in NPZ archives and in folders of NPY files, streamed by rows. Nothing is ever unpickled."""

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.lib import format as npy_format

from audits.artefacts import Array
from audits.sources import damage
from audits.sources.zip_directory import directory_bytes
from schemas.problem import DataError

MAX_HEADER_CHARACTERS = 10_000
MAX_MEMBERS = 1_000
# Of a ZIP archive's directory, which is read whole; each member takes some hundred bytes of it.
MAX_DIRECTORY_BYTES = 2**20
MAX_DIMENSIONS = 32  # numpy allowed no more for long, and no model takes them
# At least so many stand before the bytes of a member.
LOCAL_HEADER_BYTES = 30
# Fortran order cannot be cut into rows while it is unpacked.
MAX_UNSTREAMED_BYTES = 4 * 2**30
# A small archive may not unpack into a huge one.
MAX_RATIO, RATIO_MATTERS_FROM_BYTES = 1_000, 256 * 2**20
# That are read at once on the way to the rows that are wanted.
SKIPPED_BYTES = 2**24
SUPPORTED_KINDS = "fiubUS"
# What zipfile raises for archives that are damaged, encrypted or packed in a way that it does not know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError, ValueError, struct.error)
# What numpy lets through of what Python's parser says of a header.
_DAMAGED_HEADER = (ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError)
# Version 3 differs in the names of fields, which these arrays do not have.
_HEADER_READERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


@dataclass(frozen=True)
class ArrayHeader:
    """Shape and type of a stored array, read before any of its values."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran: bool

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class ArrayFile(Protocol):
    """Named arrays with one entry per row each.

    Attributes:
        path: of the file, or of the folder of several.
        headers: of the arrays that can be read.
        unread: why the others cannot be.
    """

    path: Path
    headers: Mapping[str, ArrayHeader]
    unread: Mapping[str, DataError]

    def rows_of(self, name: str, rows: int, first: int = 0) -> Iterator[Array]:
        """The array from the row `first` on in blocks of `rows` rows; every block is in native byte order."""
        ...

    def is_divisible(self, names: Sequence[str]) -> bool:
        """Whether these arrays can be read from any row on at little cost."""
        ...


class NpzFile:
    """An NPZ archive.

    Raises:
        DataError: when it is opened: `data_malformed`, `data_pickle_forbidden`, `data_compression_ratio`.
    """

    def __init__(self, path: Path, *, field: str) -> None:
        self.path = path
        self._field = field
        if (directory_bytes(path) or 0) > MAX_DIRECTORY_BYTES:
            raise malformed(path, field, f"it has more than {MAX_MEMBERS:,} members")
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = self._sound_members(archive)
                found = {name: self._header(archive, info) for name, info in self._members.items()}
        except _DAMAGE as error:
            raise malformed(path, field, str(error)) from None
        self.headers, self.unread = _parted(found, dict.fromkeys(found, path), field)

    def rows_of(self, name: str, rows: int, first: int = 0) -> Iterator[Array]:
        header = self.headers[name]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self._members[name]) as member:
                _read_header(member, self.path, self._field, name)
                if _is_unstreamed(header):
                    yield from self._unstreamed(member, header, name, rows, first)
                else:
                    yield from self._streamed(member, header, name, rows, first)
        except _DAMAGE as error:
            raise malformed(self.path, self._field, f"array {name!r}: {error}") from None

    def is_divisible(self, names: Sequence[str]) -> bool:
        return all(
            self._members[name].compress_type == zipfile.ZIP_STORED and not _is_unstreamed(self.headers[name])
            for name in names
        )

    def _streamed(self, member: IO[bytes], header: ArrayHeader, name: str, rows: int, first: int) -> Iterator[Array]:
        row_shape = header.shape[1:]
        row_bytes = math.prod(row_shape) * header.dtype.itemsize
        _skip(member, first * row_bytes)
        for start in range(first, header.shape[0], rows):
            count = min(rows, header.shape[0] - start)
            raw = member.read(count * row_bytes)
            if len(raw) != count * row_bytes:
                raise malformed(self.path, self._field, f"array {name!r} ends early")
            yield native(np.frombuffer(bytearray(raw), header.dtype).reshape(count, *row_shape))

    def _unstreamed(self, member: IO[bytes], header: ArrayHeader, name: str, rows: int, first: int) -> Iterator[Array]:
        if header.n_bytes > MAX_UNSTREAMED_BYTES:
            raise DataError(
                "data_too_large",
                f"Array {name!r} of {self.path.name} is stored in Fortran order, which cannot be read row by row, and "
                f"unpacks to {header.n_bytes:,} bytes. Save np.ascontiguousarray(...) of it.",
                field=self._field,
                file=str(self.path),
            )
        whole = np.frombuffer(member.read(header.n_bytes), header.dtype).reshape(header.shape, order="F")
        for start in range(first, header.shape[0], rows):
            yield native(np.ascontiguousarray(whole[start : start + rows]))

    def _sound_members(self, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise malformed(self.path, self._field, f"it has {len(infos):,} members")
        in_order = sorted(infos, key=lambda info: info.header_offset)
        ends = [info.header_offset + LOCAL_HEADER_BYTES + info.compress_size for info in in_order]
        if any(end > after.header_offset for end, after in zip(ends, in_order[1:], strict=False)):
            raise malformed(self.path, self._field, "its members overlap")
        for info in infos:
            name = info.filename.removesuffix(".npy")
            if name == info.filename or "/" in name or "\\" in name or name in members:
                raise malformed(self.path, self._field, f"{info.filename[:60]!r} is not the name of an array")
            if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise malformed(self.path, self._field, f"array {name!r} is packed in an unknown way")
            if info.file_size > max(RATIO_MATTERS_FROM_BYTES, MAX_RATIO * info.compress_size):
                raise DataError(
                    "data_compression_ratio",
                    f"Array {name!r} of {self.path.name} would unpack to {info.file_size:,} bytes, more than "
                    f"{MAX_RATIO} times its size. Save it with np.savez, uncompressed.",
                    field=self._field,
                    file=str(self.path),
                )
            members[name] = info
        return members

    def _header(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArrayHeader:
        name = info.filename.removesuffix(".npy")
        with archive.open(info) as member:
            header = _read_header(member, self.path, self._field, name)
            if not header.dtype.hasobject and member.tell() + header.n_bytes != info.file_size:
                raise malformed(self.path, self._field, f"array {name!r} is not as large as its header says")
        return header


class NpyFiles:
    """NPY files of one folder, one per array."""

    def __init__(self, paths: Sequence[Path], *, field: str) -> None:
        self.path = paths[0].parent if len(paths) > 1 else paths[0]
        self._field = field
        self._files = {file.stem: file for file in sorted(paths)}
        self.headers, self.unread = _parted({name: self._header(name) for name in self._files}, self._files, field)

    def rows_of(self, name: str, rows: int, first: int = 0) -> Iterator[Array]:
        path = self._files[name]
        if self.headers[name].n_bytes == 0:
            return  # no rows, which cannot be mapped
        try:
            whole = np.load(path, mmap_mode="r", allow_pickle=False, max_header_size=MAX_HEADER_CHARACTERS)
        except (OSError, ValueError) as error:  # it is another file than when it was opened
            said = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0][:200]
            raise malformed(path, self._field, f"array {name!r}: {said}") from None
        for start in range(first, whole.shape[0], rows):
            yield native(np.array(whole[start : start + rows]))

    def is_divisible(self, names: Sequence[str]) -> bool:
        return all(name in self._files for name in names)

    def _header(self, name: str) -> ArrayHeader:
        path = self._files[name]
        with path.open("rb") as file:
            header = _read_header(file, path, self._field, name)
            if not header.dtype.hasobject and file.tell() + header.n_bytes != path.stat().st_size:
                raise malformed(path, self._field, f"array {name!r} is not as large as its header says")
        return header


def _parted(
    found: Mapping[str, ArrayHeader], paths: Mapping[str, Path], field: str
) -> tuple[Mapping[str, ArrayHeader], Mapping[str, DataError]]:
    """The headers of the arrays that are read, and why the others are not: what nobody asks for does no harm."""
    judged = {name: _why_unread(header, paths[name], field, name) for name, header in found.items()}
    unread = {name: why for name, why in judged.items() if why is not None}
    return {name: header for name, header in found.items() if name not in unread}, unread


def _why_unread(header: ArrayHeader, path: Path, field: str, name: str) -> DataError | None:
    """The problem of an array whose type is not read; None where it is."""
    if header.dtype.hasobject:
        return DataError(
            "data_pickle_forbidden",
            f"Array {name!r} of {path.name} holds Python objects, which only unpickling could read, and that can run "
            "code. Save plain numbers or texts: np.asarray(values, dtype=...).",
            field=field,
            file=str(path),
        )
    if header.dtype.kind not in SUPPORTED_KINDS:
        return malformed(path, field, f"array {name!r} of the type {header.dtype} is not read")
    return None


def _is_unstreamed(header: ArrayHeader) -> bool:
    """Whether no row can be read without all the others."""
    return header.fortran and len(header.shape) > 1


def _skip(member: IO[bytes], n_bytes: int) -> None:
    """Read past what is not wanted: a seek would leave the archive's checksum of the member unchecked."""
    while n_bytes > 0:
        passed = len(member.read(min(n_bytes, SKIPPED_BYTES)))
        if passed == 0:
            return  # what is read next says that the array ends early
        n_bytes -= passed


def _read_header(file: IO[bytes], path: Path, field: str, name: str) -> ArrayHeader:
    try:
        shape, fortran, dtype = _HEADER_READERS[npy_format.read_magic(file)](
            file, max_header_size=MAX_HEADER_CHARACTERS
        )
    except KeyError:
        raise malformed(path, field, f"array {name!r} is of a version of the NPY format that is not read") from None
    except _DAMAGED_HEADER as error:
        raise malformed(path, field, f"array {name!r}: {str(error).splitlines()[0][:200]}") from None
    if not all(size >= 0 for size in shape):
        raise malformed(path, field, f"array {name!r} has the shape {shape}")
    if len(shape) > MAX_DIMENSIONS:
        raise malformed(path, field, f"array {name!r} has {len(shape):,} dimensions")
    header = ArrayHeader(tuple(int(size) for size in shape), dtype, bool(fortran))
    if header.n_bytes == 0 and 0 not in header.shape[:1]:
        # any number of them takes no space, and nothing would hold the number against anything
        raise malformed(path, field, f"array {name!r} has rows without values, its shape is {header.shape}")
    return header


def native(values: Array) -> Array:
    """In native byte order; texts as objects, truth values as float32."""
    if values.dtype.kind == "S":
        return np.array([v.decode("utf-8", "replace") for v in values.ravel()], dtype=object).reshape(values.shape)
    if values.dtype.kind == "U":
        return values.astype(object)
    if values.dtype.kind == "b":
        return values.astype(np.float32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def malformed(path: Path, field: str, why: str) -> DataError:
    return damage.malformed(path, "NumPy", why, field=field)
