"""Hostile data: files that make their readers run code, look elsewhere, crash, hang or bloat."""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
from numpy.lib import format as npy_format
from pyarrow import feather, parquet

from audits.sources.example_messages import example_class
from audits.sources.records.framing import masked_crc
from tests.fuzz.seeds import framed, npy, zipped

MIB = 2**20
SECRET = "canary-in-a-file-8d1f"
ENVIRONMENT_SECRET = "canary-in-the-environment-5b7e"


@dataclass(frozen=True)
class Place:
    """Where the entries are made.

    Attributes:
        home: folder of one entry, below the data root.
        secret: file outside the data root that none may read; holds `SECRET`.
    """

    home: Path
    secret: Path

    def write(self, name: str, content: bytes) -> str:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def path(self, name: str) -> str:
        self.home.mkdir(parents=True, exist_ok=True)
        return str(self.home / name)


# What is made -> the address of the training data, or fields of the request by their dotted names.
Make = Callable[[Place], "str | Mapping[str, Any]"]


@dataclass(frozen=True)
class Entry:
    """A hostile file.

    Attributes:
        make: writes it.
        codes: of problems that the audit may end with.
        field: of the request that is blamed.
        label: that the request names; arrays have none.
    """

    make: Make
    codes: frozenset[str]
    field: str
    label: str | None


def entry(make: Make, *codes: str, field: str = "data.train.uri", label: str | None = "y") -> Entry:
    return Entry(make, frozenset(codes), field, label)


class _Runs:
    """Unpickled, it writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def ran(place: Place) -> str:
    return str(place.secret.parent / "ran")


def npy_header(shape: tuple[int, ...] | str, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    body = text.encode() + b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body


def pickled_arrays(place: Place) -> str:
    path = place.path("x.npz")
    with zipfile.ZipFile(path, "w") as archive:
        header = io.BytesIO()
        npy_format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (3,)})
        archive.writestr(
            "x.npy",
            b"\x93NUMPY\x01\x00" + header.getvalue()[8:] + pickle.dumps(_Runs(ran(place))),
        )
        archive.writestr("y.npy", npy(np.arange(3)))
    return path


def lying_npz(place: Place) -> str:
    return place.write(
        "x.npz", zipped({"x.npy": npy_header((2**40, 3)) + b"0" * 64, "y.npy": npy_header((2**40,)) + b"0" * 64})
    )


def lying_npy(place: Place) -> str:
    place.write("x.npy", npy_header((2**40, 3)) + b"0" * 64)
    return str(Path(place.write("y.npy", npy_header((2**40,)) + b"0" * 64)).parent)


def npy_many_dimensions(place: Place) -> str:
    place.write("x.npy", npy_header("(" + "1," * 200 + ")") + b"0" * 8)
    return str(Path(place.write("y.npy", npy_header((1,)) + b"0" * 8)).parent)


def npy_empty_of_any_shape(place: Place) -> str:
    place.write("x.npy", npy_header((0, 2**62, 2**62)))
    return str(Path(place.write("y.npy", npy_header((0,)))).parent)


def npz_many_members(place: Place) -> str:
    return place.write("x.npz", zipped({f"{k}.npy": b"" for k in range(30_000)}))


def npz_odd_names(place: Place) -> str:
    return place.write("x.npz", zipped({"../../x.npy": npy(np.arange(3)), "y.npy": npy(np.arange(3))}))


def npz_control_names(place: Place) -> str:
    return place.write("x.npz", zipped({"\x1b[31mx\n.npy": npy(np.arange(3)), "y.npy": npy(np.arange(3))}))


def csv_text(content: bytes) -> Make:
    return lambda place: place.write("x.csv", content)


def sparse_csv(place: Place) -> str:
    """A cell of 1 GB; the file takes no space."""
    path = Path(place.write("x.csv", b'a,y\n"'))
    with path.open("r+b") as file:
        file.truncate(2**30)
    return str(path)


def long_line(place: Place) -> str:
    return place.write("x.csv", b"a,y\n" + b"x" * 8 * MIB)


def lying_parquet(place: Place) -> str:
    out = io.BytesIO()
    parquet.write_table(pa.table({"a": range(1000), "y": [0, 1] * 500}), out, use_dictionary=False, compression="none")
    content = out.getvalue()
    at = content.rfind(b"\x16\xd0\x0f")  # num_rows 1000 as zigzag varint
    return place.write("x.parquet", content[:at] + b"\x16\xd0\x7d" + content[at + 3 :])


def parquet_footer_of_gigabytes(place: Place) -> str:
    return place.write("x.parquet", b"PAR1" + b"x" * 100 + struct.pack("<I", 2**32 - 1) + b"PAR1")


def arrow_rows_of_nothing(place: Place) -> str:
    """Rows without end: they take no space, and the file's numbers are changed."""
    out, n = io.BytesIO(), 123_457
    batch = pa.RecordBatch.from_arrays([pa.nulls(n), pa.nulls(n)], names=["a", "y"])
    with pa.ipc.new_file(out, batch.schema) as writer:
        writer.write_batch(batch)
    return place.write("x.arrow", out.getvalue().replace(struct.pack("<q", n), struct.pack("<q", 2**40)))


def arrow_runs_without_end(place: Place) -> str:
    path, n = place.path("x.arrow"), 2**31 - 1
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([n], pa.int32()), pa.array([1.0]))
    batch = pa.RecordBatch.from_arrays([runs, runs], names=["a", "y"])
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    return path


def lying_arrow(place: Place) -> str:
    out = io.BytesIO()
    feather.write_feather(pa.table({"a": np.arange(1000.0), "y": [0, 1] * 500}), out, compression="uncompressed")
    content = out.getvalue()
    return place.write("x.feather", content.replace(struct.pack("<q", 1000), struct.pack("<q", 2**50)))


def deep_json(depth: int) -> Make:
    return lambda place: place.write("x.jsonl", b'{"y":0,"a":' + b"[" * depth + b"]" * depth + b"}\n")


def deep_json_objects(place: Place) -> str:
    return place.write("x.jsonl", b'{"y":0,"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}\n")


def json_many_names(place: Place) -> str:
    return place.write("x.jsonl", (json.dumps({f"c{k}": k for k in range(60_000)}) + "\n").encode())


def json_new_names(place: Place) -> str:
    """Each line a column of its own."""
    return place.write("x.jsonl", b"".join(b'{"c%d":1,"y":0}\n' % k for k in range(40_000)))


def hdf5(fill: Callable[[h5py.File, Place], None]) -> Make:
    def make(place: Place) -> str:
        path = place.path("x.h5")
        with h5py.File(path, "w") as file:
            fill(file, place)
        return path

    return make


def hdf5_external_link(file: h5py.File, place: Place) -> None:
    other = place.home / "other.h5"
    with h5py.File(other, "w") as there:
        there["x"] = np.zeros((3, 2))
    file["x"] = h5py.ExternalLink(str(other), "x")
    file["y"] = np.arange(3)


def hdf5_external_storage(file: h5py.File, place: Place) -> None:
    file.create_dataset("x", (3, 2), dtype="u1", external=[(str(place.secret), 0, 6)])
    file["y"] = np.arange(3)


def hdf5_virtual(file: h5py.File, place: Place) -> None:
    other = place.home / "other.h5"
    with h5py.File(other, "w") as there:
        there["x"] = np.zeros((3, 2))
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[:] = h5py.VirtualSource(str(other), "x", (3, 2))
    file.create_virtual_dataset("x", layout)
    file["y"] = np.arange(3)


def hdf5_links_in_circles(file: h5py.File, place: Place) -> None:
    file["x"] = h5py.SoftLink("/y2")
    file["y2"] = h5py.SoftLink("/x")
    group = file.create_group("g")
    group["g"] = group
    file["y"] = np.arange(3)


def hdf5_references(file: h5py.File, place: Place) -> None:
    file["z"] = np.arange(3)
    file.create_dataset("x", data=[file["z"].ref] * 3, dtype=h5py.ref_dtype)
    file["y"] = np.arange(3)


def hdf5_promised_rows(file: h5py.File, place: Place) -> None:
    file.create_dataset("x", (2**40, 2), dtype="f8", chunks=(1024, 2))
    file.create_dataset("y", (2**40,), dtype="i4", chunks=(1024,))


def hdf5_pandas_pickle(file: h5py.File, place: Place) -> None:
    group = file.create_group("frame")
    group.attrs["pandas_type"] = np.bytes_("frame")
    payload = np.frombuffer(pickle.dumps(_Runs(ran(place))), np.uint8)
    text = group.create_dataset("axis0", (1,), dtype=h5py.vlen_dtype(np.uint8))
    text[0] = payload
    group.attrs["axis0_kind"] = "string"


def tfrecord_lying_length(place: Place) -> str:
    head = struct.pack("<Q", 2**40)
    return place.write("x.tfrecord", head + struct.pack("<I", masked_crc(head)) + b"x" * 60)


def tfrecord_wrong_checksum(place: Place) -> str:
    whole = bytearray(framed(example(a=1.0, y=0)) * 3)
    whole[-1] ^= 1
    return place.write("x.tfrecord", bytes(whole))


def example(**values: Any) -> bytes:
    made = example_class()()
    for name, value in values.items():
        feature = made.features.feature[name]
        (feature.float_list if isinstance(value, float) else feature.int64_list).value.append(value)
    return bytes(made.SerializeToString())


def svg() -> bytes:
    return b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text></svg>'


def pipe(place: Place) -> str:
    path = place.path("x.csv")
    os.mkfifo(path)
    return path


def link_outside(place: Place) -> str:
    path = place.path("x.csv")
    Path(path).symlink_to(place.secret)
    return path


def link_to_process(place: Place) -> str:
    path = place.path("x.csv")
    Path(path).symlink_to("/proc/self/environ")
    return path


def link_to_device(place: Place) -> str:
    path = place.path("x.csv")
    Path(path).symlink_to("/dev/zero")
    return path


def dataset_link(place: Place) -> str:
    folder = Path(place.path("dataset"))
    folder.mkdir()
    (folder / "dataset_spec.pb").write_bytes(b"")
    (folder / "snapshot.metadata").symlink_to(place.secret)
    return str(folder)


def glob_in_circles(place: Place) -> str:
    root = Path(place.path("loops"))
    root.mkdir()
    for name in "abc":
        (root / name).symlink_to(".")
    return f"{root}/**/*.csv"


def glob_of_many_stars(place: Place) -> str:
    path = Path(place.path("tree"))
    for k in range(20):
        path = path / f"d{k}"
    path.mkdir(parents=True)
    return str(place.home / "tree") + "/**" * 40 + "/nothing.csv"


def history(content: bytes, name: str = "history.json") -> Make:
    return lambda place: {"history.uri": place.write(name, content)}


def gzip_bomb(place: Place) -> str:
    """400 MiB in members of 1 MiB."""
    return place.write("x.csv.gz", gzip.compress(b"a,y\n") + gzip.compress(b"1,0\n" * (MIB // 4), 9) * 400)


HISTORY = "history.uri"
ENTRIES: dict[str, Entry] = {
    "pickle": entry(lambda p: p.write("x.csv", pickle.dumps(_Runs(ran(p)))), "data_format_mismatch"),
    "npz_pickle": entry(pickled_arrays, "data_pickle_forbidden", label=None),
    "npz_lying_shape": entry(lying_npz, "data_malformed", label=None),
    "npz_many_members": entry(npz_many_members, "data_malformed", label=None),
    "npz_traversal": entry(npz_odd_names, "data_malformed", label=None),
    "npz_control_names": entry(npz_control_names, "feature_missing", label=None),
    "npy_lying_shape": entry(lying_npy, "data_malformed", label=None),
    "npy_many_dimensions": entry(npy_many_dimensions, "data_malformed", label=None),
    "npy_empty_of_any_shape": entry(npy_empty_of_any_shape, "data_empty", label=None),
    "gzip_bomb": entry(gzip_bomb, "data_compression_ratio"),
    "csv_cell_1gb": entry(sparse_csv, "data_format_mismatch"),
    "csv_long_line": entry(long_line, "data_cell_too_large"),
    "csv_million_columns": entry(csv_text(b",".join([b"0"] * 1_000_000) + b"\n"), "data_too_many_columns"),
    "csv_nul": entry(csv_text(b"a,y\n" + b"1,0\n" * 300 + b"\0,0\n"), "data_malformed"),
    "csv_open_quote": entry(csv_text(b'a,y\n1,0\n"2,1\n' + b"3,0\n" * 100), "data_malformed"),
    "parquet_lying_rows": entry(lying_parquet, "data_malformed"),
    "parquet_footer_gb": entry(parquet_footer_of_gigabytes, "data_malformed", "data_format_mismatch"),
    "arrow_rows_of_nothing": entry(arrow_rows_of_nothing, "data_compression_ratio"),
    "arrow_runs_without_end": entry(arrow_runs_without_end, "data_compression_ratio"),
    "arrow_lying": entry(lying_arrow, "data_compression_ratio", "data_too_large"),
    "json_deep_lists": entry(deep_json(100_000), "data_malformed"),
    "json_deep_objects": entry(deep_json_objects, "data_malformed"),
    "json_many_names": entry(json_many_names, "data_too_many_columns"),
    "json_new_names": entry(json_new_names, "data_too_many_columns"),
    "hdf5_external_link": entry(hdf5(hdf5_external_link), "feature_missing", label=None),
    "hdf5_external_storage": entry(hdf5(hdf5_external_storage), "data_malformed", label=None),
    "hdf5_virtual": entry(hdf5(hdf5_virtual), "data_malformed", label=None),
    "hdf5_circles": entry(hdf5(hdf5_links_in_circles), "feature_missing", label=None),
    "hdf5_references": entry(hdf5(hdf5_references), "feature_missing", label=None),
    "hdf5_promised_rows": entry(hdf5(hdf5_promised_rows), "data_compression_ratio", label=None),
    "hdf5_pickle": entry(hdf5(hdf5_pandas_pickle), "data_pickle_forbidden"),
    "tfrecord_lying_length": entry(tfrecord_lying_length, "data_malformed"),
    "tfrecord_wrong_checksum": entry(tfrecord_wrong_checksum, "data_malformed"),
    "svg": entry(lambda p: p.write("x.svg", svg()), "data_format_unsupported"),
    "pipe": entry(pipe, "data_not_regular_file"),
    "link_outside": entry(link_outside, "uri_outside_roots"),
    "link_to_process": entry(link_to_process, "uri_outside_roots"),
    "link_to_device": entry(link_to_device, "uri_outside_roots"),
    "dataset_link": entry(dataset_link, "data_malformed"),
    "glob_in_circles": entry(glob_in_circles, "data_not_found"),
    "glob_of_many_stars": entry(glob_of_many_stars, "data_not_found"),
    "history_deep": entry(history(b'{"loss":' + b"[" * 200_000), "history_malformed", field=HISTORY, label="benign"),
    "history_large": entry(history(b'{"loss":1}\n' * 2_000_000), "history_malformed", field=HISTORY, label="benign"),
    "history_long_number": entry(
        history(b'{"loss":[' + b"9" * 4_000_000 + b"]}"), "history_malformed", field=HISTORY, label="benign"
    ),
}
