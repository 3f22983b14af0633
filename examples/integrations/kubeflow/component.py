"""A component for Kubeflow Pipelines, and a pipeline with it: `python component.py` writes `pipeline.yaml`."""

# ruff: noqa: PLC0415, PLR0917 - a component is sent as its source, with its imports in it; kfp wants plain arguments

import os

from kfp import compiler, dsl
from kfp.dsl import HTML, Metrics, Output

# What pip installs in the step: an index's package, or a git address.
PACKAGE = os.environ.get("FITCHECK_PACKAGE", "fitcheck")


@dsl.component(base_image="python:3.12-slim", packages_to_install=[PACKAGE])
def audit_model(
    model: str,
    train: str,
    validation: str,
    label: str,
    page: Output[HTML],
    metrics: Output[Metrics],
    url: str = "http://fitcheck:8000",
    fail_on: str = "critical",
) -> str:
    """Audits a model; fails where the verdict breaks the gate. Gives the verdict."""
    from pathlib import Path

    from fitcheck import Client

    with Client(url) as client:
        report = client.submit(model=model, train=train, validation=validation, label=label).wait()
    Path(page.path).write_text(report.render("html"), encoding="utf-8")
    for name, value in report.metrics.validation.values.items():
        if value.estimate is not None:
            metrics.log_metric(name, value.estimate)
    report.raise_for_gate(fail_on)
    return report.verdict


@dsl.pipeline(name="model-gate")
def model_gate(model: str, train: str, validation: str, label: str) -> None:
    """The gate alone; put it behind the component that trains."""
    audit_model(model=model, train=train, validation=validation, label=label)


if __name__ == "__main__":
    compiler.Compiler().compile(model_gate, "pipeline.yaml")
