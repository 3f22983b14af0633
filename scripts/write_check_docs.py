"""Writes docs/checks: one page for each check, from its docstring, and an index."""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from audits.catalogue import entries
from schemas.catalogue import CatalogueEntry, LimitEntry

FOLDER = Path(__file__).parents[1] / "docs" / "checks"
NOTE = "<!-- Written by `make docs` from the docstring of the check: edit that. -->"
SECTIONS = (
    ("What it measures", "measures"),
    ("Why it matters", "why"),
    ("When it is inconclusive", "inconclusive"),
    ("How to fix", "fix"),
    ("Reference", "reference"),
)


def pages() -> dict[str, str]:
    """File name -> text, of every page and of the index."""
    written = {f"{entry.code}.md": page(entry) for entry in entries()}
    return {"README.md": index(), **written}


def page(entry: CatalogueEntry) -> str:
    """The documentation page of one check."""
    lines = [NOTE, "", f"# `{entry.code}`", "", entry.title]
    for heading, name in SECTIONS:
        text = getattr(entry, name)
        lines += ["", f"## {heading}", "", text[0].upper() + text[1:]]
    lines += list(_limits(entry))
    return "\n".join(lines) + "\n"


def _limits(entry: CatalogueEntry) -> Iterator[str]:
    if entry.limits:
        yield from ("", "## Limits", "")
        yield f'Override them in the request: `"checks": {{"limits": {{"{entry.code}": {{...}}}}}}`.'
        yield from ("", "| limit | default | meaning |", "| --- | --- | --- |")
        yield from (_row(limit) for limit in entry.limits)


def _row(limit: LimitEntry) -> str:
    meaning = (limit.description or "").replace("|", "\\|")
    return f"| `{limit.name}` | {limit.default} | {meaning} |"


def index() -> str:
    """The list of all checks, by family."""
    lines = [NOTE, "", "# The checks"]
    for family, members in groupby(entries(), key=lambda entry: entry.family):
        lines += ["", f"## {family.capitalize()}", ""]
        lines += [f"- [`{entry.code}`]({entry.code}.md): {entry.title}" for entry in members]
    return "\n".join(lines) + "\n"


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = pages()
    for stale in set(FOLDER.glob("*.md")) - {FOLDER / name for name in written}:
        stale.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"docs/checks: {len(written) - 1} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
