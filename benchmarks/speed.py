"""How long an audit takes over its floor, and how much memory, as tables grow.

Usage: python -m benchmarks.speed [--rows 10000 100000 1000000 10000000] [--deepchecks] [--output docs/benchmarks.md]

The floor is what nobody can do without: reading both splits once (pyarrow, all columns) and one forward pass in
TensorFlow at the best batch size, one after the other. Both sides run in turn, in processes that have loaded TensorFlow
before; memory is that of the audit's process over what it had then, the model's own process aside. With --deepchecks,
its full suite with its own limits runs on the same rows and predictions, in an environment of its own.
"""

import argparse
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.auditing import in_fork
from benchmarks.document import rows_of, write_between

COLUMNS = 30
SHARE_TRAIN = 0.8
CHUNK_ROWS = 100_000
BATCHES = (1024, 4096, 16_384)
# The best batch size is that of the first so many rows.
TRIAL_ROWS = 100_000
# Beyond, deepchecks takes many minutes.
MOST_FOR_DEEPCHECKS = 100_000
FEATURES = [f"x{i:02d}" for i in range(COLUMNS)]


@dataclass(frozen=True)
class Line:
    """Seconds; memory in MiB over what the process had before."""

    rows: int
    reading: float
    forward: float
    audit: float
    memory: float
    deepchecks: float | None = None

    @property
    def floor(self) -> float:
        return self.reading + self.forward


def write_data(folder: Path, rows: int) -> None:
    """Both splits, as Parquet files with row groups of 100,000 rows; they are kept for the next run."""
    weights = np.random.default_rng(0).normal(size=COLUMNS) / np.sqrt(COLUMNS)
    rng = np.random.default_rng(rows)
    train = int(SHARE_TRAIN * rows)
    for name, count in (("train", train), ("validation", rows - train)):
        path = folder / f"{name}.parquet"
        if path.exists():
            continue
        schema = pa.schema([*((column, pa.float32()) for column in FEATURES), ("label", pa.int8())])
        with parquet.ParquetWriter(path.with_suffix(".part"), schema) as writer:
            for first in range(0, count, CHUNK_ROWS):
                n = min(count - first, CHUNK_ROWS)
                x = rng.normal(size=(n, COLUMNS)).astype(np.float32)
                label = (rng.random(n) < 1 / (1 + np.exp(-3 * (x @ weights)))).astype(np.int8)
                writer.write_table(pa.table([*(x[:, i] for i in range(COLUMNS)), label], schema=schema))
        path.with_suffix(".part").rename(path)


def write_model(folder: Path, data: Path) -> None:
    """An MLP of 64 and 32 units, trained on a part of the data."""
    import keras  # noqa: PLC0415 - in the child alone

    head = next(parquet.ParquetFile(data / "train.parquet").iter_batches(20_000)).to_pandas()
    features = keras.Input((COLUMNS,), name="features")
    hidden = keras.layers.Dense(32, activation="relu")(keras.layers.Dense(64, activation="relu")(features))
    model = keras.Model(features, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile("adam", "binary_crossentropy")
    model.fit(head[FEATURES].to_numpy(), head["label"].to_numpy(), epochs=5, batch_size=64, verbose=0)
    model.export(folder, verbose=False)


def _matrices(data: Path) -> Any:
    for name in ("train", "validation"):
        for batch in parquet.ParquetFile(data / f"{name}.parquet").iter_batches(CHUNK_ROWS):
            yield np.stack([column.to_numpy() for column in batch.columns[:-1]], axis=1)


def floor(data: Path, model: Path) -> tuple[float, float]:
    """Seconds of reading everything, and of one forward pass over everything."""
    import tensorflow as tf  # noqa: PLC0415 - in the child alone

    begun = time.monotonic()
    for _ in _matrices(data):
        pass
    reading = time.monotonic() - begun
    function = tf.saved_model.load(str(model)).signatures["serving_default"]
    name = next(iter(function.structured_input_signature[1]))

    def forward(x: np.ndarray[Any, Any], size: int) -> float:
        started = time.monotonic()
        for first in range(0, len(x), size):
            function(**{name: tf.constant(x[first : first + size])})
        return time.monotonic() - started

    some = next(_matrices(data))[:TRIAL_ROWS]
    forward(some, BATCHES[0])  # the first calls are slow
    best = min(BATCHES, key=lambda size: forward(some, size))
    return reading, sum(forward(x, best) for x in _matrices(data))


def audited(data: Path, model: Path) -> tuple[float, float]:
    """Seconds of an audit, and the most memory over what there was before, in MiB."""
    from audits.engine import audit  # noqa: PLC0415 - in the child alone
    from audits.sources import Roots  # noqa: PLC0415
    from schemas.request import AuditRequest  # noqa: PLC0415

    splits = {name: {"uri": str(data / f"{name}.parquet")} for name in ("train", "validation")}
    request = AuditRequest.model_validate({"model": {"uri": str(model)}, "data": {**splits, "label": "label"}})
    before, most, done = _resident(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.monotonic()
    report = audit(request, audit_id="speed", roots=Roots((data.parent,)))
    seconds = time.monotonic() - begun
    done.set()
    watcher.join()
    if report.verdict not in {"pass", "inconclusive", "warn"}:
        raise RuntimeError(f"the healthy model was told to {report.verdict}: {report.summary}")
    return seconds, most[0] - before


def _resident() -> float:
    """MiB of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def prepare_for_peer(data: Path, model: Path, target: Path) -> None:
    """What the adapters of `benchmarks.peers` read."""
    import json  # noqa: PLC0415 - in the child alone

    import tensorflow as tf  # noqa: PLC0415

    function = tf.saved_model.load(str(model)).signatures["serving_default"]
    name = next(iter(function.structured_input_signature[1]))
    target.mkdir(parents=True, exist_ok=True)
    said = {}
    for split in ("train", "validation"):
        frame = parquet.read_table(data / f"{split}.parquet").to_pandas()
        positive = next(iter(function(**{name: tf.constant(frame[FEATURES].to_numpy())}).values())).numpy()
        said[split] = np.hstack([1 - positive, positive])
        frame.assign(label=frame["label"].map({0: "0", 1: "1"})).to_parquet(target / f"{split}.parquet", index=False)
    np.savez(target / "predictions.npz", **said)  # type: ignore[arg-type]
    about = {"task": "binary", "classes": ["0", "1"], "roles": {}, "images": False}
    (target / "case.json").write_text(json.dumps(about), encoding="utf-8")


def deepchecks_seconds(data: Path, model: Path, state: Path) -> float | None:
    from benchmarks.peers.__main__ import run_peer  # noqa: PLC0415 - only where it is asked for

    cases = state / "deepchecks" / data.name
    in_fork(prepare_for_peer, data, model, cases / data.name)
    answer = run_peer("deepchecks", cases, state, Path(".cache/benchmarks/environments").absolute())
    told = answer.get(data.name, {})
    return None if told.get("error") or not told else float(told["seconds"])


def measure(sizes: list[int], state: Path, *, with_deepchecks: bool) -> list[Line]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from audits.models import import_tensorflow  # noqa: PLC0415 - before the forks, and after the environment is set

    import_tensorflow()
    lines = []
    for rows in sizes:
        data = state / f"{rows}"
        data.mkdir(parents=True, exist_ok=True)
        write_data(data, rows)
        model = state / "model"
        if not model.exists():
            in_fork(write_model, model, data)
        reading, forward = in_fork(floor, data, model)
        seconds, memory = in_fork(audited, data, model)
        peer = None
        if with_deepchecks and rows <= MOST_FOR_DEEPCHECKS:
            peer = deepchecks_seconds(data, model, state)
        lines.append(Line(rows, reading, forward, seconds, memory, peer))
        print(lines[-1], flush=True)
    return lines


def table(lines: list[Line]) -> str:
    header = ("rows", "reading, s", "forward pass, s", "audit, s", "audit / floor", "memory, MiB", "deepchecks, s")
    cells = [
        (
            f"{line.rows:,}",
            f"{line.reading:.2f}",
            f"{line.forward:.2f}",
            f"{line.audit:.1f}",
            f"{line.audit / line.floor:.1f}",
            f"{line.memory:.0f}",
            "-" if line.deepchecks is None else f"{line.deepchecks:.1f}",
        )
        for line in lines
    ]
    load = os.getloadavg()[0]
    return f"{COLUMNS} columns, {os.cpu_count()} cores; load average at the end {load:.1f}.\n\n{rows_of(header, cells)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--deepchecks", action="store_true")
    parser.add_argument("--state", type=Path, default=Path(".cache/benchmarks/speed"))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    content = table(measure(arguments.rows, arguments.state.absolute(), with_deepchecks=arguments.deepchecks))
    print(content)
    if arguments.output:
        write_between(arguments.output, "speed", content)


if __name__ == "__main__":
    main()
