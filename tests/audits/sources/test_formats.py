"""A file is what its name says, or the problem says what it is."""

from pathlib import Path

import numpy as np
import pytest

from audits.sources.formats import identify
from schemas.problem import DataError


@pytest.mark.parametrize(
    ("name", "start", "format_"),
    [
        ("x.csv", b"a,b\n1,2\n", "csv"),
        ("x.CSV", b"a,b\n1,2\n", "csv"),
        ("x.tsv", b"a\tb\n", "csv"),
        ("x.txt", b"a b\n", "csv"),
        ("x.csv", b"", "csv"),
        ("x.csv", "\ufeffa\n".encode(), "csv"),
        ("x.csv", "a\n".encode("utf-16"), "csv"),
        ("x.csv", b"PAR1,PAR2,y\n1,2,0\n", "csv"),
        ("x.csv", b"ORCID,age,y\n1,2,0\n", "csv"),
        ("x.csv", b"FEA1,FEA2,y\n1,2,0\n", "csv"),
        ("x.csv", b"RDX3;y\r\n1;0\r\n", "csv"),
        ("x.csv", b"$FL2\ty\n1\t0\n", "csv"),
        ("x.csv", b"ARROW1,y\n1,0\n", "csv"),
        ("x.csv", b"BZh9,y\n1,0\n", "csv"),
        ("upload", b"ORCID,y\n1,0\n", "csv"),
        ("x.csv", b"[Date],[Sales]\n1,2\n", "csv"),
        ("x.csv", b"[temp],[n]\n1,2\n", "csv"),
        ("x.csv", b"{id},y\n1,0\n", "csv"),
        ("x.jsonl", b"{'a': 1}\n", "jsonl"),
        ("x.jsonl", b'{ "a": 1}\n', "jsonl"),
        ("upload", b'{"a": 1}\n', "jsonl"),
        ("x.parquet", b"PAR1\x15\x04....", "parquet"),
        ("x.pq", b"PAR1\x15\x04....", "parquet"),
        ("x.npz", b"PK\x03\x04...", "npz"),
        ("x.npy", b"\x93NUMPY...", "npy"),
        ("part-0001", b"PAR1\x15\x04....", "parquet"),
        ("upload.bin", b"PK\x03\x04" + bytes(22) + b"\x05\x00\x00\x00x.npy", "npz"),
        ("upload", b"a,b\n", "csv"),
    ],
)
def test_names_and_contents_that_agree(tmp_path: Path, name: str, start: bytes, format_: str) -> None:
    (tmp_path / name).write_bytes(start)

    assert identify(tmp_path / name, field="f").format == format_


@pytest.mark.parametrize(
    ("name", "start", "held"),
    [
        ("x.csv", b"PAR1\x15\x04....", "Parquet"),
        ("x.csv", b"PK\x03\x04", "ZIP"),
        ("x.csv", b"a,b\n\0\0", "binary"),
        ("x.csv", b'{"a": 1}', "JSON"),
        ("x.csv", b'[\n {"a": 1}\n]', "JSON"),
        ("x.json", b'[{"a": 1}]', "one list instead of one object a line"),
        ("x.jsonl", '{"a": 1}'.encode("utf-16"), "UTF-16"),
        ("x.csv", b"<!DOCTYPE html>", "HTML"),
        ("x.csv", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("x.parquet", b"a,b\n1,2\n", "text"),
        ("x.npz", b"\x93NUMPY", "NumPy array"),
        ("x.npz", b"\x80\x04\x95...", "pickle"),
        ("x.npy", b"PK\x03\x04", "ZIP"),
    ],
)
def test_names_that_lie(tmp_path: Path, name: str, start: bytes, held: str) -> None:
    (tmp_path / name).write_bytes(start)
    with pytest.raises(DataError, match=held) as caught:
        identify(tmp_path / name, field="data.train.uri")

    assert caught.value.code == "data_format_mismatch"
    assert f"{name} has the suffix {Path(name).suffix}, but its content is " in caught.value.detail
    assert caught.value.file == str(tmp_path / name)
    assert caught.value.field == "data.train.uri"


@pytest.mark.parametrize(
    "start",
    [
        b"\x93NUMPY",
        b"%PDF-1.7",
        b"[1]",
        b"\x80\x04\x95",
        b"SQLite format 3\0",
        b"ORC\n\x03....",
        b"MATLAB 5.0 MAT-file",
        b"@relation x",
    ],
)
def test_what_is_not_read_says_what_is(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "x.dat").write_bytes(start)
    with pytest.raises(DataError, match=r"Supported: CSV .*Parquet.*npz") as caught:
        identify(tmp_path / "x.dat", field="f")

    assert caught.value.code == "data_format_unsupported"


def test_a_folder_of_arrays_is_known_by_its_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))

    assert identify(tmp_path / "x.npy", field="f").format == "npy"


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        identify(tmp_path, field="f")

    assert caught.value.code == "data_unreadable"
