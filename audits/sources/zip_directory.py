"""How large the directory of a ZIP archive is, which every reader holds in memory as a whole."""

import struct
from pathlib import Path

# Of the end of a file: the record that ends the directory, with the longest comment, and what goes before it.
_TAIL_BYTES = 66_000
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_BYTES = struct.Struct("<4sIQI"), 20
_END_64, _END_64_MAGIC = struct.Struct("<4sQ2H2I4Q"), b"PK\x06\x06"


def directory_bytes(path: Path) -> int | None:
    """As the archive announces it, in the larger of its two records where it has both; None where it was cut off."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
        at = tail.rfind(_END)
        if at < 0 or len(tail) < at + _END_BYTES:
            return None
        (announced,) = struct.unpack_from("<I", tail, at + 12)
        if at < _LOCATOR_BYTES:
            return int(announced)
        magic, _, offset, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR_BYTES)
        if magic != b"PK\x06\x07" or offset > size:
            return int(announced)
        # Python believes this record wherever it is, whatever the other one says
        wide = b""
        for place in (offset, size - len(tail) + at - _LOCATOR_BYTES - _END_64.size):
            file.seek(max(0, place))
            wide = file.read(_END_64.size)
            if wide.startswith(_END_64_MAGIC) and len(wide) == _END_64.size:
                announced = max(int(announced), _END_64.unpack(wide)[8])
    return int(announced)
