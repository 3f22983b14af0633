"""fitcheck for programs: submit audits to a service, follow them, and read their reports.

    from fitcheck import Client

    report = Client().submit(model="m", train="train.csv", validation="validation.csv", label="y").wait(progress=True)
    report.raise_for_gate("critical")

`AsyncClient` is the same for coroutines; `fitcheck.models` holds the types of requests, jobs and reports;
`fitcheck.keras`, `fitcheck.mlflow` and `fitcheck.airflow` need the library that they are named after.
"""

from schemas.problem import Problem, ProblemError
from service.client.asynchronous import AsyncAudit, AsyncClient
from service.client.blocking import Audit, Client
from service.client.calls import Patience
from service.client.errors import (
    AuditFailedError,
    GateError,
    InvalidRequestError,
    RefusedError,
    ServiceError,
    WaitTimeoutError,
)
from service.client.reports import AuditReport

__all__ = [
    "AsyncAudit",
    "AsyncClient",
    "Audit",
    "AuditFailedError",
    "AuditReport",
    "Client",
    "GateError",
    "InvalidRequestError",
    "Patience",
    "Problem",
    "ProblemError",
    "RefusedError",
    "ServiceError",
    "WaitTimeoutError",
]
