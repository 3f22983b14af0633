"""Writes the list of commands and their options into docs/command_line.md, from the commands themselves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from service.cli import app

PAGE = Path(__file__).parents[1] / "docs" / "command_line.md"
BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"
# These have an option for every field of the request; the table above lists those.
OF_REQUEST = {"audit", "submit"}


def commands(group: Any, parents: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each command by its words, groups opened."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*parents, name))
        else:
            yield " ".join((*parents, name)), command


def options(name: str, command: Any) -> Iterator[str]:
    """Its arguments and options as they are typed; the fields of a request are left out."""
    for parameter in command.params:
        if parameter.name == "help" or (name in OF_REQUEST and getattr(parameter, "rich_help_panel", None)):
            continue
        yield (
            f"`{parameter.opts[0]}`"
            if parameter.param_type_name == "option"
            else f"`{parameter.metavar or parameter.name}`"
        )


def table() -> str:
    rows = [
        f"| `{name}` | {(command.help or '').splitlines()[0]} | {', '.join(options(name, command))} |"
        for name, command in commands(typer.main.get_command(app))
    ]
    return "\n".join(["| command | does | takes |", "| --- | --- | --- |", *rows])


def page(text: str) -> str:
    """The page with the table of the commands as they are."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
