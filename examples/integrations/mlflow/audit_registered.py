"""Audits a registered model and keeps the report with its run.

python audit_registered.py models:/churn/7 train.csv validation.csv churned
"""

import sys

import mlflow

import fitcheck.mlflow
from fitcheck import Client

uri, train, validation, label = sys.argv[1:]
with Client() as client:
    audit = client.submit(
        model=fitcheck.mlflow.model_address(uri), train=train, validation=validation, label=label, tags={"mlflow": uri}
    )
    report = audit.wait(progress=True)
with mlflow.start_run(run_name=f"audit of {uri}"):
    fitcheck.mlflow.log_report(report)
report.raise_for_gate("critical")
