"""Trains nothing: audits last night's model, and lets the next task run only where the verdict is below critical."""

from datetime import datetime

from airflow.sdk import DAG

from fitcheck.airflow import FitcheckAuditOperator

with DAG("model_gate", start_date=datetime(2026, 1, 1), schedule="0 4 * * *", catchup=False) as dag:
    FitcheckAuditOperator(
        task_id="audit",
        url="{{ var.value.fitcheck_url }}",
        request={
            "model": {"uri": "s3://models/churn/{{ ds_nodash }}"},
            "data": {
                "train": {"uri": "s3://data/churn/train/*.parquet"},
                "validation": {"uri": "s3://data/churn/validation.parquet"},
                "label": "churned",
            },
            "tags": {"dag_run": "{{ run_id }}"},
        },
        fail_on="critical",
    )
