"""Files that are made to exhaust a reader are refused early: each is read in a process whose memory is limited."""

import gzip
import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
from numpy.lib import format as npy_format
from pyarrow import parquet

from audits.sources.records.framing import masked_crc

MIB = 2**20
# Beyond what the imports take.
MEMORY_BYTES = 600 * MIB
CPU_SECONDS = 10

# Prints the problem's code and row, what the memory has grown to, and how long it took, of the processor's time.
READER = """
import json, resource, sys, time
from pathlib import Path
from audits.sources import Roots, open_splits
from schemas.data import Data
from schemas.problem import ProblemError
data, memory, cpu = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
begun = time.process_time()
held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (held + 4 * memory, held + 4 * memory))
code, row, detail, rows = None, None, "", 0
try:
    train, _ = open_splits(Data.model_validate(data), Roots((Path(sys.argv[4]),)))
    rows = sum(len(batch) for batch in train.batches())
except ProblemError as problem:
    code, row, detail = problem.code, problem.row, problem.detail
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
print(json.dumps({"code": code, "row": row, "detail": detail, "rows": rows, "grown": grown,
                  "seconds": time.process_time() - begun}))
"""

Read = Callable[..., dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a file of the test's folder as both splits; fails where that takes too much memory or time."""

    def run(name: str, **data: object) -> dict[str, Any]:
        uri = {"uri": str(tmp_path / name)}
        command = [sys.executable, "-c", READER, json.dumps({"train": uri, "validation": uri} | data)]
        limits = [str(MEMORY_BYTES), str(CPU_SECONDS), str(tmp_path)]
        done = subprocess.run([*command, *limits], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["grown"] < MEMORY_BYTES
        assert found["seconds"] < CPU_SECONDS
        return found

    return run


def gzip_of(path: Path, head: bytes, block: bytes, blocks: int) -> None:
    """Write `head`, and `block` so many times."""
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(head)
        for _ in range(blocks):
            file.write(block)


@pytest.fixture(scope="module")
def two_members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Packed data that are sound, and 2 GiB of rows in about 2 MB, each as a member of a gzip file."""
    folder = tmp_path_factory.mktemp("gzip")
    rng = np.random.default_rng(0)
    sound = "".join(f"{value},0\n" for value in rng.normal(size=100_000)).encode()
    gzip_of(folder / "bomb.gz", b"", b"1,0\n" * (16 * MIB // 4), 128)
    return {"sound": gzip.compress(b"a,y\n" + sound), "bomb": (folder / "bomb.gz").read_bytes()}


class TestPacked:
    def test_a_bomb_is_refused_before_its_rows_are_read(self, tmp_path: Path, read: Read, two_members) -> None:
        (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"a,y\n") + two_members["bomb"])
        found = read("x.csv.gz", label="y")

        assert found["code"] == "data_compression_ratio"
        assert found["seconds"] < 3

    def test_a_bomb_behind_sound_data(self, tmp_path: Path, read: Read, two_members) -> None:
        (tmp_path / "x.csv.gz").write_bytes(two_members["sound"] + two_members["bomb"])

        assert read("x.csv.gz", label="y")["code"] == "data_compression_ratio"

    def test_a_bomb_of_one_cell(self, tmp_path: Path, read: Read) -> None:
        gzip_of(tmp_path / "x.csv.gz", b"a,y\n1,0\n", b"x" * 16 * MIB, 64)

        assert read("x.csv.gz", label="y")["code"] == "data_compression_ratio"


class TestCsv:
    @pytest.mark.parametrize("first", ["names", "numbers", "nothing"])
    def test_a_million_columns(self, tmp_path: Path, read: Read, first: str) -> None:
        n = 1_000_000
        head = {
            "names": ",".join(f"c{place}" for place in range(n)),
            "numbers": ",".join(["0"] * n),
            "nothing": "," * n,
        }
        (tmp_path / "x.csv").write_text(f"{head[first]}\n{','.join(['0'] * n)}\n")
        found = read("x.csv", label="c0")

        assert found["code"] == "data_too_many_columns"
        assert found["seconds"] < 3

    @pytest.mark.parametrize("place", ["header", "first row", "later"])
    def test_a_cell_of_64_mib(self, tmp_path: Path, read: Read, place: str) -> None:
        cell, rows = b'"' + b"x" * 64 * MIB + b'"', b"1,0\n" * 1000
        parts = {
            "header": cell + b",y\n" + rows,
            "first row": b"a,y\n" + cell + b",0\n" + rows,
            "later": b"a,y\n" + rows + cell + b",0\n" + rows,
        }
        (tmp_path / "x.csv").write_bytes(parts[place])

        assert read("x.csv", label="y")["code"] == "data_cell_too_large"

    @pytest.mark.parametrize(("cell", "code"), [("nan", "label_missing_values"), ("1e999", "label_missing_values")])
    def test_labels_that_say_nothing_are_named_with_their_row(self, tmp_path: Path, read: Read, cell: str, code: str):
        (tmp_path / "x.csv").write_text("a,y\n" + "1,0\n" * 300_000 + f"1,{cell}\n" + "1,1\n")
        found = read("x.csv", label="y")

        assert (found["code"], found["row"]) == (code, 300_000)

    def test_text_among_labels_is_named_with_its_row(self, tmp_path: Path, read: Read):
        (tmp_path / "x.csv").write_text("a,y\n" + "1,0\n" * 300_000 + "1,abc\n" + "1,1\n")
        found = read("x.csv", label="y")

        assert (found["code"], found["row"]) == ("text_in_numeric_column", 300_000)


def npy_header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    out = io.BytesIO()
    npy_format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue()


def npz(path: Path, members: dict[str, tuple[bytes, int]]) -> None:
    """Write arrays of zeros behind the headers given."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (header, n_bytes) in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(header)
                for first in range(0, n_bytes, 16 * MIB):
                    member.write(bytes(min(16 * MIB, n_bytes - first)))


class TestNumpy:
    def test_a_bomb(self, tmp_path: Path, read: Read) -> None:
        npz(tmp_path / "x.npz", {"x": (npy_header((2**24, 8)), 2**30), "y": (npy_header((2**24,), "|i1"), 2**24)})

        assert read("x.npz")["code"] == "data_compression_ratio"

    def test_a_shape_that_lies(self, tmp_path: Path, read: Read) -> None:
        npz(tmp_path / "x.npz", {"x": (npy_header((10**9, 1000)), 800), "y": (npy_header((10**9,)), 800)})

        assert read("x.npz")["code"] == "data_malformed"

    def test_more_dimensions_than_numpy_has(self, tmp_path: Path, read: Read) -> None:
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "x.npy").write_bytes(npy_header((1,) * 100) + bytes(8))
        (tmp_path / "x" / "y.npy").write_bytes(npy_header((1,)) + bytes(8))

        assert read("x")["code"] == "data_malformed"

    def test_a_directory_of_many_members(self, tmp_path: Path, read: Read) -> None:
        """It is not read: it would take many times its size."""
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            for place in range(20_000):
                archive.writestr(f"{place}.npy", b"")
        found = read("x.npz")

        assert found["code"] == "data_malformed"
        assert found["grown"] < 10 * MIB

    @pytest.mark.parametrize("shape", [(10**15, 0), (10**15, 3, 0)])
    def test_rows_without_values(self, tmp_path: Path, read: Read, shape: tuple[int, ...]) -> None:
        npz(tmp_path / "x.npz", {"x": (npy_header(shape), 0), "y": (npy_header((10**15,), "<U0"), 0)})

        assert read("x.npz")["code"] == "data_malformed"

    def test_members_that_overlap(self, tmp_path: Path, read: Read) -> None:
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as archive:
            archive.writestr("y.npy", npy_header((100,)) + bytes(800))
        entry = inner.getvalue().partition(b"PK\1\2")[0]
        header = npy_header((len(entry),), "|u1")
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("x.npy", header + entry)
            (info,) = zipfile.ZipFile(inner).infolist()
            info.header_offset = archive.filelist[0].header_offset + 30 + len("x.npy") + len(header)
            archive.filelist.append(info)
        found = read("x.npz")

        assert found["code"] == "data_malformed"
        assert "overlap" in found["detail"]

    def test_hdf5_rows_without_values(self, tmp_path: Path, read: Read) -> None:
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("x", shape=(10**12, 0), dtype="f4")
            file["y"] = np.zeros(10)

        assert read("x.h5")["code"] == "data_compression_ratio"


class TestParquet:
    def test_many_rows_in_a_small_file_are_streamed(self, tmp_path: Path, read: Read) -> None:
        rows = 4_000_000
        table = pa.table({"a": np.zeros(rows), "y": np.zeros(rows, np.int64)})
        with parquet.ParquetWriter(tmp_path / "x.parquet", table.schema, compression="zstd") as file:
            for _ in range(10):
                file.write_table(table, row_group_size=rows)
        assert (tmp_path / "x.parquet").stat().st_size < MIB

        assert read("x.parquet", label="y")["rows"] == 10 * rows

    def test_a_bomb_in_one_page(self, tmp_path: Path, read: Read) -> None:
        rows = 40_000_000
        table = pa.table({"a": np.zeros(rows), "y": np.zeros(rows, np.int8)})
        parquet.write_table(
            table,
            tmp_path / "x.parquet",
            compression="zstd",
            use_dictionary=False,
            row_group_size=rows,
            data_page_size=2**30,
            max_rows_per_page=rows,
        )

        assert read("x.parquet", label="y")["code"] == "data_compression_ratio"

    def test_a_text_of_512_mib(self, tmp_path: Path, read: Read) -> None:
        table = pa.table({"a": ["x" * 512 * MIB, "y"], "y": [0, 1]})
        parquet.write_table(table, tmp_path / "x.parquet", compression="zstd", use_dictionary=False)

        assert read("x.parquet", label="y")["code"] == "data_compression_ratio"


@pytest.mark.parametrize("length", [200 * MIB, 2**40, 2**63 + 5])
def test_a_record_that_is_shorter_than_it_says(tmp_path: Path, read: Read, length: int) -> None:
    size = struct.pack("<Q", length)
    (tmp_path / "x.tfrecord").write_bytes(size + struct.pack("<I", masked_crc(size)) + b"x" * 64)

    assert read("x.tfrecord", label="y")["code"] == "data_malformed"


class TestJsonLines:
    @pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}"), ('["\\\\",[', "]]")])
    @pytest.mark.parametrize("at", [0, 200_000])
    def test_values_that_are_nested_deeply(self, tmp_path: Path, read: Read, at: int, begin: str, end: str) -> None:
        """Arrow calls itself for each level."""
        deep = f'{{"a":{begin * 100_000}1{end * 100_000},"y":0}}\n'
        (tmp_path / "x.jsonl").write_text('{"a":1,"y":0}\n' * at + deep)
        found = read("x.jsonl", label="y")

        assert found["code"] == "data_malformed"
        assert "nested" in found["detail"]

    def test_brackets_in_texts_are_no_levels(self, tmp_path: Path, read: Read) -> None:
        (tmp_path / "x.jsonl").write_text('{"a":"' + '[{\\"' * 1000 + '","y":0}\n' + '{"a":"\\\\","y":1}\n')

        assert read("x.jsonl", label="y")["rows"] == 2

    def test_new_names_in_every_line(self, tmp_path: Path, read: Read) -> None:
        (tmp_path / "x.jsonl").write_text("".join(f'{{"c{k}":1,"y":0}}\n' for k in range(40_000)))

        assert read("x.jsonl", label="y")["code"] == "data_too_many_columns"


class TestArrow:
    def test_rows_that_take_no_space(self, tmp_path: Path, read: Read) -> None:
        n = 123_457
        out = io.BytesIO()
        batch = pa.RecordBatch.from_arrays([pa.nulls(n), pa.nulls(n)], names=["a", "y"])
        with pa.ipc.new_file(out, batch.schema) as writer:
            writer.write_batch(batch)
        (tmp_path / "x.arrow").write_bytes(out.getvalue().replace(struct.pack("<q", n), struct.pack("<q", 2**40)))

        assert read("x.arrow", label="y")["code"] == "data_compression_ratio"

    @pytest.mark.parametrize("of", ["dictionary", "runs"])
    @pytest.mark.parametrize("suffix", ["feather", "parquet"])
    def test_a_long_text_that_all_rows_share(self, tmp_path: Path, read: Read, of: str, suffix: str) -> None:
        n, text = 16_384, pa.array(["x" * MIB])
        if of == "runs" and suffix == "parquet":
            pytest.skip("Parquet knows no runs")
        shared = (
            pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), text)
            if of == "dictionary"
            else pa.RunEndEncodedArray.from_arrays(pa.array([n], pa.int32()), text)
        )
        batch = pa.RecordBatch.from_arrays([shared, pa.array(np.zeros(n, np.int8))], names=["a", "y"])
        if suffix == "parquet":
            table = pa.Table.from_batches([batch])
            parquet.write_table(table, tmp_path / "x.parquet", compression="zstd", write_statistics=False)
        else:
            with pa.ipc.new_file(tmp_path / "x.feather", batch.schema) as writer:
                writer.write_batch(batch)
        found = read(f"x.{suffix}", label="y")

        assert found["code"] == "data_too_large"
        assert "'a'" in found["detail"]


def test_an_example_of_a_million_features(tmp_path: Path, read: Read) -> None:
    """Empty ones, of 16 bytes each."""

    def field(number: int, content: bytes) -> bytes:
        size, head = len(content), bytes([number << 3 | 2])
        while size > 127:
            head, size = head + bytes([size & 127 | 128]), size >> 7
        return head + bytes([size]) + content

    body = b"".join(field(1, field(1, b"%07d" % place) + field(2, b"")) for place in range(1_000_000))
    message = field(1, body)
    size = struct.pack("<Q", len(message))
    whole = size + struct.pack("<I", masked_crc(size)) + message + struct.pack("<I", masked_crc(message))
    (tmp_path / "x.tfrecord").write_bytes(whole)

    assert read("x.tfrecord", label="y")["code"] == "data_too_many_columns"
