"""Problems in the words of the command line: its commands for calls of the API, its options for fields of a request."""

from schemas.problem import Problem

# What the API tells a program to do -> what does it here.
COMMANDS = {
    "GET /v1/audits": "`fitcheck list`",
    "GET /v1/catalogue": "`fitcheck catalogue`",
    "The job's `error` says why": "`fitcheck status ID` says why",
}
OPTIONS = {
    "model.uri": "--model",
    "model.signature": "--signature",
    "model.tags": "--model-tags",
    "data.train.uri": "--train",
    "data.validation.uri": "--validation",
    "data.train.label_uri": "--train-label-uri",
    "data.validation.label_uri": "--validation-label-uri",
    "data.train.csv": "--csv",
    "data.validation.csv": "--csv",
    "data.train.key": "--data-key",
    "data.validation.key": "--data-key",
    "data.label": "--label",
    "data.features": "--features",
    "data.exclude": "--exclude",
    "data.weight": "--weight",
    "data.id": "--id",
    "data.group": "--group",
    "data.time": "--time",
    "task": "--task",
    "output.tensor": "--output-tensor",
    "output.index": "--output-index",
    "output.step": "--output-step",
    "output.kind": "--output-kind",
    "output.classes": "--classes",
    "output.threshold": "--threshold",
    "reported_metrics": "--reported",
    "history.uri": "--history",
    "checks.include": "--check",
    "checks.exclude": "--skip-check",
    "checks.limits": "--limit",
    "gate.fail_on": "--fail-on",
    "resources.device": "--device",
    "resources.queue": "--queue",
    "resources.engine": "--engine",
    "resources.timeout_seconds": "--timeout",
    "resources.max_rows": "--max-rows",
    "priority": "--priority",
    "tags": "--tag",
    "callback.url": "--callback",
}


def in_words_of_the_command_line(problem: Problem) -> Problem:
    """The problem, with what a person at a terminal would type; a field keeps its name and gains its option."""
    detail = problem.detail
    for call, command in COMMANDS.items():
        detail = detail.replace(call, command)
    errors = problem.errors and [one.model_copy(update={"field": _with_option(one.field)}) for one in problem.errors]
    field = problem.field and _with_option(problem.field)
    return problem.model_copy(update={"detail": detail, "errors": errors, "field": field})


def _with_option(field: str) -> str:
    option = next((said for name, said in OPTIONS.items() if field == name or field.startswith(f"{name}.")), None)
    return field if option is None else f"{field} ({option})"
