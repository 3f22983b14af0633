"""Packed files, read as what they hold: gzip, bzip2, xz and Zstandard, known by their first bytes.

Sizes are held against limits while reading, not taken from what the file says of itself.
"""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast

import pyarrow as pa

from audits.sources.damage import malformed
from schemas.problem import DataError

Compression = Literal["gzip", "bzip2", "xz", "zstandard", "zlib"]

SUFFIXES = frozenset({".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd", ".zlib"})
# Logs full of repetitions pack a hundred times; what packs better than this is a trap.
MAX_RATIO, RATIO_MATTERS_FROM_BYTES = 200, 256 * 2**20
MAX_UNPACKED_BYTES = 2**40
# Of a file's beginning, before it is believed to be no trap; and what decompressors may have read ahead of that.
BELIEVED_FROM_BYTES, READ_AHEAD_BYTES = 4 * 2**20, 2**17
MAX_DEFLATE_RATIO = 1032  # https://zlib.net/zlib_tech.html
# An xz file may ask for gigabytes of dictionary.
MAX_DICTIONARY_BYTES = 256 * 2**20
PACKED_AT_ONCE = 2**16

# https://www.rfc-editor.org/rfc/rfc1952, .../rfc8878, and the formats' own descriptions
_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    # after the size of the blocks, the first block or the end; "BZh" alone may begin the name of a column
    *((b"BZh%d" % size + block, "bzip2") for size in range(1, 10) for block in (b"1AY&SY", b"\x17rE8P\x90")),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
)
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException, ValueError)


def compression_of(start: bytes) -> Compression | None:
    """What a file that starts so is packed with. Zlib's two bytes say too little and are left to who expects them."""
    return next((name for magic, name in _MAGIC if start.startswith(magic)), None)


@contextmanager
def unpacked(path: Path, compression: Compression | None, *, field: str) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked while they are read.

    Raises:
        DataError: from reading: `data_malformed`, `data_compression_ratio`, `data_too_large`.
    """
    with path.open("rb") as file:
        if compression is None:
            yield file
            return
        with io.BufferedReader(_Unpacked(path, file, compression, field)) as stream:
            yield cast(BinaryIO, stream)


def require_sound_ratio(path: Path, compression: Compression, *, field: str) -> None:
    """Unpack the beginning of a file, all that may be a trap and no more: decoding rows of a trap would take long.

    Raises:
        DataError: `data_compression_ratio`, `data_malformed`.
    """
    if compression in {"gzip", "zlib"} and path.stat().st_size * MAX_DEFLATE_RATIO < RATIO_MATTERS_FROM_BYTES:
        return
    with path.open("rb") as file, io.BufferedReader(_Unpacked(path, file, compression, field)) as stream:
        given = 0
        while passed := len(stream.read(PACKED_AT_ONCE)):
            given += passed
            if BELIEVED_FROM_BYTES < given < MAX_RATIO * (file.tell() - READ_AHEAD_BYTES):
                return


class _Unpacked(io.RawIOBase):
    """See `unpacked`."""

    def __init__(self, path: Path, file: BinaryIO, compression: Compression, field: str) -> None:
        self._path = path
        self._file = file
        self._compression = compression
        self._field = field
        self._given = 0
        self._mark = (0, 0)
        self._stream = _OPENERS[compression](file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        try:
            data = self._stream.read(len(buffer))
        except _DAMAGE as error:
            why = str(error).splitlines()[0][:200].rstrip(".") if str(error) else "it ends early"
            raise malformed(self._path, self._compression, why, field=self._field) from None
        self._given += len(data)
        self._require_small()
        buffer[: len(data)] = data
        return len(data)

    def _require_small(self) -> None:
        # held against each stretch of the file: a trap may come after data that pack as data do
        given, taken = self._given - self._mark[0], self._file.tell() - self._mark[1]
        if given > RATIO_MATTERS_FROM_BYTES:
            if given > MAX_RATIO * taken:
                raise self._problem(
                    "data_compression_ratio",
                    f"unpacks to more than {MAX_RATIO} times its size. Give the file as it is, unpacked.",
                )
            self._mark = (self._given, self._file.tell())
        if self._given > MAX_UNPACKED_BYTES:
            raise self._problem("data_too_large", f"unpacks to more than {MAX_UNPACKED_BYTES:,} bytes. Split it.")

    def _problem(self, code: str, said: str) -> DataError:
        return DataError(code, f"{self._path.name} {said}", field=self._field, file=str(self._path))


class _Blocks:
    """A decompressor that says when it has ended, as a stream; one member may follow another.

    Args:
        file: the packed bytes.
        start: makes a decompressor with `decompress(data, max_length)`, `eof` and `unused_data`.
    """

    def __init__(self, file: BinaryIO, start: "Callable[[], lzma.LZMADecompressor]") -> None:
        self._file = file
        self._start = start
        self._member = start()
        self._waiting = b""

    def read(self, size: int) -> bytes:
        while True:
            if self._member.eof:
                rest = self._member.unused_data or self._file.read(PACKED_AT_ONCE)
                if not rest.strip(b"\0"):  # members may be padded
                    return b""
                self._member, self._waiting = self._start(), rest
            packed = self._waiting
            self._waiting = b""
            if not packed and self._member.needs_input:
                packed = self._file.read(PACKED_AT_ONCE)
                if not packed:
                    raise EOFError("it ends early")
            data = self._member.decompress(packed, size)
            if data:
                return data


class _Zlib:
    """`zlib.decompressobj` with the interface that `_Blocks` needs."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail
        return out


def _zlib(file: BinaryIO) -> _Blocks:
    return _Blocks(file, cast("Callable[[], lzma.LZMADecompressor]", _Zlib))


def _xz(file: BinaryIO) -> _Blocks:
    return _Blocks(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY_BYTES))


_OPENERS: Mapping[Compression, Callable[[BinaryIO], "gzip.GzipFile | bz2.BZ2File | _Blocks | pa.NativeFile"]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bzip2": bz2.BZ2File,
    "xz": _xz,
    "zstandard": lambda file: pa.CompressedInputStream(pa.PythonFile(cast(io.IOBase, file), mode="r"), "zstd"),
    "zlib": _zlib,
}
