"""Small sound files of every kind that is read, for a fuzzer to change. Their names say how they are read."""

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image
from pyarrow import feather, parquet

from audits.sources.example_messages import example_class
from audits.sources.graph.messages import saved_model_class
from audits.sources.records.framing import masked_crc

ROOT = Path(__file__).parents[2]
ROWS = 12


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "n": rng.normal(size=ROWS),
            "i": np.arange(ROWS),
            "s": ["a", "b,c", None] * (ROWS // 3),
            "t": pd.date_range("2020", periods=ROWS),
            "y": [0, 1, 1] * (ROWS // 3),
        }
    )


def framed(body: bytes) -> bytes:
    """One record of a TFRecord file."""
    head = struct.pack("<Q", len(body))
    return head + struct.pack("<I", masked_crc(head)) + body + struct.pack("<I", masked_crc(body))


def npy(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def saved_model() -> list[bytes]:
    """Real models, and what is left of them without the fields that we pass over and functions that nothing calls."""
    models = sorted((ROOT / "examples").glob("**/saved_model.pb"), key=lambda path: path.stat().st_size)
    whole = [path.read_bytes() for path in (models[0], models[-1])]
    return [*map(_small, whole), whole[0]]


def _small(content: bytes) -> bytes:
    message = saved_model_class().FromString(content)
    message.DiscardUnknownFields()
    for graph in message.meta_graphs:
        functions = graph.graph.library.functions
        needed, waiting = set(), [graph.graph]
        while waiting:
            called = {a.function.name for node in waiting.pop().nodes for a in node.attributes.values()} - {""} - needed
            needed |= called
            waiting += [function for function in functions if function.signature.name in called]
        kept = [function for function in functions if function.signature.name in needed]
        del functions[:]
        functions.extend(kept)
    return bytes(message.SerializeToString())


def csv() -> list[bytes]:
    frame = table()
    plain = frame.to_csv(index=False)
    quoted = frame.to_csv(index=False, quoting=1, sep=";", decimal=",")
    blanks = "# note\n a   b  y\n" + "".join(f"{n:.3f}   {n * 2:.3f}   {k % 2}\n" for k, n in enumerate(frame["n"]))
    return [
        plain.encode(),
        quoted.encode("utf-16"),
        blanks.encode(),
        ("\ufeff" + plain.replace(",", "\t")).encode(),
        gzip.compress(plain.encode()),
        b'"a","y"\n"1,234.5","0"\n"(2)","1"\n"7%","0"\n',
    ]


def parquet_() -> list[bytes]:
    arrow = pa.Table.from_pandas(table())
    lists = pa.table(
        {"v": [[1.0, 2.0]] * ROWS, "w": [[1], [], None] * 4, "b": [b"x", None, b"y"] * 4, "y": [0, 1] * 6},
    )
    dictionary = pa.table({"d": pa.array(["a", "b", "c"] * 4).dictionary_encode(), "y": [0, 1] * 6})
    found = []
    for one, options in (
        (arrow, {"compression": "none"}),
        (arrow, {}),
        (lists, {}),
        (dictionary, {"row_group_size": 5}),
    ):
        out = io.BytesIO()
        parquet.write_table(one, out, **options)
        found.append(out.getvalue())
    return found


def arrow() -> list[bytes]:
    typed = pa.Table.from_pandas(table())
    lists = pa.table(
        {
            "v": [[1.0, 2.0]] * ROWS,
            "d": pa.array(["a", "b", "c"] * 4).dictionary_encode(),
            "r": pa.RunEndEncodedArray.from_arrays([4, ROWS], [1.0, 2.0]),
            "y": [0, 1] * 6,
        }
    )
    found = []
    for one in (typed, lists):
        for compression in ("uncompressed", "lz4"):
            out = io.BytesIO()
            feather.write_feather(one, out, compression=compression)
            found.append(out.getvalue())
        out = io.BytesIO()
        with pa.ipc.new_stream(out, one.schema) as writer:
            writer.write_table(one)
        found.append(out.getvalue())
    return found


def json_lines() -> list[bytes]:
    plain = table().to_json(orient="records", lines=True, date_format="iso").encode()
    nested = b"".join(b'{"v":[1,2],"o":{"a":[{"b":null}]},"y":%d}\n' % (k % 2) for k in range(ROWS))
    return [plain, nested, gzip.compress(plain)]


def arrays() -> list[bytes]:
    """NPZ archives; and NPY files, which the target packs."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, 2)), np.arange(ROWS) % 2
    return [
        zipped({"x.npy": npy(x), "y.npy": npy(y)}),
        zipped({"x.npy": npy(np.asfortranarray(x)), "y.npy": npy(y.astype("U3"))}, zipfile.ZIP_DEFLATED),
        *map(npy, (x, np.asfortranarray(x), x.astype(">f4"), y.astype("S3"), y.astype(bool))),
    ]


def tfrecord() -> list[bytes]:
    """Files; and messages, which the target frames."""
    found = []
    messages = []
    for k in range(ROWS):
        example = example_class()()
        example.features.feature["n"].float_list.value.append(k / 2)
        example.features.feature["v"].int64_list.value.extend([k, k + 1])
        example.features.feature["s"].bytes_list.value.append(b"a")
        example.features.feature["y"].int64_list.value.append(k % 2)
        messages.append(example.SerializeToString())
    whole = b"".join(map(framed, messages))
    found += [whole, gzip.compress(whole), zlib.compress(whole)]
    return found + messages[:2]


def hdf5() -> list[bytes]:
    found = []
    rng = np.random.default_rng(0)
    for options in (
        {},
        {"chunks": True, "compression": "gzip", "shuffle": True},
        {"chunks": (4, 2), "compression": "lzf"},
    ):
        out = io.BytesIO()
        with h5py.File(out, "w") as file:
            file.create_dataset("x", data=rng.normal(size=(ROWS, 2)), **options)
            file.create_dataset("y", data=np.arange(ROWS) % 2)
            file.create_dataset("s", data=["a", "bc"] * (ROWS // 2), dtype=h5py.string_dtype())
        found.append(out.getvalue())
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        rows = np.zeros(ROWS, dtype=[("n", "<f8"), ("s", "S3"), ("y", "<i4")])
        file.create_dataset("table", data=rows)
    found.append(out.getvalue())
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        group = file.create_group("frame")
        group.attrs["pandas_type"] = np.bytes_("frame")
        group["axis0"] = np.array([b"n", b"y"])
        group["block0_items"] = np.array([b"n", b"y"])
        group["block0_values"] = rng.normal(size=(ROWS, 2))
    return [*found, out.getvalue()]


def images() -> list[bytes]:
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 5, 3), dtype=np.uint8))
    found = []
    for image, format_ in (
        *((pixels, format_) for format_ in ("PNG", "JPEG", "BMP", "GIF", "WEBP")),
        (pixels.convert("P"), "PNG"),
        (pixels.convert("LA"), "PNG"),
        (pixels.convert("1"), "BMP"),
        (pixels.convert("CMYK"), "JPEG"),
    ):
        out = io.BytesIO()
        image.save(out, format_)
        found.append(out.getvalue())
    out = io.BytesIO()
    pixels.save(out, "JPEG", progressive=True)
    return [*found, out.getvalue()]


def archives() -> list[bytes]:
    import tarfile  # noqa: PLC0415 - nowhere else

    config = {"class_name": "Sequential", "module": "keras", "config": {"name": "s", "layers": []}}
    keras = {
        "config.json": json.dumps(config).encode(),
        "metadata.json": b"{}",
        "model.weights.h5": b"\x89HDF\r\n\x1a\n",
    }
    model = {"m/saved_model.pb": b"\x08\x01", "m/variables/variables.index": b"x"}
    found = [zipped(keras), zipped(model), zipped(model, zipfile.ZIP_DEFLATED)]
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode) as archive:
            for name, content in model.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        found.append(out.getvalue())
    return found


def histories() -> list[bytes]:
    """Texts; and TensorBoard's files, told by their first bytes."""
    losses = [1.0, 0.5, 0.25]
    events = ROOT / "tests" / "audits" / "sources" / "histories" / "keras_log"
    logs = [path.read_bytes() for path in sorted(events.rglob("*tfevents*")) if path.stat().st_size < 2**16]
    return [
        json.dumps({"loss": losses, "val_loss": losses}).encode(),
        b"".join(json.dumps({"epoch": k, "loss": loss}).encode() + b"\n" for k, loss in enumerate(losses)),
        b"epoch,loss,val_loss\n0,1.0,2.0\n1,0.5,nan\n2,0.25,0.5\n",
        *logs[:2],
    ]


def saved_dataset() -> list[bytes]:
    """Shards of a saved dataset whose other files are as they were."""
    folder = ROOT / "tests" / "audits" / "sources" / "saved_datasets" / "xy"
    return [path.read_bytes() for path in sorted(folder.rglob("*.snapshot"))[:2]]


SEEDS = {
    "saved_model": saved_model,
    "csv": csv,
    "parquet": parquet_,
    "feather": arrow,
    "jsonl": json_lines,
    "numpy": arrays,
    "tfrecord": tfrecord,
    "hdf5": hdf5,
    "images": images,
    "archives": archives,
    "histories": histories,
    "saved_dataset": saved_dataset,
}
