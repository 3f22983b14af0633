"""Names of columns: what a reader is told when one is missing, and when two spellings mean the same."""

import difflib
import re
from collections.abc import Collection, Iterable

MAX_SHOWN = 30


def normalised(name: str) -> str:
    """A name without what exports change: case, surrounding blanks, punctuation."""
    return re.sub(r"\W", "_", name.strip().casefold())


def listed(names: Collection[str], limit: int = MAX_SHOWN) -> str:
    """Names for a sentence."""
    shown = ", ".join(repr(name[:60]) for _, name in zip(range(limit), names, strict=False))
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def suggestion(wanted: str, names: Iterable[str]) -> str:
    """A sentence that names the closest name, with a blank before it; or nothing."""
    by_form = {normalised(name): name for name in names}
    close = difflib.get_close_matches(normalised(wanted), by_form, n=1, cutoff=0.7)
    return f" Did you mean {by_form[close[0]]!r}?" if close else ""
