"""An audit whose splits are folded in parts, here or on a cluster, gives the report of one that reads them in order."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from audits.engine import audit
from audits.models import import_tensorflow
from audits.sources import Roots
from benchmarks.clusters import local_cluster
from schemas.problem import DataError
from schemas.report import Report
from schemas.request import AuditRequest

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "imbalanced"
# More than the sample holds, and several batches; row groups of another size.
ROWS, GROUP_ROWS = 100_000, 30_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of an example many times over, with noise; three training files in partitions, one for validation."""
    folder = tmp_path_factory.mktemp("rows")
    for name, rows, files in (("train", ROWS, 3), ("validation", ROWS // 2, 1)):
        frame = pd.read_csv(EXAMPLE / f"{name}.csv")
        rng = np.random.default_rng(rows)
        frame = frame.iloc[rng.integers(0, len(frame), rows)].reset_index(drop=True)
        features = frame.columns[:-1]
        frame[features] += rng.normal(scale=0.3, size=(rows, len(features)))
        for place in range(files):
            part = folder / name / f"day={place}"
            part.mkdir(parents=True)
            piece = frame.iloc[place * rows // files : (place + 1) * rows // files]
            table = pa.Table.from_pandas(piece, preserve_index=False)
            parquet.write_table(table, part / "part.parquet", row_group_size=GROUP_ROWS)
    return folder


def request_for(data: Path, engine: str = "local", **changes: Any) -> AuditRequest:
    splits = {name: {"uri": str(data / name)} for name in ("train", "validation")}
    return AuditRequest.model_validate(
        {
            "model": {"uri": str(EXAMPLE / "model")},
            "data": {**splits, "label": "label", "group": "day"},
            "checks": {"include": ["metrics.*", "preprocessing.duplicate_leakage", "preprocessing.group_leakage"]},
            "resources": {"engine": engine},
            **changes,
        }
    )


def audited(data: Path, request: AuditRequest, **how: Any) -> Report:
    return audit(request, audit_id="one", roots=Roots((data, EXAMPLE)), **how)


def told_by(report: Report) -> dict[str, Any]:
    """A report without what no two audits have in common."""
    content = report.model_dump()
    for check in content["checks"]:
        del check["seconds"]
    del content["environment"]  # how much memory there was
    return content


@pytest.fixture(scope="module")
def whole(data: Path) -> dict[str, Any]:
    import_tensorflow()
    return told_by(audited(data, request_for(data), parts=1))


def test_in_parts_on_this_machine(data: Path, whole: dict[str, Any]):
    assert whole["data"]["train"]["rows"] == ROWS
    assert whole["data"]["train"]["sampled"] < ROWS
    assert told_by(audited(data, request_for(data), parts=2)) == whole


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of two nodes on the loopback interface.

    FITCHECK_TEST_RAY names a cluster of this machine that is there already.
    """
    pytest.importorskip("ray")
    if "FITCHECK_TEST_RAY" in os.environ:
        yield os.environ["FITCHECK_TEST_RAY"]
        return
    with local_cluster(2) as address:
        yield address


# Ray forks, opens files and imports what it likes; its warnings are not ours to mend.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.ray
@pytest.mark.long
def test_on_a_ray_cluster(data: Path, whole: dict[str, Any], cluster: str):
    request = request_for(data, "ray")

    assert told_by(audited(data, request, ray_address=cluster)) == whole


@pytest.mark.filterwarnings("ignore")
@pytest.mark.ray
@pytest.mark.long
def test_a_problem_that_a_worker_finds_reaches_the_user(data: Path, cluster: str, tmp_path: Path):
    """The label of a row in the last file is missing: nobody here reads it."""
    for path in (data / "train").rglob("*.parquet"):
        frame = pd.read_parquet(path)
        if path.parent.name == "day=2":
            frame["label"] = frame["label"].astype(float)
            frame.loc[len(frame) - 1, "label"] = np.nan
        copy = tmp_path / path.relative_to(data)
        copy.parent.mkdir(parents=True)
        frame.to_parquet(copy, row_group_size=GROUP_ROWS)
    (tmp_path / "validation").symlink_to(data / "validation")

    with pytest.raises(DataError) as refusal:
        audit(
            request_for(tmp_path, "ray"),
            audit_id="one",
            roots=Roots((data, tmp_path, EXAMPLE)),
            ray_address=cluster,
        )

    assert refusal.value.code == "label_missing_values"
    assert refusal.value.row is not None
    assert str(refusal.value.file).endswith("day=2/part.parquet")
