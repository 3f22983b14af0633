"""The matches of a glob, found once each and in a time that the folders bound, not the pattern or links in circles.

`glob.iglob` walks a folder anew for every way that a pattern leads to it: ``**/**/**`` and links to folders above make
that as many as there are paths.
"""

import fnmatch
import os
import re
from collections.abc import Iterator

MAX_PLACES = 200_000
_MAGIC = re.compile(r"[*?[]")
_ESCAPED = re.compile(r"\[([*?[])\]")


class TooManyPlacesError(Exception):
    """More folders would have to be looked through than `MAX_PLACES`."""


def matches(pattern: str) -> Iterator[str]:
    """The paths that match, in no order; as `glob.iglob` with `recursive` finds them, but none twice.

    A folder counts once for each part of the pattern, through whichever link it is reached first.

    Args:
        pattern: absolute.

    Raises:
        TooManyPlacesError: while they are looked for.
    """
    parts = tuple(part for part in pattern.split("/") if part not in {"", "."})
    seen: set[tuple[int, int, int]] = set()
    given: set[str] = set()
    waiting = [("/", 0)]
    while waiting:
        place, at = waiting.pop()
        if at == len(parts):
            if place not in given and (not pattern.endswith("/") or os.path.isdir(place)):  # noqa: PTH112
                given.add(place)
                yield place
            continue
        try:
            status = os.stat(place)  # noqa: PTH116 - as in the rest, paths are texts: there may be many
        except OSError:
            continue
        state = (status.st_dev, status.st_ino, at)
        if state in seen:
            continue
        if len(seen) >= MAX_PLACES:
            raise TooManyPlacesError
        seen.add(state)
        waiting.extend(_below(place, parts, at))


def _below(place: str, parts: tuple[str, ...], at: int) -> Iterator[tuple[str, int]]:
    """What one part of the pattern leads to: paths, and the part that they are held against next."""
    part, is_last = parts[at], at + 1 == len(parts)
    literal = _ESCAPED.sub(r"\1", part) if not _MAGIC.search(_ESCAPED.sub("", part)) else None
    if literal is not None:
        path = os.path.join(place, literal)  # noqa: PTH118
        if os.path.lexists(path):
            yield path, at + 1
        return
    if part == "**":
        yield place, at + 1
    fits = re.compile(fnmatch.translate(part)).match
    for name, is_folder in _entries(place):
        if name.startswith(".") and not part.startswith("."):
            continue
        path = os.path.join(place, name)  # noqa: PTH118
        if part == "**" and is_folder:
            yield path, at
        elif (part == "**" and is_last) or (part != "**" and (is_last or is_folder) and fits(name)):
            yield path, at + 1


def _entries(place: str) -> list[tuple[str, bool]]:
    try:
        with os.scandir(place) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries]
    except OSError:
        return []
