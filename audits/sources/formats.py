"""What a data file is: by its name, held against its first bytes."""

from pathlib import Path
from typing import Literal, cast

from schemas.problem import DataError

Format = Literal["csv", "parquet", "npz", "npy"]

FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
    ".npy": "npy",
}
SUFFIXES = frozenset(FORMAT_OF_SUFFIX)
SUPPORTED = (
    "CSV (.csv, .tsv, .txt), Parquet (.parquet, .pq), NumPy (.npz with x and y, or a folder of x.npy and y.npy), and "
    "images (.png, .jpg, .bmp, .gif, .webp in one folder a class)"
)

# Magic numbers, by the formats' specifications.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "parquet"),
    (b"PK\x03\x04", "npz"),
    (b"PK\x05\x06", "npz"),
    (b"\x93NUMPY", "npy"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"ARROW1", "Arrow IPC"),
    (b"\x89HDF", "HDF5"),
    (b"\xd0\xcf\x11\xe0", "old Excel"),
    (b"SQLite format 3\x00", "SQLite"),
    (b"\x80\x04\x95", "pickle"),
    (b"\x80\x05\x95", "pickle"),
    (b"%PDF", "PDF"),
)
_NAMES: dict[str, str] = {"csv": "text", "npz": "a ZIP archive", "npy": "a NumPy array", "parquet": "Parquet"}
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"{", b"[")
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def identify(path: Path, *, field: str) -> Format:
    """The file's format. A name without a known suffix is judged by its content.

    Raises:
        DataError: `data_format_mismatch` where name and content disagree, `data_format_unsupported`, `data_unreadable`.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise DataError(
            "data_unreadable", f"{path} cannot be read: {error.strerror}.", field=field, file=str(path)
        ) from None
    named = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    content = _content(start)
    if named is None:
        return _by_content(content, path, field)
    if content != named and start:
        raise DataError(
            "data_format_mismatch",
            f"{path.name} is named like {_NAMES[named]}, but holds {_NAMES.get(content, content)}. "
            "Check how the file was written, or rename it.",
            field=field,
            file=str(path),
        )
    return named


def _content(start: bytes) -> str:
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name
    if start.startswith(_WIDE_MARKS):
        return "csv"  # the CSV reader says what is wrong with the encoding
    if b"\0" in start:
        return "binary data"
    bare = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if bare.startswith(_MARKUP):
        return "JSON" if bare[:1] in {b"{", b"["} else "HTML or XML"
    return "csv"


def _by_content(content: str, path: Path, field: str) -> Format:
    # an NPY file alone has no labels
    if content in {"csv", "parquet", "npz"}:
        return cast(Format, content)
    raise DataError(
        "data_format_unsupported",
        f"{path.name} holds {_NAMES.get(content, content)}, which is not read here. Supported: {SUPPORTED}.",
        field=field,
        file=str(path),
    )
