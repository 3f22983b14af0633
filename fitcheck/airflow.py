"""Airflow: an operator that submits an audit and, while it runs, occupies no worker.

FitcheckAuditOperator(task_id="audit", url="http://fitcheck:8000", fail_on="critical",
request={"model": {"uri": "s3://models/churn/7"}, "data": {...}})
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from airflow.exceptions import AirflowException
from airflow.triggers.base import BaseTrigger, TriggerEvent

try:
    from airflow.sdk import BaseOperator
except ImportError:  # Airflow 2
    from airflow.models import BaseOperator

from schemas.problem import ProblemError
from service.client.asynchronous import AsyncClient
from service.client.blocking import Client
from service.client.reports import FailOn


class AuditTrigger(BaseTrigger):  # type: ignore[misc]  # Airflow is no dependency of ours
    """Follows an audit in the triggerer until it has ended.

    The access key is no argument: triggers are stored in Airflow's database. Set FITCHECK_API_KEY for the triggerer.
    """

    def __init__(self, url: str, audit_id: str) -> None:
        super().__init__()
        self.url = url
        self.audit_id = audit_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "fitcheck.airflow.AuditTrigger", {"url": self.url, "audit_id": self.audit_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: the audit has ended, or cannot be followed."""
        try:
            async with AsyncClient(self.url) as client:
                await (await client.audit(self.audit_id)).wait()
        except ProblemError as error:
            yield TriggerEvent({"audit_id": self.audit_id, "error": str(error)})
        else:
            yield TriggerEvent({"audit_id": self.audit_id})


class FitcheckAuditOperator(BaseOperator):  # type: ignore[misc]  # Airflow is no dependency of ours
    """Audits a model; fails where the verdict breaks the gate. Gives the id of the audit to XCom.

    Args:
        url: address of the service; the access key comes from FITCHECK_API_KEY.
        request: as `POST /v1/audits` takes it; a template.
        fail_on: the severity from which the task fails.
    """

    template_fields: Sequence[str] = ("request", "url")

    def __init__(self, *, url: str, request: Mapping[str, Any], fail_on: FailOn = "critical", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.url = url
        self.request = request
        self.fail_on = fail_on

    def execute(self, context: Any) -> None:
        """Submit, and wait in the triggerer. Each try of the task is an audit of its own."""
        task = context["ti"]
        # Names may be longer than a key may be.
        names = f"{task.dag_id}/{task.task_id}/{task.run_id}/{task.map_index}/{task.try_number}"
        with Client(self.url) as client:
            audit = client.submit(self.request, idempotency_key=sha256(names.encode()).hexdigest())
        self.log.info("Audit %s: %s", audit.id, audit.page)
        self.defer(trigger=AuditTrigger(self.url, audit.id), method_name="finish")

    def finish(self, context: Any, event: Mapping[str, Any]) -> str:  # noqa: ARG002 - as Airflow calls it
        """Judge the report.

        Raises:
            AirflowException: there is none, or its verdict breaks the gate.
        """
        if "error" in event:
            raise AirflowException(f"Audit {event['audit_id']}: {event['error']}")
        with Client(self.url) as client:
            report = client.audit(event["audit_id"]).report()
        try:
            report.raise_for_gate(self.fail_on)
        except ProblemError as error:
            raise AirflowException(f"{error} See {report.page}") from None
        self.log.info("%s: %s", report.verdict, report.summary)
        return str(event["audit_id"])
