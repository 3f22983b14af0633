"""The command line. What a command needs is imported when it runs, so that `--help` answers at once."""

# ruff: noqa: PLC0415 - see above

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli.keys import keys
from service.cli.options import (
    AsJson,
    AuditId,
    AuditOptions,
    Database,
    DataRoot,
    Form,
    GpuSlots,
    Host,
    Html,
    Key,
    LogFormat,
    LogLevel,
    Output,
    Port,
    ReportGate,
    Rows,
    Slots,
    StateDir,
    Url,
    with_request,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pydantic import BaseModel
    from rich.console import Console

    from schemas.report import Report
    from service.cli.client import Client
    from service.client.reports import FailOn
    from service.settings import Settings

app = typer.Typer(
    name="fitcheck",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(keys, name="keys", rich_help_panel="Service")
db = typer.Typer(name="db", no_args_is_help=True, help="Look after the database of the service.")
app.add_typer(db, rich_help_panel="Service")

SERVICE = "Service"
REMOTE = "Client of a service"
LOCAL = "Without a service"

LOCALHOST = "http://127.0.0.1:8000"


def main() -> None:
    """The console script."""
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fitcheck {version('fitcheck')}")
        raise typer.Exit


@app.callback()
def _options(
    version_: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Finds out why a trained TensorFlow model performs poorly.

    Exit codes of audit and submit --wait: 0 the verdict stays below --fail-on, 1 it does not, 2 the command or its
    input is at fault, 3 there is no report.
    """


@app.command(rich_help_panel=SERVICE)
def serve(
    *,
    host: Host = None,
    port: Port = None,
    data_root: DataRoot = None,
    database: Database = None,
    state_dir: StateDir = None,
    slots: Slots = None,
    gpu_slots: GpuSlots = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run API and worker on this machine, with one command.

    Access keys come from `fitcheck keys create`, or from FITCHECK_API_KEYS, separated by commas; without any, only this
    machine is listened to.
    """
    with _problems():
        from service.worker.supervisor import run_serve

        settings = _settings(
            host=host,
            port=port,
            data_roots=_paths(data_root),
            database=database,
            state_dir=state_dir,
            slots=slots,
            gpu_slots=gpu_slots,
            log_level=log_level,
            log_format=log_format,
        )
        _require_safe(settings)
        raise typer.Exit(run_serve(settings))


@app.command(rich_help_panel=SERVICE)
def api(
    *,
    host: Host = None,
    port: Port = None,
    data_root: DataRoot = None,
    database: Database = None,
    state_dir: StateDir = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run the API alone; it needs no TensorFlow."""
    with _problems():
        from service.api.server import run_api

        settings = _settings(
            host=host,
            port=port,
            data_roots=_paths(data_root),
            database=database,
            state_dir=state_dir,
            log_level=log_level,
            log_format=log_format,
        )
        _require_safe(settings)
        run_api(settings)


@app.command(rich_help_panel=SERVICE)
def worker(
    *,
    data_root: DataRoot = None,
    database: Database = None,
    state_dir: StateDir = None,
    slots: Slots = None,
    gpu_slots: GpuSlots = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run the worker alone: slots that take audits from the database."""
    with _problems():
        from service.worker.supervisor import run_worker

        settings = _settings(
            data_roots=_paths(data_root),
            database=database,
            state_dir=state_dir,
            slots=slots,
            gpu_slots=gpu_slots,
            log_level=log_level,
            log_format=log_format,
        )
        raise typer.Exit(run_worker(settings))


@app.command(rich_help_panel=LOCAL)
@with_request(queued=False)
def audit(
    options: AuditOptions, *, as_json: AsJson = False, output: Output = None, html: Html = None, rows: Rows = None
) -> None:
    """Audit a model here and now, without a service."""
    with _problems() as errors:
        from service.cli.requests import request_from

        asked = request_from(options)
        from service.cli.auditing import audit_here
        from service.logs import quiet_logging

        quiet_logging()
        found = audit_here(asked, errors)
        _end_with(found, asked.gate.fail_on, as_json=as_json, output=output, html=html, rows=rows)


@app.command(rich_help_panel=REMOTE)
@with_request(queued=True)
def submit(
    options: AuditOptions,
    *,
    upload: Annotated[
        bool, typer.Option("--upload", help="Send the files to the service: it need not share this machine's storage.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show the progress, then the report.")] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key gives the same audit, however often it is sent.")
    ] = None,
    url: Url = LOCALHOST,
    key: Key = None,
    as_json: AsJson = False,
    output: Output = None,
    html: Html = None,
    rows: Rows = None,
) -> None:
    """Submit an audit to a service. It reads paths of this machine below its data roots alone; all with --upload."""
    with _problems() as errors:
        from schemas.problem import RequestError
        from service.cli.requests import request_from
        from service.client.progress import ProgressDisplay, UploadDisplay

        if not wait and (output is not None or html is not None):
            raise RequestError(
                "wait_needed", "--output and --html keep the report, for which --wait waits: add --wait.", field="wait"
            )
        asked = request_from(options)
        with _client(url, key) as client:
            if upload:
                from service.client.uploading import with_uploads

                asked = with_uploads(asked, client, UploadDisplay(errors))
            job = client.submit(asked, idempotency_key)
            if not wait:
                _show_job(job, as_json=as_json)
                _say(errors, f"Follow it: fitcheck watch {job.id}, or {url.rstrip('/')}/audits/{job.id} in a browser")
                return
            errors.print(f"audit {job.id}", style="dim", highlight=False)
            with ProgressDisplay(errors) as progress:
                report = client.wait(job.id, progress)
        _end_with(report, asked.gate.fail_on, as_json=as_json, output=output, html=html, rows=rows)


@app.command(rich_help_panel=REMOTE)
def status(*, audit_id: AuditId, url: Url = LOCALHOST, key: Key = None, as_json: AsJson = False) -> None:
    """Show where an audit stands."""
    with _problems(), _client(url, key) as client:
        _show_job(client.get(audit_id), as_json=as_json)


@app.command(rich_help_panel=REMOTE)
def watch(*, audit_id: AuditId, url: Url = LOCALHOST, key: Key = None, as_json: AsJson = False) -> None:
    """Show the progress of an audit until it ends; exits with 3 where it ends without a report."""
    with _problems(), _client(url, key) as client:
        from service.cli.exits import ExitCode
        from service.client.progress import ProgressDisplay

        with ProgressDisplay(_console(stderr=True)) as progress:
            job = client.watch(audit_id, progress)
        _show_job(job, as_json=as_json)
        if job.status != "succeeded":
            raise typer.Exit(ExitCode.FAILED)


@app.command(rich_help_panel=REMOTE)
def report(
    *,
    audit_id: AuditId,
    url: Url = LOCALHOST,
    key: Key = None,
    fail_on: ReportGate = "never",
    as_json: AsJson = False,
    form: Form = "text",
    output: Output = None,
    html: Html = None,
    rows: Rows = None,
) -> None:
    """Show the report of an audit, or write it for another tool."""
    with _problems():
        with _client(url, key) as client:
            found = client.report(audit_id)
        _end_with(found, fail_on, as_json=as_json, form=form, output=output, html=html, rows=rows)


@app.command(rich_help_panel=REMOTE)
def compare(
    *,
    before: Annotated[str, typer.Argument(metavar="A", help="The earlier report: an audit's id, or a JSON file.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The later report, likewise.")],
    fail_on: Annotated[
        Literal["critical", "warning", "never"],
        typer.Option(help="Severity from which a finding that A does not have makes the command exit with 1."),
    ] = "warning",
    url: Url = LOCALHOST,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Compare two reports of one model: what was mended, and what is new.

    Exit codes: 0 nothing is new from --fail-on, 1 something is, 2 the command or its input is at
    fault, 3 a report cannot be had.
    """
    with _problems():
        from audits.comparison import compare
        from service.cli.comparing import gate, report_of
        from service.cli.render import render_comparison

        with _client(url, key) as client:
            found = compare(report_of(before, client), report_of(after, client))
        if as_json:
            _print_json(found)
        else:
            render_comparison(found, _console())
        raise typer.Exit(gate(found, fail_on))


@app.command(rich_help_panel=REMOTE)
def cancel(*, audit_id: AuditId, url: Url = LOCALHOST, key: Key = None, as_json: AsJson = False) -> None:
    """End a queued or running audit."""
    with _problems(), _client(url, key) as client:
        _show_job(client.cancel(audit_id), as_json=as_json)


@app.command("list", rich_help_panel=REMOTE)
def list_audits(
    *,
    status: Annotated[list[str] | None, typer.Option(help="Audits in this state; repeatable.")] = None,
    verdict: Annotated[list[str] | None, typer.Option(help="Audits with this verdict; repeatable.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Audits with this tag, key:value; repeatable.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 20,
    url: Url = LOCALHOST,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List audits, newest first."""
    with _problems(), _client(url, key) as client:
        from service.cli.render import render_jobs

        filters = {"status": status or [], "verdict": verdict or [], "tag": tag or []}
        jobs = list(client.list(filters, limit))
        if as_json:
            _print_json(jobs)
        else:
            render_jobs(jobs, _console())


@db.command()
def upgrade(*, database: Database = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Create or update the tables. The service does so itself when it starts; workers go first."""
    with _problems():
        from service.cli.database import status_of, upgrade

        upgrade(_settings(database=database, state_dir=state_dir))
        found = status_of(_settings(database=database, state_dir=state_dir))
        _print_json(found) if as_json else _print_status(found)


@db.command("status")
def database_status(*, database: Database = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Show the version of the tables, what waits, and which workers live. Changes nothing."""
    with _problems():
        from service.cli.database import status_of

        found = status_of(_settings(database=database, state_dir=state_dir))
        if as_json:
            _print_json(found)
        else:
            _print_status(found)


@db.command()
def prune(
    *,
    database: Database = None,
    state_dir: StateDir = None,
    keep_jobs_days: Annotated[
        float | None, typer.Option(envvar="FITCHECK_KEEP_JOBS_DAYS", help="Delete audits that ended before.")
    ] = None,
    keep_reports_days: Annotated[
        float | None, typer.Option(envvar="FITCHECK_KEEP_REPORTS_DAYS", help="Delete reports of audits likewise.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete finished audits and reports that were kept long enough. The service does so itself, from time to time."""
    with _problems():
        from service.cli.database import prune

        settings = _settings(
            database=database,
            state_dir=state_dir,
            keep_jobs_days=keep_jobs_days,
            keep_reports_days=keep_reports_days,
        )
        pruned = prune(settings)
        if as_json:
            _print_json(pruned)
        else:
            typer.echo(f"deleted: {pruned.jobs} audits, {pruned.reports} reports")


def _print_status(found: "BaseModel") -> None:
    for name, value in found.model_dump().items():
        typer.echo(f"{name:<16}{value}")


@app.command(rich_help_panel=LOCAL)
def catalogue(
    *,
    code: Annotated[str | None, typer.Argument(help="One finding; without it all of them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what can be found, with its documentation."""
    with _problems():
        from audits.catalogue import entries, entry
        from service.cli.render import render_catalogue, render_entry

        if code is None:
            _print_json(list(entries())) if as_json else render_catalogue(entries(), _console())
        else:
            _print_json(entry(code)) if as_json else render_entry(entry(code), _console())


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _problems() -> "AbstractContextManager[Console]":
    from service.cli.exits import problems_end_the_command

    return problems_end_the_command(_console(stderr=True))


def _settings(**options: Any) -> "Settings":
    from service.cli.serving import settings_from

    return settings_from(**options)


def _require_safe(settings: "Settings") -> None:
    from service.cli.serving import require_safe_bind, require_signed_callbacks

    require_safe_bind(settings)
    require_signed_callbacks(settings)


def _paths(paths: list[Path] | None) -> tuple[Path, ...]:
    return tuple(paths or ())


def _client(url: str, key: str | None) -> "Client":
    from service.cli.client import Client

    return Client(url, key)


def _show_job(job: Any, *, as_json: bool) -> None:
    from service.cli.render import render_job

    if as_json:
        _print_json(job)
    else:
        render_job(job, _console())


def _end_with(
    found: "Report",
    fail_on: "FailOn",
    *,
    as_json: bool,
    output: Path | None,
    html: Path | None = None,
    rows: Path | None = None,
    form: str = "text",
) -> None:
    """Show and store a report; the exit code says whether its verdict breaks the gate."""
    from service.cli.exits import gate
    from service.cli.render import render_report
    from service.cli.writing import write_report

    # a report for people is kept as what programs read
    targets = [(html, "html"), (output, "json" if form == "text" else form)]
    if rows is not None:
        targets.append((rows, rows.suffix.lower().removeprefix(".")))
    for target, kept in targets:
        if target is not None:
            write_report(found, kept, target)
            _say(_console(stderr=True), f"Written: {target}")
    if as_json:
        _print_json(found)
    elif form == "text":
        render_report(found, _console())
    elif output is None:
        write_report(found, form)
    raise typer.Exit(gate(found, fail_on))


def _say(console: "Console", words: str) -> None:
    """A line beside the answer, never broken: it holds what is copied."""
    console.print(words, style="dim", markup=False, soft_wrap=True)


def _print_json(what: Any) -> None:
    from service.cli.render import print_json

    print_json(what)
