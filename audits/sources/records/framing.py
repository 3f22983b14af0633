"""Records as TensorFlow frames them, in TFRecord files and in TensorBoard's event files.

A record is its length (uint64), the length's masked CRC-32C, the bytes, and their masked CRC-32C, all little-endian
(https://www.tensorflow.org/tutorials/load_data/tfrecord).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import google_crc32c

HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_SKIPPED_AT_ONCE = 2**20


class DamagedRecordError(Exception):
    """A record whose checksum is wrong, or that is not what it should be."""

    def __init__(self, record: int, why: str) -> None:
        super().__init__(why)
        self.record, self.why = record, why


class CutOffError(Exception):
    """The stream ends inside a record, as when the writer was killed; what stands before it is sound."""

    def __init__(self, record: int) -> None:
        super().__init__(f"record {record} is cut off")
        self.record = record


@dataclass(frozen=True)
class Record:
    """One record.

    Attributes:
        number: counted from 0.
        length: in bytes.
        body: None where it is longer than wanted.
        checksum: of the body, as written.
    """

    number: int
    length: int
    body: bytes | None
    checksum: int

    @property
    def is_sound(self) -> bool:
        """Whether the bytes are what was written."""
        return self.body is not None and masked_crc(self.body) == self.checksum


def records(stream: BinaryIO, *, max_bytes: int) -> Iterator[Record]:
    """The records in order; of longer ones than `max_bytes`, the bytes are passed over.

    The checksum of each length is held against it here, that of a body by `Record.is_sound`.

    Raises:
        CutOffError: after the last whole record.
        DamagedRecordError: the checksum of a length is wrong.
    """
    number = 0
    while header := stream.read(HEADER.size):
        if len(header) < HEADER.size or not any(header):
            # a file system that crashed leaves zeros where the end should be
            raise CutOffError(number)
        length, checksum = HEADER.unpack(header)
        if masked_crc(header[:8]) != checksum:
            raise DamagedRecordError(number, "the checksum of its length is wrong")
        body = None
        if length <= max_bytes:
            body = stream.read(length)
        else:
            _skip(stream, length)
        tail = stream.read(_CHECKSUM.size)
        if len(tail) < _CHECKSUM.size or (body is not None and len(body) < length):
            raise CutOffError(number)
        yield Record(number, length, body, _CHECKSUM.unpack(tail)[0])
        number += 1


def _skip(stream: BinaryIO, length: int) -> None:
    """Read on; a stream that ends early is seen by the checksum that is missing."""
    while length > 0:
        passed = len(stream.read(min(length, _SKIPPED_AT_ONCE)))
        if not passed:
            return
        length -= passed


def starts_with_record(start: bytes) -> bool:
    """Whether the first bytes of a file are a record's header."""
    return len(start) >= HEADER.size and masked_crc(start[:8]) == HEADER.unpack(start[: HEADER.size])[1]


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), RFC 3720, appendix B.4."""
    return int(google_crc32c.value(data))


def masked_crc(data: bytes) -> int:
    """The checksum as records hold it: turned and moved, so that checksums of checksums do not go wrong."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
