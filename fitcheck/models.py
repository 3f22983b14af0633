"""The types of what a client sends and gets: the request, the job, its events, the report."""

from schemas.catalogue import CatalogueEntry
from schemas.data import CsvOptions, Data, DataReference
from schemas.job import Job, JobEvent, Progress
from schemas.problem import FieldError, Problem
from schemas.report import Cause, Confirmation, Finding, Gap, Metrics, Outcome, Remedy, Report, Severity, Verdict
from schemas.request import (
    AuditRequest,
    Callback,
    Checks,
    Gate,
    History,
    ModelReference,
    Output,
    ReportedMetric,
    Resources,
)
from schemas.upload import Upload

__all__ = [
    "AuditRequest",
    "Callback",
    "CatalogueEntry",
    "Cause",
    "Checks",
    "Confirmation",
    "CsvOptions",
    "Data",
    "DataReference",
    "FieldError",
    "Finding",
    "Gap",
    "Gate",
    "History",
    "Job",
    "JobEvent",
    "Metrics",
    "ModelReference",
    "Outcome",
    "Output",
    "Problem",
    "Progress",
    "Remedy",
    "Report",
    "ReportedMetric",
    "Resources",
    "Severity",
    "Upload",
    "Verdict",
]
