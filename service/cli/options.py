"""The options that commands share. Their defaults stand in the settings and the request, and are only named here."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Host = Annotated[
    str | None,
    typer.Option(
        envvar="FITCHECK_HOST", show_default="127.0.0.1", help="Address to listen on; others than loopback need keys."
    ),
]
Port = Annotated[
    int | None, typer.Option(envvar="FITCHECK_PORT", min=0, max=65535, show_default="8000", help="0 takes a free one.")
]
DataRoot = Annotated[
    list[Path] | None,
    typer.Option(
        envvar="FITCHECK_DATA_ROOTS", show_default="here", help="Folder below which files may be read; repeatable."
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        envvar="FITCHECK_DATABASE",
        show_default="a file in the state folder",
        help="sqlite:///path or postgresql://user@host/name.",
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        envvar="FITCHECK_STATE_DIR", show_default="~/.local/state/fitcheck", help="Folder for the service's own files."
    ),
]
Slots = Annotated[
    int | None,
    typer.Option(envvar="FITCHECK_SLOTS", min=0, show_default="one a core", help="Audits at a time on the CPU."),
]
GpuSlots = Annotated[
    int | None, typer.Option(envvar="FITCHECK_GPU_SLOTS", min=0, show_default="1", help="Audits at a time on each GPU.")
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option(envvar="FITCHECK_LOG_LEVEL", show_default="info", help="The least that is logged."),
]
LogFormat = Annotated[
    Literal["auto", "console", "json"] | None,
    typer.Option(envvar="FITCHECK_LOG_FORMAT", show_default="auto", help="auto: lines on a terminal, JSON elsewhere."),
]

ModelPanel, DataPanel, AnswerPanel, CheckPanel, RunPanel = (
    "What the model is",
    "What the data are",
    "What the model answers",
    "What is checked",
    "How it runs",
)

RequestFile = Annotated[
    Path | None, typer.Option("--request", help="A request as JSON, as POST /v1/audits takes it; options override it.")
]
GateOption = Annotated[
    Literal["critical", "warning", "never"] | None,
    typer.Option(
        "--fail-on",
        show_default="critical",
        help="Severity from which the exit code is 1.",
        rich_help_panel=CheckPanel,
    ),
]
ReportGate = Annotated[
    Literal["critical", "warning", "never"], typer.Option("--fail-on", help="Severity from which the exit code is 1.")
]


def _option(*names: str, help: str, panel: str, default: str | None = None) -> Any:  # noqa: A002  # as in typer
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=default or False)


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """What the command line says of a request, an option for each field of it; None where it says nothing.

    Columns are named, or given as `pos:0` (the first) or `pos:-1` (the last), or as a pattern `re:^sensor_`.
    """

    request: RequestFile = None

    model: Annotated[str | None, _option(help="SavedModel, .keras, .h5 or an archive.", panel=ModelPanel)] = None
    signature: Annotated[
        str | None, _option(help="Signature or function to run.", panel=ModelPanel, default="serving_default")
    ] = None
    model_tags: Annotated[
        str | None, _option(help="Tags of the meta graph to load: a,b.", panel=ModelPanel, default="serve")
    ] = None

    train: Annotated[
        list[str] | None, _option(help="Training data: a file, a folder or a glob; repeatable.", panel=DataPanel)
    ] = None
    validation: Annotated[list[str] | None, _option(help="Validation data, likewise.", panel=DataPanel)] = None
    label: Annotated[
        list[str] | None,
        _option(help="Label column, required for tables; repeated for one-hot columns.", panel=DataPanel),
    ] = None
    features: Annotated[
        str | None,
        _option(
            help="Feature columns in the model's order: a,b,pos:3,re:^sensor_; quote names with commas.",
            panel=DataPanel,
            default="all others",
        ),
    ] = None
    exclude: Annotated[str | None, _option(help="Columns that are no features, likewise.", panel=DataPanel)] = None
    weight: Annotated[str | None, _option(help="Column of row weights.", panel=DataPanel)] = None
    id: Annotated[str | None, _option(help="Column that identifies a row.", panel=DataPanel)] = None
    group: Annotated[str | None, _option(help="Column of dependent rows: patient, user.", panel=DataPanel)] = None
    time: Annotated[str | None, _option(help="Column of time stamps.", panel=DataPanel)] = None
    train_labels: Annotated[
        list[str] | None,
        _option(
            "--train-label-uri",
            help="Training labels, where they lie in files of their own; repeatable.",
            panel=DataPanel,
        ),
    ] = None
    validation_labels: Annotated[
        list[str] | None, _option("--validation-label-uri", help="Validation labels, likewise.", panel=DataPanel)
    ] = None
    csv: Annotated[
        list[str] | None,
        _option(
            help="How CSV files are written: delimiter, header, encoding, decimal or trim, such as header=false, or "
            "train:header=false for one split; repeatable.",
            panel=DataPanel,
            default="found out",
        ),
    ] = None
    data_key: Annotated[
        list[str] | None,
        _option(
            help="HDF5: the group or table to read, or validation:table for one split; repeatable.", panel=DataPanel
        ),
    ] = None

    task: Annotated[
        Literal["auto", "binary", "multiclass", "regression"] | None,
        _option(help="What the model predicts.", panel=AnswerPanel, default="auto"),
    ] = None
    output_tensor: Annotated[
        str | None, _option(help="Output to judge, where there are several.", panel=AnswerPanel)
    ] = None
    output_index: Annotated[
        int | None, _option(help="Value to judge, where a row has several; from 0.", panel=AnswerPanel)
    ] = None
    output_step: Annotated[
        int | None, _option(help="Step to judge, where a row has several; -1 is the last.", panel=AnswerPanel)
    ] = None
    output_kind: Annotated[
        Literal["auto", "probability", "logit", "class", "value", "log_probability", "margin", "cumulative"] | None,
        _option(help="What the numbers of the output mean.", panel=AnswerPanel, default="auto"),
    ] = None
    classes: Annotated[
        str | None, _option(help="Labels in the order of the model's outputs: a,b,c.", panel=AnswerPanel)
    ] = None
    threshold: Annotated[
        float | None, _option(help="Positive at or above this probability.", panel=AnswerPanel, default="0.5")
    ] = None

    reported: Annotated[
        list[str] | None,
        _option(
            help="A metric that was reported: accuracy, accuracy=0.93 or train:accuracy=0.99; repeatable.",
            panel=CheckPanel,
        ),
    ] = None
    history: Annotated[
        str | None,
        _option(
            help="Training history: Keras' History.history as JSON, a CSVLogger file, or a TensorBoard log folder.",
            panel=CheckPanel,
        ),
    ] = None
    checks: Annotated[
        list[str] | None,
        _option("--check", help="Run this code or family (metrics.*) alone; repeatable.", panel=CheckPanel),
    ] = None
    skipped: Annotated[
        list[str] | None, _option("--skip-check", help="Never run this code or family; repeatable.", panel=CheckPanel)
    ] = None
    limits: Annotated[
        list[str] | None,
        _option(
            "--limit", help="Override a limit: check.limit=value, as in the catalogue; repeatable.", panel=CheckPanel
        ),
    ] = None
    fail_on: GateOption = None

    device: Annotated[
        Literal["auto", "cpu", "gpu"] | None,
        _option(help="Where the model runs.", panel=RunPanel, default="auto"),
    ] = None
    queue: Annotated[
        str | None, _option(help="Class of hardware, as the service's operator named it.", panel=RunPanel)
    ] = None
    engine: Annotated[
        Literal["local", "ray"] | None,
        _option(
            help="Where the rows are read and answered: on one machine or on a Ray cluster.",
            panel=RunPanel,
            default="local",
        ),
    ] = None
    timeout: Annotated[
        float | None, _option(help="Seconds after which the audit ends.", panel=RunPanel, default="3600")
    ] = None
    max_rows: Annotated[
        int | None, _option(help="Read at most so many rows of each split.", panel=RunPanel, default="all")
    ] = None

    priority: Annotated[int | None, _option(help="Higher runs earlier.", panel=RunPanel, default="0")] = None
    tags: Annotated[list[str] | None, _option("--tag", help="Free label key:value; repeatable.", panel=RunPanel)] = None
    callback: Annotated[str | None, _option(help="Address that is told when the audit ends.", panel=RunPanel)] = None


# Of no use to an audit that is not queued.
OF_A_QUEUE = frozenset({"queue", "priority", "tags", "callback"})


def with_request(*, queued: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose first argument is what was said of the request, with an option for each of its fields."""

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        said = [one for one in fields(AuditOptions) if queued or one.name not in OF_A_QUEUE]
        first, *own = inspect.signature(command).parameters.values()
        options = [
            inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=one.type)
            for one in said
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            asked = AuditOptions(**{one.name: given.pop(one.name) for one in said})
            command(**{first.name: asked}, **given)

        run.__signature__ = inspect.Signature([*options, *own])  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {one.name: one.annotation for one in [*options, *own]}
        return run

    return decorated


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Output = Annotated[Path | None, typer.Option(help="Write the report to this file: as JSON, or as --format says.")]
Html = Annotated[Path | None, typer.Option(help="Write the report as a page that is whole in this file.")]


def _rows_file(file: Path | None) -> Path | None:
    """Refused before the audit runs, not after it."""
    if file is not None and file.suffix.lower() not in {".csv", ".parquet"}:
        raise typer.BadParameter("name a file that ends in .csv or .parquet")
    return file


Rows = Annotated[
    Path | None,
    typer.Option(
        callback=_rows_file,
        help="Write the rows that findings name, with the reasons, to this .csv or .parquet file.",
    ),
]
Form = Annotated[
    Literal["text", "json", "html", "markdown", "model-card", "junit", "sarif", "csv", "parquet"],
    typer.Option("--format", help="What to print; --output writes it to the file instead."),
]
Url = Annotated[str, typer.Option(envvar="FITCHECK_URL", help="Address of the service.")]
Key = Annotated[str | None, typer.Option(envvar="FITCHECK_API_KEY", help="Access key; better set in the environment.")]
AuditId = Annotated[str, typer.Argument(metavar="ID", help="The audit's id.")]
