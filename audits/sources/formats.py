"""What a data file is: by its name, held against its first bytes."""

import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from audits.sources import compression
from audits.sources.compression import Compression, compression_of, require_sound_ratio, unpacked
from audits.sources.records.framing import starts_with_record
from audits.sources.tables.csv_text import wide_encoding
from schemas.problem import DataError

Format = Literal["csv", "parquet", "arrow", "jsonl", "tfrecord", "hdf5", "npz", "npy", "saved_dataset"]
ARRAYS: frozenset[Format] = frozenset({"npz", "npy"})
# These may lie packed as a whole; the others pack within.
PACKABLE: frozenset[Format] = frozenset({"csv", "jsonl", "tfrecord"})

FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".test": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
    ".tfrec": "tfrecord",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".npz": "npz",
    ".npy": "npy",
}
SUPPORTED = (
    "CSV (.csv, .tsv, .txt, .data), Parquet (.parquet, .pq), Arrow and Feather (.arrow, .feather), JSON lines "
    "(.jsonl), TFRecord of tf.train.Example (.tfrecord), HDF5 (.h5), NumPy (.npz with x and y, or a folder of x.npy "
    "and y.npy), and images (.png, .jpg, .bmp, .gif, .webp in one folder a class); CSV, JSON lines and TFRecord also "
    "packed with gzip, bzip2, xz or Zstandard"
)

# Magic numbers, by the formats' specifications.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "parquet"),
    (b"PK\x03\x04", "npz"),
    (b"PK\x05\x06", "npz"),
    (b"\x93NUMPY", "npy"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),
    (b"FEA1", "Feather, version 1"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\xd0\xcf\x11\xe0", "old Excel"),
    (b"SQLite format 3\x00", "SQLite"),
    (b"MATLAB 5.0 MAT-file", "MATLAB"),
    (b"MATLAB 7.3 MAT-file", "MATLAB"),
    (b"ORC", "ORC"),
    (b"Obj\x01", "Avro"),
    (b"$FL2", "SPSS"),
    (b"<stata_dta>", "Stata"),
    (b"RDX3", "R data"),
    *((b"\x80" + bytes([protocol]), "pickle") for protocol in range(2, 6)),
    (b"%PDF", "PDF"),
)
# The name of a column may begin like these; what they stand for goes on in bytes that no text holds.
_MAY_BEGIN_TEXT = frozenset({b"PAR1", b"ARROW1", b"FEA1", b"ORC", b"$FL2", b"RDX3"})
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_TO_PARQUET = "Read it with {reader} and write Parquet: frame.to_parquet(path, index=False)."
# What to do with what is not read.
_ADVICE: Mapping[str, str] = {
    "Excel": _TO_PARQUET.format(reader="pandas.read_excel(path)"),
    "old Excel": _TO_PARQUET.format(reader="pandas.read_excel(path)"),
    "SQLite": _TO_PARQUET.format(reader="pandas.read_sql(query, sqlite3.connect(path))"),
    "ORC": _TO_PARQUET.format(reader="pandas.read_orc(path)"),
    "Avro": _TO_PARQUET.format(reader="fastavro"),
    "SPSS": _TO_PARQUET.format(reader="pandas.read_spss(path)"),
    "Stata": _TO_PARQUET.format(reader="pandas.read_stata(path)"),
    "R data": "Write CSV or Parquet in R: write.csv(frame, path, row.names = FALSE).",
    "Feather, version 1": "Write version 2: pyarrow.feather.write_feather(pyarrow.feather.read_feather(path), path).",
    "MATLAB": "Read it with scipy.io.loadmat (version 7.3: h5py) and write numpy.savez(path, x=..., y=...).",
    "pickle": "Reading it could run code, so it is not. Where you trust it, read it and write Parquet or "
    "numpy.savez(path, x=..., y=...).",
    "ARFF": _TO_PARQUET.format(reader="scipy.io.arff.loadarff(path)"),
    "SVMlight": "Read it with sklearn.datasets.load_svmlight_file(path) and write numpy.savez(path, x=x.toarray(), "
    "y=y).",
    "JSON": "Write one object a line: frame.to_json(path, orient='records', lines=True).",
    "one list instead of one object a line": "Write frame.to_json(path, orient='records', lines=True).",
    "a ZIP archive": "Unpack it and name the files in it.",
}
_NAMES: dict[str, str] = {
    "csv": "text",
    "npz": "a ZIP archive",
    "npy": "a NumPy array",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "jsonl": "JSON lines",
    "tfrecord": "TFRecord",
    "hdf5": "HDF5",
    "saved_dataset": "a saved dataset",
}
# Files written in parts: part-00000-of-00005
_SHARD = re.compile(r"-\d+-of-\d+$")
# Names of columns may stand in braces and brackets.
_JSON = re.compile(rb"\{\s*(?:[\"}]|$)|\[\s*(?:[\[{\"\]\d-]|(?:true|false|null|NaN)\b|$)")
_SVMLIGHT = re.compile(rb"\s*[+-]?[\d.]+(\s+qid:\d+)?(\s+\d+:[+-]?[\d.eE+-]+)+\s*(#.*)?")
START_BYTES = 4096
TELLING_BYTES = 512


@dataclass(frozen=True)
class Identified:
    """A file's format, and what it is packed with as a whole."""

    format: Format
    compression: Compression | None = None


def suffix_of(name: str) -> str:
    """The suffix that says the format, in lower case: without those of compressions and of parts."""
    bare = _SHARD.sub("", name.lower())
    path = Path(bare)
    if path.suffix in compression.SUFFIXES:
        path = path.with_suffix("")
    return path.suffix


def is_data(name: str) -> bool:
    """Whether a file in a folder is one of the data: by its suffix, or as a part that a cluster wrote without one."""
    return suffix_of(name) in FORMAT_OF_SUFFIX or (name.startswith("part-") and "." not in name)


def identify(path: Path, *, field: str) -> Identified:
    """The file's format. A name without a known suffix is judged by its content.

    Raises:
        DataError: `data_format_mismatch` where name and content disagree, `data_format_unsupported`, `data_unreadable`.
    """
    named = FORMAT_OF_SUFFIX.get(suffix_of(path.name))
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
        packed = compression_of(start)
        if packed is None and named in {None, "tfrecord"} and _is_zlib_of_records(start):
            packed = "zlib"
        if packed is not None:
            with unpacked(path, packed, field=field) as stream:
                start = stream.read(START_BYTES)
    except OSError as error:
        raise DataError(
            "data_unreadable", f"{path} cannot be read: {error.strerror}.", field=field, file=str(path)
        ) from None
    if not start:
        return Identified(named or "csv", packed)
    content = _content(start)
    if content in {"JSON", "csv"}:
        content = _as_lines(start, content, named)
    if content == "npz" and named is None and not _first_member(start).endswith(b".npy"):
        content = "Excel" if b"[Content_Types].xml" in start or b"xl/" in start else "a ZIP archive"
    if named is None:
        named = _by_content(content, path, field)
    elif content != named:
        raise DataError(
            "data_format_mismatch",
            f"{path.name} has the suffix {suffix_of(path.name)}, but its content is {_NAMES.get(content, content)}. "
            f"Check how the file was written, or rename it. {_ADVICE.get(content, '')}".rstrip(),
            field=field,
            file=str(path),
        )
    if packed is not None and named not in PACKABLE:
        raise DataError(
            "data_format_unsupported",
            f"{path.name} is {_NAMES[named]} packed with {packed}: unpack it, it needs to be read out of order.",
            field=field,
            file=str(path),
        )
    if packed is not None:
        require_sound_ratio(path, packed, field=field)
    return Identified(named, packed)


def _content(start: bytes) -> str:
    for magic, name in _MAGIC:
        if start.startswith(magic) and (magic not in _MAY_BEGIN_TEXT or _NOT_TEXT.search(start, 0, TELLING_BYTES)):
            return name
    if start[128:].startswith(b"\x00\x01MI") or start[512:].startswith(b"\x89HDF\r\n\x1a\n"):
        return "MATLAB" if start.startswith(b"MATLAB") else "hdf5"
    if starts_with_record(start):
        return "tfrecord"
    if wide_encoding(start) is not None:
        return "csv"
    # a NUL further down is named by the reader
    if b"\0" in start[:TELLING_BYTES]:
        return "binary data"
    return _text(start)


def _as_lines(start: bytes, content: str, named: Format | None) -> str:
    """JSON and text held against the lines of JSON that they may be."""
    is_object = start.removeprefix(BOM_UTF8).lstrip()[:1] == b"{"
    if is_object and (named == "jsonl" or (named is None and content == "JSON")):
        return "jsonl"
    if named == "jsonl" and content == "JSON":
        return "one list instead of one object a line"
    if named == "jsonl" and wide_encoding(start) is not None:
        return "text in UTF-16, where UTF-8 is needed"
    return content


def _text(start: bytes) -> str:
    bare = start.removeprefix(BOM_UTF8).lstrip(b" \t\r\n")
    lower = bare[:20].lower()
    if lower.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "HTML or XML"
    if _JSON.match(bare):
        return "JSON"
    first = next((line for line in bare.splitlines() if not line.startswith(b"%")), b"")
    if first.lower().startswith(b"@relation"):
        return "ARFF"
    if first.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS instead of the file; fetch it with git lfs pull"
    return "SVMlight" if _SVMLIGHT.fullmatch(first) else "csv"


def _is_zlib_of_records(start: bytes) -> bool:
    if len(start) < 2 or start[0] != 0x78 or int.from_bytes(start[:2], "big") % 31:
        return False
    try:
        return starts_with_record(zlib.decompressobj().decompress(start, 64))
    except zlib.error:
        return False


def _first_member(start: bytes) -> bytes:
    """The name of the first file in a ZIP archive."""
    return start[30 : 30 + int.from_bytes(start[26:28], "little")]


def _by_content(content: str, path: Path, field: str) -> Format:
    # an NPY file alone has no labels
    if content in _NAMES and content != "npy":
        return cast(Format, content)
    raise _unsupported(content, path, field)


def _unsupported(content: str, path: Path, field: str) -> DataError:
    held = content if content.startswith("a ") else _NAMES.get(content, content)
    advice = f" {_ADVICE[content]}" if content in _ADVICE else ""
    return DataError(
        "data_format_unsupported",
        f"{path.name} holds {held}, which is not read here.{advice} Supported: {SUPPORTED}.",
        field=field,
        file=str(path),
    )
