"""The report as a section of a model card: metadata as Hugging Face's `model-index` has them, then Markdown.

https://github.com/huggingface/hub-docs/blob/main/modelcard.md and https://huggingface.co/docs/hub/model-cards-annotated
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import yaml
from pydantic import JsonValue

from schemas.report import Finding, Outcome, Report, Severity
from service.formats.markdown import escaped, metrics_table
from service.formats.numbers import count
from service.formats.words import answer, check_name, metric, proof_numbers, proof_word

# Ours -> the identifier of the same metric on huggingface.co/metrics; what is not there keeps its name.
HUB_METRICS: Mapping[str, str] = {
    "mcc": "matthews_correlation",
    "macro_f1": "f1",
    "brier": "brier_score",
    "r2": "r_squared",
}
# What tells two metrics of one identifier apart, as the metric's own library names it.
HUB_ARGUMENTS: Mapping[str, dict[str, str]] = {"macro_f1": {"average": "macro"}}
KINDS = {"image": "image", "table": "tabular", "vector": "tabular"}
# What is neither a number that others publish nor comparable between models.
OURS_ALONE = {"answered", "bias"}
MAX_NAMED_CHECKS = 40
_NO_IDENTIFIER = re.compile(r"[^\w.-]+", re.ASCII)


def model_card(report: Report) -> str:
    """The card's front matter and its section "Evaluation, known problems"."""
    head = yaml.safe_dump(_metadata(report), sort_keys=False, allow_unicode=True, width=120)
    body = "\n".join(_lines(report)).rstrip()
    return f"---\n{head}---\n\n{body}\n"


def _metadata(report: Report) -> dict[str, JsonValue]:
    results: list[JsonValue] = []
    metrics: list[JsonValue] = [
        _metric(name, value.estimate)
        for name, value in report.metrics.validation.values.items()
        if value.estimate is not None and name not in OURS_ALONE
    ]
    if metrics:
        results.append({"task": _task(report), "dataset": _dataset(report), "metrics": metrics})
    return {"tags": ["fitcheck"], "model-index": [{"name": _name(report), "results": results}]}


def _metric(name: str, value: float) -> JsonValue:
    told: dict[str, JsonValue] = {"type": HUB_METRICS.get(name, name), "value": value, "name": metric(name)}
    if name in HUB_ARGUMENTS:
        told["args"] = dict(HUB_ARGUMENTS[name])
    return told


def _task(report: Report) -> JsonValue:
    """A task of huggingface.co/tasks where there is one for data of this layout."""
    output = report.model.get("output")
    task = output.get("task") if isinstance(output, dict) else None
    kind = KINDS.get(str(report.data.get("layout")))
    what = "regression" if task == "regression" else "classification"
    if kind is None or (kind == "image" and what == "regression"):
        return {"type": "other", "name": what.capitalize()}
    return {"type": f"{kind}-{what}", "name": f"{kind.capitalize()} {what}"}


def _dataset(report: Report) -> JsonValue:
    file = _validation_file(report)
    name = PurePosixPath(file).name if file else "validation data"
    identifier = _NO_IDENTIFIER.sub("-", PurePosixPath(name).stem).strip("-")
    return {"type": identifier or "validation", "name": name, "split": "validation"}


def _validation_file(report: Report) -> str:
    section = report.data.get("validation")
    files = section.get("files") if isinstance(section, dict) else None
    return str(files[0]) if isinstance(files, list) and files else ""


def _name(report: Report) -> str:
    """What the model's address ends with; a version alone would name nothing."""
    parts = PurePosixPath(urlsplit(str(report.model.get("uri") or "")).path).parts
    if not parts:
        return "model"
    last = PurePosixPath(parts[-1]).stem
    return f"{parts[-2]}/{last}" if last.isdecimal() and len(parts) > 1 else last


def _lines(report: Report) -> Iterator[str]:
    yield "## Evaluation"
    yield ""
    yield f"Verdict of an audit: **{report.verdict}**. {escaped(' '.join(answer(report)).rstrip())}"
    yield ""
    yield from metrics_table(report)
    yield "In brackets: 95 % intervals."
    yield ""
    yield "## Known problems"
    yield ""
    yield from _problems(report)
    yield from _unknown(report)
    version = str(report.environment.get("fitcheck", ""))
    yield f"<sub>{escaped(f'fitcheck {version}'.strip())}, audit {escaped(report.audit_id)}</sub>"


def _problems(report: Report) -> Iterator[str]:
    loud = [finding for finding in report.findings if finding.severity is not Severity.INFO]
    passed = _passed(report)
    if not loud:
        yield f"None found; {passed}."
        yield ""
        return
    for finding in loud:
        yield from _problem(finding, report)
    yield ""
    yield f"{passed}."
    yield ""


def _passed(report: Report) -> str:
    passed = sum(check.outcome is Outcome.PASS for check in report.checks)
    return f"{count(passed)} check{'' if passed == 1 else 's'} passed"


def _problem(finding: Finding, report: Report) -> Iterator[str]:
    yield f"- **{escaped(finding.title)}** ({finding.severity.value}, `{finding.code}`). {escaped(finding.summary)}"
    proof = next((cause.confirmation for cause in report.diagnosis if cause.code == finding.code), None)
    if proof is not None and proof.confirmed:
        numbers = ", ".join(f"{escaped(name)} {value}" for name, value in proof_numbers(proof))
        yield f"  {proof_word(proof).capitalize()}: {escaped(proof.intervention)}{f' ({numbers})' if numbers else ''}."
    yield f"  Remedy: {escaped(finding.remedy.text)}"


def _unknown(report: Report) -> Iterator[str]:
    """What nobody may take for sound."""
    unknown = [check for check in report.checks if check.outcome in {Outcome.INCONCLUSIVE, Outcome.ERROR}]
    if unknown:
        names = ", ".join(check_name(check.code).lower() for check in unknown[:MAX_NAMED_CHECKS])
        more = len(unknown) - MAX_NAMED_CHECKS
        names += f" and {more} more" if more > 0 else ""
        yield f"Not known, because the data or the audit did not suffice: {names}."
        yield ""
