"""Builds the documentation site into build/site, from the Markdown files of the repository and the OpenAPI document.

Pages of docs/ become the site's own, README.md its first page; READMEs of examples keep their folders. Links are
written anew for where their targets come to lie, and a link that leads nowhere ends the build.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "site-pages"
API = "api.md"
DECISIONS = "adr/index.md"
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_FENCE = re.compile(r"^(```.*?^```\s*?$)", re.DOTALL | re.MULTILINE)
_FOREIGN = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)

STORIES = ("random_labels", "imbalanced", "missing_values", "wrong_scaling")
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Start": ("index.md", "tutorial.md", "command_line.md", "python.md"),
    "Models and data": ("models.md", "data.md", "outputs.md", "large-data.md"),
    "The report": ("report.md", "methodology.md", "benchmarks.md", "glossary.md"),
    "Operations": ("deployment.md", "jobs.md", "access.md", "architecture.md"),
}


class BrokenLinkError(ValueError):
    """A page names a file that is not there."""


def main() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    gather(PAGES)
    config = load_config(str(ROOT / "mkdocs.yml"), nav=list(navigation(PAGES)))
    build(config)


def gather(folder: Path) -> None:
    """Write every page of the site, and every file that one of them links to."""
    sources = dict(pages())
    for source, target in sources.items():
        text = relinked(source.read_text(encoding="utf-8"), source, sources, folder)
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / target).write_text(text, encoding="utf-8")
    (folder / DECISIONS).write_text(decisions(folder), encoding="utf-8")
    (folder / API).write_text(api_page(json.loads((ROOT / "docs/openapi.json").read_text("utf-8"))), encoding="utf-8")


def decisions(folder: Path) -> str:
    """The list of the decisions, by their titles."""
    titles = {
        path.name: path.read_text("utf-8").splitlines()[0].lstrip("# ") for path in sorted(folder.glob("adr/0*.md"))
    }
    return "\n".join(["# Decisions", "", *(f"- [{title}]({name})" for name, title in titles.items())]) + "\n"


def pages() -> Iterator[tuple[Path, str]]:
    """Each page: its file in the repository, and where it lies in the site."""
    yield ROOT / "README.md", "index.md"
    for path in sorted((ROOT / "docs").rglob("*.md")):
        yield path, str(path.relative_to(ROOT / "docs"))
    for path in sorted((ROOT / "examples").rglob("README.md")):
        yield path, str(path.relative_to(ROOT))


def relinked(text: str, source: Path, sources: Mapping[Path, str], folder: Path) -> str:
    """The text with its links as the site needs them; code is left alone.

    Raises:
        BrokenLinkError: a link leads nowhere.
    """

    def link(found: re.Match[str]) -> str:
        begin, address, anchor, end = found.groups(default="")
        if _FOREIGN.match(address):
            return found[0]
        target = (source.parent / address).resolve()
        place = sources.get(target / "README.md" if target.is_dir() else target) or _file(target, source, folder)
        return begin + os.path.relpath(place, Path(sources[source]).parent) + anchor + end

    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def _file(target: Path, source: Path, folder: Path) -> str:
    """Where a linked file that is no page lies in the site; it is copied there."""
    if target == ROOT / "docs" / "adr":
        return DECISIONS
    if not target.is_file():
        raise BrokenLinkError(f"{source.relative_to(ROOT)} links to {target}, which is not there")
    place = str(target.relative_to(ROOT / "docs" if ROOT / "docs" in target.parents else ROOT))
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(target, folder / place)
    return place


def navigation(folder: Path) -> Iterator[dict[str, Any]]:
    """The sections; a page of docs/ that none of them names stands with the operations."""
    told = {page for listed in SECTIONS.values() for page in listed}
    rest = sorted({path.name for path in folder.glob("*.md")} - told - {API})
    for title, listed in SECTIONS.items():
        shown = [page for page in listed if (folder / page).is_file()]
        yield {title: shown + (rest if title == "Operations" else [])}
        if title == "Start":
            yield {"Stories": [f"examples/{story}/README.md" for story in STORIES]}
            yield {"Integrations": _below(folder, "examples/integrations")}
    yield {"Checks": _below(folder, "checks")}
    yield {"API": [API]}
    yield {"Decisions": _below(folder, "adr")}


def _below(folder: Path, part: str) -> list[str]:
    found = sorted(str(path.relative_to(folder)) for path in (folder / part).rglob("*.md"))
    return sorted(found, key=lambda page: (page.count("/"), not page.endswith(("README.md", "index.md")), page))


def api_page(document: Mapping[str, Any]) -> str:
    """The OpenAPI document as a page: each call with its parameters, its body and its answers."""
    lines = ["# The API", "", document["info"].get("description", ""), ""]
    lines += ["The same as a document: [openapi.json](openapi.json).", ""]
    shutil.copy(ROOT / "docs/openapi.json", PAGES)
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            lines += [f"## `{method.upper()} {path}`", "", call.get("description") or call.get("summary", ""), ""]
            lines += _parameters(call.get("parameters", ())) + _answers(call["responses"])
    lines += ["# Types", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += [f"## {name}", "", schema.get("description", ""), "", *_fields(schema)]
    return "\n".join(lines) + "\n"


def _parameters(parameters: Any) -> list[str]:
    rows = [(f"`{p['name']}`", p["in"], _type(p["schema"]), p.get("description", "")) for p in parameters]
    return _table(("parameter", "in", "type", "meaning"), rows)


def _answers(responses: Mapping[str, Any]) -> list[str]:
    rows = [
        (status, ", ".join(f"`{kind}`" for kind in answer.get("content", {})), answer.get("description", ""))
        for status, answer in responses.items()
    ]
    return _table(("answer", "as", "meaning"), rows)


def _fields(schema: Mapping[str, Any]) -> list[str]:
    required = set(schema.get("required", ()))
    rows = [
        (f"`{name}`", _type(field), "yes" if name in required else "", field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]
    return _table(("field", "type", "required", "meaning"), rows)


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, with links to those that have a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(map(_type, schema[several])))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    cells = [tuple(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *cells)] + [""]


if __name__ == "__main__":
    main()
