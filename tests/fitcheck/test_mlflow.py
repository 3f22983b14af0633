"""MLflow, the real one, with a registry in a SQLite file."""

# ruff: noqa: PLC0415 - importing MLflow warns of its own; only its tests shall see that

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.cli.reports import whole_report

ROOT = Path(__file__).parents[2]

REGISTERING = """
import sys, keras, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.create_experiment("churn", artifact_location=sys.argv[2])
mlflow.set_experiment("churn")
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
with mlflow.start_run():
    mlflow.tensorflow.log_model(model, name="model", registered_model_name="churn", pip_requirements=[])
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def tracking(store: Path) -> str:
    return f"sqlite:///{store}/mlflow.db"


@pytest.fixture
def mlflow(tracking: str):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(tracking)
    return mlflow


@pytest.mark.long
@pytest.mark.tensorflow
@pytest.mark.filterwarnings("default")  # MLflow's own
def test_a_registered_model_is_found_where_its_file_lies(store: Path, tracking: str, mlflow):
    from fitcheck.mlflow import model_address

    command = [sys.executable, "-c", REGISTERING, tracking, str(store / "artifacts")]
    done = subprocess.run(command, cwd=store, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stderr[-3000:]

    address = Path(model_address("models:/churn/1"))

    assert address.is_file()
    assert address.name == "model.keras"
    assert store in address.parents


@pytest.mark.filterwarnings("default")  # MLflow's own
def test_the_report_is_kept_with_the_run(store: Path, mlflow):
    from fitcheck.mlflow import log_report

    mlflow.set_experiment(experiment_id=mlflow.create_experiment("reports", artifact_location=str(store / "reports")))
    with mlflow.start_run() as run:
        log_report(whole_report("fail"))

    kept = mlflow.get_run(run.info.run_id)
    folder = store / "reports" / run.info.run_id / "artifacts" / "fitcheck"
    assert kept.data.metrics["fitcheck.validation.balanced_accuracy"] == 0.5
    assert kept.data.metrics["fitcheck.gap"] == 0.48
    assert kept.data.tags["fitcheck.verdict"] == "fail"
    assert kept.data.tags["fitcheck.causes"] == "preprocessing.scaling_mismatch"
    assert json.loads((folder / "report.json").read_text())["verdict"] == "fail"
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


def test_without_a_run_it_says_so(mlflow):
    from fitcheck.mlflow import log_report

    with pytest.raises(RuntimeError, match="run_id"):
        log_report(whole_report())
