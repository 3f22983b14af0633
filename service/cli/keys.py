"""`fitcheck keys`: makes, lists and revokes access keys, in the database of the service that need not run."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs, so that `--help` answers at once

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import AsJson, Database, StateDir

if TYPE_CHECKING:
    from pathlib import Path

    from service.access.store import Keys

keys = typer.Typer(no_args_is_help=True, help="Access keys: who may use the service.")


@keys.command()
def create(
    *,
    caller: Annotated[str, typer.Argument(help="Whose key it is. Keys of one caller see the same audits and uploads.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            show_default="read submit",
            help="read: look at one's own; submit: audit, upload, cancel, delete; admin: all of that with everybody's. "
            "Repeatable.",
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0.001, max=36500, show_default="never", help="Expires then.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="Whatever helps to find it again, such as where it is used.")] = None,
    database: Database = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it: it is shown this once, for only its hash is kept."""
    with _keys(database, state_dir) as store:
        made = store.create(caller, scope or ["read", "submit"], days=days, note=note)
        if as_json:
            from service.cli.render import print_json

            print_json({**asdict(store.get(made.id)), "key": made.text})
            return
        typer.echo(f"key {made.id} of {caller}; it is not shown again:", err=True)
        typer.echo(made.text)


@keys.command("list")
def list_keys(*, database: Database = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """List all keys, without their secrets."""
    with _keys(database, state_dir) as store:
        found = store.list()
    from rich.console import Console

    from service.cli.render import print_json, render_keys

    if as_json:
        print_json(found)
        return
    render_keys(found, Console(highlight=False))


@keys.command()
def revoke(
    *,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `fitcheck keys list` shows it.")],
    database: Database = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a key from now on, in every process of the service."""
    with _keys(database, state_dir) as store:
        store.revoke(key_id)
        if as_json:
            from service.cli.render import print_json

            print_json(store.get(key_id))
            return
        typer.echo(f"key {key_id} is revoked", err=True)


@contextmanager
def _keys(database: str | None, state_dir: "Path | None") -> "Iterator[Keys]":
    from rich.console import Console

    from service.access.store import open_keys
    from service.cli.exits import problems_end_the_command
    from service.cli.serving import settings_from
    from service.logs import quiet_logging

    with problems_end_the_command(Console(stderr=True, highlight=False)):
        quiet_logging()
        with open_keys(settings_from(database=database, state_dir=state_dir)) as opened:
            yield opened
