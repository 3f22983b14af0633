"""Which column a name of the model means, where an export changed how it is spelled."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from audits.artefacts import Column
from audits.naming import normalised

# What graphs add to a name: the output's number, a number that makes it unique, words for where it is fed.
_ADDED = re.compile(
    r":\d+$|_\d+$|^(serving_default|inputs?|placeholder|ph)[_/]|[_/](inputs?|placeholder|ph)$", re.IGNORECASE
)


def matched(names: Sequence[str], columns: Sequence[Column]) -> dict[str, Column]:
    """Name -> column, of those that mean each other and nothing else.

    Names written alike come first, then those that differ in case and blanks, then in punctuation, then in what a
    graph adds to a name, the scopes before its last slash included. No column is taken twice.
    """
    found: dict[str, Column] = {}
    for of_name, of_column in _SPELLINGS:
        taken = {column.name for column in found.values()}
        left = [column for column in columns if column.name not in taken]
        open_names = [name for name in names if name not in found]
        forms = Counter(of_column(column.name) for column in left)
        wanted = Counter(of_name(name) for name in open_names)
        by_form = {of_column(column.name): column for column in left}
        for name in open_names:
            form = of_name(name)
            if forms[form] == 1 and wanted[form] == 1:
                found[name] = by_form[form]
    return found


def numbered(name: str, columns: Iterable[Column]) -> list[Column]:
    """Columns that bear the name and a number, such as x_0, x_1, x_2 for x: all of them, in order; else none."""
    stem = _compact(_plain(name))
    found: dict[int, Column] = {}
    for column in columns:
        parts = re.fullmatch(r"(.*?)[\W_]*(\d+)\W*", column.name.strip())
        if parts is not None and _compact(parts[1]) == stem:
            if int(parts[2]) in found:
                return []
            found[int(parts[2])] = column
    places = sorted(found)
    is_whole = bool(places) and places[0] in {0, 1} and places[-1] - places[0] == len(places) - 1
    return [found[place] for place in places] if is_whole else []


def _compact(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _plain(name: str) -> str:
    """Without what graphs add."""
    before = ""
    while name != before:
        before, name = name, _ADDED.sub("", name) or name
    return name


# How the name of an input and that of a column are written before they are compared, strictest first.
_SPELLINGS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (str, str),
    (normalised, normalised),
    (_compact, _compact),
    (lambda name: _compact(_plain(name)), _compact),
    (lambda name: _compact(_plain(name.rpartition("/")[2])), _compact),
)
