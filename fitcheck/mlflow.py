"""MLflow: audit a registered model, and keep the report with its run.

audit = client.submit(model=fitcheck.mlflow.model_address("models:/churn/7"), train=..., validation=..., label="y")
fitcheck.mlflow.log_report(audit.wait())
"""

from typing import Any
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.artifacts import load_text
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from schemas.problem import RequestError
from schemas.report import Report
from service.formats.registry import FORMATS

FOLDER = "fitcheck"


def model_address(uri: str) -> str:
    """Where the model behind `models:/name/version`, `models:/name@alias` or `runs:/id/path` lies, for a request.

    The service reads that store itself; where it cannot (`mlflow-artifacts:`), download the model with
    `mlflow.artifacts.download_artifacts` and submit it with `upload=True`.

    Raises:
        RequestError: the model is none of TensorFlow's.
    """
    flavors = _model_file(uri).get("flavors", {})
    flavor = flavors.get("tensorflow") or flavors.get("keras")
    if flavor is None:
        raise RequestError(
            "model_flavor_unknown",
            f"{uri} was logged with {', '.join(flavors) or 'nothing'}: log it with mlflow.tensorflow.log_model.",
            field="model.uri",
        )
    return f"{_root(uri)}/{_inner_path(uri, flavor)}"


def _model_file(uri: str) -> dict[str, Any]:
    """What the MLmodel file says."""
    import yaml  # noqa: PLC0415 - MLflow brings it

    found: dict[str, Any] = yaml.safe_load(load_text(f"{uri.rstrip('/')}/MLmodel"))
    return found


def _root(uri: str) -> str:
    """The folder of the model: a store's address, or a path of this machine."""
    repository = get_artifact_repository(uri)
    while hasattr(repository, "repo"):  # models:/ and runs:/ stand before the store itself
        repository = repository.repo
    address = str(repository.artifact_uri).rstrip("/")
    parts = urlsplit(address)
    return unquote(parts.path) if parts.scheme == "file" else address


def _inner_path(uri: str, flavor: dict[str, Any]) -> str:
    """Where a flavor keeps the model; see `mlflow.tensorflow.save_model`."""
    if "saved_model_dir" in flavor:
        return str(flavor["saved_model_dir"])
    data = str(flavor.get("data", "data"))
    inner = [str(item.path) for item in get_artifact_repository(uri).list_artifacts(data)]
    models = [path for path in inner if path.rsplit("/", 1)[-1] in {"model", "model.keras", "model.h5"}]
    if not models:
        raise RequestError("model_not_found", f"{uri} holds no model below {data}.", field="model.uri")
    return models[0]


def log_report(report: Report, *, run_id: str | None = None) -> None:
    """Keep a report with a run: as a page and as JSON, with its metrics, and its verdict as a tag.

    Metrics are `fitcheck.<split>.<metric>`, `fitcheck.gap`, `fitcheck.unexplained` and `fitcheck.findings`.

    Args:
        report: of an audit.
        run_id: default the active run.

    Raises:
        RuntimeError: there is no active run.
    """
    run_id = run_id or _active_run()
    client = mlflow.MlflowClient()
    client.log_text(run_id, FORMATS["html"].text(report), f"{FOLDER}/report.html")
    client.log_text(run_id, report.model_dump_json(indent=2), f"{FOLDER}/report.json")
    for name, value in metrics_of(report).items():
        client.log_metric(run_id, name, value)
    tags = {
        "verdict": report.verdict,
        "audit_id": report.audit_id,
        "causes": ",".join(c.code for c in report.diagnosis),
    }
    for name, text in tags.items():
        client.set_tag(run_id, f"{FOLDER}.{name}", text)


def _active_run() -> str:
    run = mlflow.active_run()
    if run is None:
        raise RuntimeError("there is no active run: pass run_id, or call this within mlflow.start_run()")
    return str(run.info.run_id)


def metrics_of(report: Report) -> dict[str, float]:
    """The numbers of a report that are worth a curve over runs."""
    splits = {"train": report.metrics.train, "validation": report.metrics.validation}
    found: dict[str, float | None] = {
        f"{FOLDER}.{split}.{name}": value.estimate
        for split, metrics in splits.items()
        for name, value in metrics.values.items()
    }
    found[f"{FOLDER}.findings"] = float(len(report.findings))
    if report.gap is not None:
        found |= {f"{FOLDER}.gap": report.gap.gap, f"{FOLDER}.unexplained": report.gap.unexplained}
    return {name: value for name, value in found.items() if value is not None}
