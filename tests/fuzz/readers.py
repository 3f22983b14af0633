"""What a fuzzer calls: one file's bytes, put where a request would name them, and read to the end."""

import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from audits import preflight
from audits.sources import Roots, look_at_model, open_splits, read_history
from audits.sources.model.archives import unpack
from schemas.data import Data
from schemas.problem import ProblemError
from schemas.request import AuditRequest
from tests.fuzz.seeds import ROOT, framed, images, npy, zipped

SUFFIX = {"csv": ".csv", "parquet": ".parquet", "feather": ".feather", "jsonl": ".jsonl", "hdf5": ".h5"}
GZIP = b"\x1f\x8b"


class Place:
    """A folder in memory that stands for a data root."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.roots = Roots((self.folder,))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def read(self, name: str, **data: object) -> None:
        """Both splits of a file, to the end."""
        reference = {"uri": str(self.folder / name)}
        for label in data.pop("labels", ["y"]):
            request = Data.model_validate({"train": reference, "validation": reference, "label": label, **data})
            with allowed():
                train, _ = open_splits(request, self.roots)
                train.describe()
                for _ in train.batches():
                    pass


@contextmanager
def allowed() -> Iterator[None]:
    """The project's own errors, which must be fit to be shown."""
    caught: ProblemError | None = None
    try:
        yield
    except ProblemError as problem:
        caught = problem
    assert caught is None or len(caught.detail) < 5_000, "a sentence that is a file"


def _table(kind: str) -> Callable[[Place, bytes], None]:
    def read(place: Place, content: bytes) -> None:
        packed = ".gz" if content.startswith(GZIP) else ""
        name = f"x{SUFFIX[kind]}{packed}"
        place.write(name, content)
        place.read(name)

    return read


def _saved_model(place: Place, content: bytes) -> None:
    folder = place.folder / "model"
    if not folder.exists():
        (folder / "variables").mkdir(parents=True)
        (folder / "variables" / "variables.index").touch()
        (folder / "variables" / "variables.data-00000-of-00001").touch()
        columns = [f"c{place}" for place in range(30)]
        rows = [",".join([str(place)] * 31) for place in (0, 1)] * 3
        place.write("model.csv", "\n".join([",".join([*columns, "y"]), *rows, ""]).encode())
    (folder / "saved_model.pb").write_bytes(content)
    table = {"uri": str(place.folder / "model.csv")}
    request = AuditRequest.model_validate(
        {"model": {"uri": str(folder)}, "data": {"train": table, "validation": table, "label": "y"}}
    )
    with allowed():
        preflight.check(request, place.roots)


def _numpy(place: Place, content: bytes) -> None:
    if content.startswith(b"\x93NUMPY"):
        rows = _rows_of(content)
        place.write("x.npz", zipped({"x.npy": content, "y.npy": npy(np.arange(rows) % 2)}))
        place.write("arrays/x.npy", content)
        place.write("arrays/y.npy", npy(np.arange(rows) % 2))
        place.read("arrays", labels=[None])
    else:
        place.write("x.npz", content)
    place.read("x.npz", labels=[None])


def _rows_of(content: bytes) -> int:
    """As the header says it, so that the arrays go together."""
    try:
        said = content[10 : 10 + struct.unpack("<H", content[8:10])[0]].split(b"'shape': (", 1)[1]
        return min(10_000, max(0, int(said.split(b",", 1)[0])))
    except (IndexError, ValueError, struct.error):
        return 12


def _tfrecord(place: Place, content: bytes) -> None:
    is_message = content[:1] == b"\n"
    name = "x.tfrecord.gz" if content.startswith(GZIP) else "x.tfrecord"
    place.write(name, framed(content) * 3 if is_message else content)
    place.read(name)


def _hdf5(place: Place, content: bytes) -> None:
    place.write("x.h5", content)
    place.read("x.h5", labels=[None, "y"])


def _images(place: Place, content: bytes) -> None:
    if not (place.folder / "images").exists():
        for name in ("a", "b"):
            place.write(f"images/{name}/0.png", images()[0])
    if content.startswith(b"\x89PNG"):
        content = _checked(content)
    place.write("images/a/1.png", content)
    place.read("images", labels=[None])


def _checked(content: bytes) -> bytes:
    """A PNG file with the checksums that its chunks should have, or decoders see nothing of what was changed."""
    out, at = bytearray(content[:8]), 8
    while at + 8 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        body = content[at + 4 : at + 8 + length]
        out += content[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(out)


def _archives(place: Place, content: bytes) -> None:
    path = place.write("model.archive", content)
    with allowed():
        look_at_model(path, signature=None, tags=None)
    target = place.folder / "unpacked"
    target.mkdir()
    try:
        with allowed():
            unpack(path, target)
        home = target.resolve()
        for place_, folders, files in os.walk(target):
            for name in (*folders, *files):
                found = Path(place_, name)
                assert not found.is_symlink(), "a link was unpacked"
                assert found.resolve().is_relative_to(home), "a file was unpacked elsewhere"
    finally:
        shutil.rmtree(target)


def _histories(place: Place, content: bytes) -> None:
    is_text = content[:1] in b"{[e\xef" or content[8:12] == b""
    path = place.write("history.json" if is_text else "events.out.tfevents.1", content)
    with allowed():
        read_history(path)


def _saved_dataset(place: Place, content: bytes) -> None:
    folder = place.folder / "dataset"
    if not folder.exists():
        shutil.copytree(ROOT / "tests" / "audits" / "sources" / "saved_datasets" / "xy", folder)
    next(folder.rglob("*.snapshot")).write_bytes(content)
    place.read("dataset", labels=[None])


READERS: dict[str, Callable[[Place, bytes], None]] = {
    "saved_model": _saved_model,
    "csv": _table("csv"),
    "parquet": _table("parquet"),
    "feather": _table("feather"),
    "jsonl": _table("jsonl"),
    "numpy": _numpy,
    "tfrecord": _tfrecord,
    "hdf5": _hdf5,
    "images": _images,
    "archives": _archives,
    "histories": _histories,
    "saved_dataset": _saved_dataset,
}
