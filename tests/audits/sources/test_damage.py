"""However a file is damaged, the answer is a problem that names it, or the data as they are."""

import contextlib
import gzip
import random
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from audits.sources import Roots, describe_model, open_splits
from schemas.data import Data
from schemas.problem import ModelError, ProblemError
from tests.audits.sources.test_table_formats import example, record

EXAMPLE = Path(__file__).parents[3] / "examples" / "wrong_scaling" / "model"
ROUNDS = 150
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".feather", ".jsonl", ".tfrecord", ".npz", ".h5")


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, a stretch cut out, doubled or the end lost."""
    content = bytearray(whole)
    at = rng.randrange(len(content))
    stretch = rng.randrange(1, 40)
    match rng.randrange(4):
        case 0:
            for _ in range(rng.randrange(1, 8)):
                content[rng.randrange(len(content))] = rng.randrange(256)
        case 1:
            del content[at : at + stretch]
        case 2:
            content[at:at] = content[at : at + stretch]
        case _:
            del content[at:]
    return bytes(content)


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """Sound files by suffix."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "n": rng.normal(size=30),
            "s": ["a", "b,c", None] * 10,
            "t": pd.date_range("2020", periods=30),
            "y": [0, 1, 1] * 10,
        }
    )
    table.to_csv(tmp_path / "x.csv", index=False)
    table.to_parquet(tmp_path / "x.parquet")
    table.to_feather(tmp_path / "x.feather")
    table.to_json(tmp_path / "x.jsonl", orient="records", lines=True, date_format="iso")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress((tmp_path / "x.csv").read_bytes()))
    examples = (example(n=float(n), s=b"a", v=[1.0, 2.0], y=y) for n, y in zip(table["n"], table["y"], strict=True))
    (tmp_path / "x.tfrecord").write_bytes(b"".join(map(record, examples)))
    np.savez_compressed(tmp_path / "x.npz", x=rng.normal(size=(30, 2)), y=np.arange(30))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=rng.normal(size=(30, 2)), compression="gzip")
        file["y"] = np.arange(30)
    return {suffix: (tmp_path / f"x{suffix}").read_bytes() for suffix in SUFFIXES}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_data(tmp_path: Path, whole: dict[str, bytes], suffix: str) -> None:
    rng = random.Random(suffix)
    (tmp_path / f"good{suffix}").write_bytes(whole[suffix])
    reference = {"train": {"uri": f"good{suffix}"}, "validation": {"uri": f"bad{suffix}"}}
    data = Data.model_validate(reference | ({} if suffix in {".npz", ".h5"} else {"label": "y"}))
    refusals = 0
    for _ in range(ROUNDS):
        (tmp_path / f"bad{suffix}").write_bytes(damaged(whole[suffix], rng))
        try:
            _, validation = open_splits(data, Roots((tmp_path,)))
            for batch in validation.batches():
                assert len(batch)
        except ProblemError:
            refusals += 1

    assert refusals > ROUNDS / 5


def test_models(tmp_path: Path) -> None:
    rng = random.Random(1)
    pb = (EXAMPLE / "saved_model.pb").read_bytes()
    (tmp_path / "variables").mkdir()
    for file in (EXAMPLE / "variables").iterdir():
        (tmp_path / "variables" / file.name).touch()
    for _ in range(ROUNDS):
        (tmp_path / "saved_model.pb").write_bytes(damaged(pb, rng))
        with contextlib.suppress(ModelError):
            describe_model(tmp_path)
