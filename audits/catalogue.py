"""Every finding that can be reported, read from the docstrings of the checks.

The checks are parsed, never imported: they need scipy and scikit-learn, and the API does not.
"""

import ast
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import cast, get_args

from audits.naming import suggestion
from schemas.catalogue import CatalogueEntry, LimitEntry
from schemas.limits import LIMITS
from schemas.problem import RequestError
from schemas.report import Family
from schemas.request import Checks

CHECKS = Path(__file__).parent / "checks"
HEADINGS = {
    "What it measures": "measures",
    "Why it matters": "why",
    "When it is inconclusive": "inconclusive",
    "How to fix": "fix",
    "Reference": "reference",
}
# Python 3.11 parses in one thread at a time only: two first requests at once would fail.
_READING = Lock()
_HEADING = re.compile(rf"^({'|'.join(HEADINGS)}):[ \t]*", re.MULTILINE)


class UnknownFindingError(RequestError):
    """The code names no finding."""

    def __init__(self, code: str, known: Collection[str]) -> None:
        super().__init__(
            "finding_not_found",
            f"There is no finding {code!r}.{_closest_code(code, known)} GET /v1/catalogue lists all of them.",
        )


def unknown_check(wanted: str, known: Collection[str], field: str) -> RequestError:
    """The problem of a request whose `checks` name what is none, in `include` or `exclude`."""
    return RequestError(
        "unknown_check",
        f"checks.{field} names {wanted!r}, which is no check.{_closest_code(wanted, known)} "
        "GET /v1/catalogue lists all of them.",
        field=f"checks.{field}",
    )


def _closest_code(wanted: str, known: Collection[str]) -> str:
    """A sentence that names the closest code, also where its family was left out or is another; or nothing."""
    by_name = {code.rpartition(".")[2]: code for code in known}
    told = suggestion(wanted, known) or suggestion(wanted.rpartition(".")[2], by_name)
    for name, code in by_name.items():
        told = told.replace(repr(name), repr(code))
    return told


def entries(folder: Path = CHECKS) -> tuple[CatalogueEntry, ...]:
    """The documentation of every check below `folder`, by family, then by name.

    Raises:
        ValueError: a check lacks one of the five headings.
    """
    with _READING:
        return _read(folder)


@cache
def _read(folder: Path) -> tuple[CatalogueEntry, ...]:
    return tuple(_entry(family, file) for family, file in _files(folder))


def entry(code: str, folder: Path = CHECKS) -> CatalogueEntry:
    """The documentation of one finding.

    Raises:
        UnknownFindingError: the code names none.
    """
    known = {found.code: found for found in entries(folder)}
    if code not in known:
        raise UnknownFindingError(code, known)
    return known[code]


def require_known(checks: Checks, folder: Path = CHECKS) -> None:
    """Return if every code and family that the request selects exists.

    Raises:
        RequestError: one does not.
    """
    known = {found.code for found in entries(folder)} | {f"{family}.*" for family in get_args(Family)}
    for field, patterns in (("include", checks.include or ()), ("exclude", checks.exclude)):
        unknown = [pattern for pattern in patterns if pattern not in known]
        if unknown:
            raise unknown_check(unknown[0], known, field)
    codes = {found.code for found in entries(folder)}
    included = codes if checks.include is None else {code for code in codes if _selects(checks.include, code)}
    if codes and not {code for code in included if not _selects(checks.exclude, code)}:
        raise RequestError("no_checks_left", "checks.include and checks.exclude leave no check to run.", field="checks")


def _selects(patterns: Sequence[str], code: str) -> bool:
    return code in patterns or f"{code.partition('.')[0]}.*" in patterns


def _files(folder: Path) -> Iterator[tuple[Family, Path]]:
    for family in get_args(Family):
        for file in sorted((folder / family).glob("*.py")):
            if not file.name.startswith("_"):
                yield cast("Family", family), file


def _entry(family: Family, file: Path) -> CatalogueEntry:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    title, sections = _sections(docstring)
    missing = [heading for heading, name in HEADINGS.items() if not sections.get(name)]
    if not title or missing:
        raise ValueError(f"{file}: the docstring lacks {', '.join(missing) or 'a title'}")
    code = f"{family}.{file.stem}"
    return CatalogueEntry(code=code, family=family, title=title, limits=_limits(code), **sections)


def _sections(docstring: str) -> tuple[str, dict[str, str]]:
    """The title, and the text under each heading on one line."""
    title, *parts = _HEADING.split(docstring)
    texts = {HEADINGS[name]: _one_line(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}
    return _one_line(title), texts


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _limits(code: str) -> list[LimitEntry]:
    kind = LIMITS.get(code)
    if kind is None:
        return []
    return [
        LimitEntry(name=name, default=field.default, description=field.description)
        for name, field in kind.model_fields.items()
    ]
