"""Every kind of model with every kind of data, through a running service: the same task, the same answer."""

import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from scripts.demo import running_service
from tests.audits.kind_frames import frame

LIMIT_SECONDS = 240


def semicolons(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, sep=";", decimal=",", index=False)


def without_header(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, header=False, index=False)


def packed_lines(rows: pd.DataFrame, path: Path) -> None:
    with gzip.open(path, "wt") as file:
        rows.to_json(file, orient="records", lines=True)


def zstandard(rows: pd.DataFrame, path: Path) -> None:
    with pa.output_stream(path, compression="zstd") as file:
        file.write(rows.to_csv(index=False).encode())


def partitioned(rows: pd.DataFrame, path: Path) -> None:
    for c, part in rows.groupby("c"):
        (path / f"c={c}").mkdir(parents=True)
        part.drop(columns="c").to_parquet(path / f"c={c}" / "part-0.parquet", index=False)


def arrays(rows: pd.DataFrame, path: Path) -> None:
    np.savez(path, x=rows[["a", "b", "c"]].to_numpy(), y=rows["y"].to_numpy())


TABLES: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".csv": lambda rows, path: rows.to_csv(path, index=False),
    ".csv.gz": lambda rows, path: rows.to_csv(path, index=False),
    ".csv.zst": zstandard,
    ".tsv": lambda rows, path: rows.to_csv(path, sep="\t", index=False),
    ".semicolons.csv": semicolons,
    ".parquet": lambda rows, path: rows.to_parquet(path, index=False),
    ".feather": lambda rows, path: rows.to_feather(path),
    ".jsonl": lambda rows, path: rows.to_json(path, orient="records", lines=True),
    ".jsonl.gz": packed_lines,
    ".h5": lambda rows, path: rows.to_hdf(path, key="rows", format="table", data_columns=True),
    "_parts": partitioned,
}
OTHERS = {".npz": arrays, ".bare.csv": without_header}
# Each with every table; those that Keras must load first, and archives, with a few.
FED_BY_TABLES = ("export", "session", "estimator", "parser", "ranks", "sparse", "fixed_batch")
PACKED = ("whole.keras", "whole.h5", "versions.zip", "folder.tgz")
FED_BY_ARRAYS = ("export", "session", "fixed_batch")
PAIRS = [
    *((model, data) for model in FED_BY_TABLES for data in (*TABLES, ".tfrecord")),
    *((model, data) for model in PACKED for data in (".csv.gz", ".parquet", ".npz")),
    *((model, ".npz") for model in FED_BY_ARRAYS),
    *((model, ".bare.csv") for model in FED_BY_ARRAYS),
]


@pytest.fixture(scope="module")
def root(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data, beside the models."""
    folder = tmp_path_factory.mktemp("kinds")
    assert folder.is_relative_to(saved_models.parent)
    for split in ("train", "validation"):
        for ending, write in {**TABLES, **OTHERS}.items():
            write(frame(split), folder / f"{split}{ending}")
    return folder


@pytest.fixture(scope="module")
def service(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    state = tmp_path_factory.mktemp("state")
    roots = saved_models.parent
    with running_service(state, state / "log", roots) as address, httpx.Client(base_url=address) as client:
        yield client


@pytest.fixture(scope="module")
def jobs(service: httpx.Client, saved_models: Path, root: Path) -> dict[tuple[str, str], str]:
    """All audits, submitted at once: pair -> id."""
    found = {}
    for model, data in PAIRS:
        folder = saved_models / "every_kind" if data == ".tfrecord" else root
        body = {
            "model": {"uri": str(saved_models / "every_kind" / model)},
            "data": {split: {"uri": str(folder / f"{split}{data}")} for split in ("train", "validation")},
            "checks": {"include": ["metrics.weak_model"]},
        }
        if data != ".npz":
            body["data"]["label"] = -1 if data == ".bare.csv" else "y"
        answer = service.post("/v1/audits", json=body)
        assert answer.status_code == 202, (model, data, answer.text)
        found[model, data] = answer.json()["id"]
    return found


@pytest.mark.parametrize(("model", "data"), PAIRS, ids=lambda part: part)
def test_the_model_is_right_about_the_data(service: httpx.Client, jobs: dict, model: str, data: str):
    deadline = time.monotonic() + LIMIT_SECONDS
    job = service.get(f"/v1/audits/{jobs[model, data]}").json()
    while job["status"] in {"queued", "running"} and time.monotonic() < deadline:
        time.sleep(0.05)
        job = service.get(f"/v1/audits/{jobs[model, data]}").json()

    assert job["status"] == "succeeded", job["error"]
    report = service.get(f"/v1/audits/{jobs[model, data]}/report").json()
    assert report["data"]["validation"]["rows"] == 250
    assert report["metrics"]["validation"]["values"]["accuracy"]["estimate"] > 0.95
