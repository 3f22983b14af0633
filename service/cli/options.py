"""The options that commands share. Their defaults stand in the settings and the request, and are only named here."""

from pathlib import Path
from typing import Annotated, Literal

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

RequestFile = Annotated[
    Path | None, typer.Option("--request", help="A request as JSON, as POST /v1/audits takes it; options override it.")
]
Model = Annotated[str | None, typer.Option(help="Folder of the SavedModel.")]
Train = Annotated[list[str] | None, typer.Option(help="Training data: a file, a folder or a glob; repeatable.")]
Validation = Annotated[list[str] | None, typer.Option(help="Validation data, likewise.")]
Label = Annotated[str | None, typer.Option(help="Label column; required for tables.")]
Features = Annotated[
    str | None, typer.Option(show_default="all others", help="Feature columns in the model's order: a,b,c.")
]
Task = Annotated[
    Literal["auto", "binary", "multiclass", "regression"] | None,
    typer.Option(show_default="auto", help="What the model predicts."),
]
Signature = Annotated[str | None, typer.Option(show_default="serving_default", help="Signature to run.")]
History = Annotated[
    str | None,
    typer.Option(
        help="Training history: Keras' History.history as JSON, a CSVLogger file, or a TensorBoard log folder."
    ),
]
Reported = Annotated[
    list[str] | None, typer.Option(help="A metric that was reported: accuracy or accuracy=0.93; repeatable.")
]
Classes = Annotated[str | None, typer.Option(help="Labels in the order of the model's outputs: a,b,c.")]
Threshold = Annotated[float | None, typer.Option(show_default="0.5", help="Positive at or above this probability.")]
GateOption = Annotated[
    Literal["critical", "warning", "never"] | None,
    typer.Option("--fail-on", show_default="critical", help="Severity from which the exit code is 1."),
]
ReportGate = Annotated[
    Literal["critical", "warning", "never"], typer.Option("--fail-on", help="Severity from which the exit code is 1.")
]
Device = Annotated[
    Literal["auto", "cpu", "gpu"] | None, typer.Option(show_default="auto", help="Where the model runs.")
]
Tag = Annotated[list[str] | None, typer.Option(help="Free label key:value; repeatable.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Output = Annotated[Path | None, typer.Option(help="Write the report as JSON to this file too.")]
Html = Annotated[Path | None, typer.Option(help="Write the report as a page that is whole in this file.")]
Form = Annotated[
    Literal["text", "json", "html", "markdown", "junit", "sarif", "csv"],
    typer.Option("--format", help="What to print; --output writes it to the file instead."),
]
Url = Annotated[str, typer.Option(envvar="FITCHECK_URL", help="Address of the service.")]
Key = Annotated[str | None, typer.Option(envvar="FITCHECK_API_KEY", help="Access key; better set in the environment.")]
AuditId = Annotated[str, typer.Argument(metavar="ID", help="The audit's id.")]
