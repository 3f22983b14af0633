"""Numbers as people write them: decimal commas, thousands separators, blanks around them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from audits.sources.tables.columns import HOLES, is_number, without_holes

TELLING_CELLS = 100
# A comma, a dot, a blank or an apostrophe; blanks that do not break stand for blanks.
_WIDE_BLANKS = re.compile("[\u00a0\u202f\u2009]")
_EXPONENT = r"(?:[eE][+-]?\d+)?"


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written.

    Attributes:
        decimal: sign.
        thousands: separator between groups of three digits; None where there are no groups.
    """

    decimal: str = "."
    thousands: str | None = None

    def fits(self, cell: str) -> bool:
        """Whether a cell is such a number."""
        if self == PLAIN:
            return is_number(cell)
        return re.fullmatch(self._pattern, _plain_blanks(cell)) is not None

    def read(self, texts: "pa.Array[Any]") -> "pa.Array[Any]":
        """Texts as float64, whole numbers as int64 where all of them are; holes are null.

        Raises:
            pa.ArrowInvalid: a text is neither a number of this format nor a hole.
        """
        trimmed = without_holes(texts)
        if self == PLAIN:
            return _as_written(trimmed)
        plain = pc.replace_substring_regex(trimmed, _WIDE_BLANKS.pattern, " ") if self.thousands == " " else trimmed
        ok = pc.match_substring_regex(plain, f"^(?:{self._pattern})$")
        if pc.any(pc.invert(ok)).as_py():
            raise pa.ArrowInvalid("a text is no number")
        if self.thousands is not None:
            plain = pc.replace_substring(plain, self.thousands, "")
        if self.decimal != ".":
            plain = pc.replace_substring(plain, self.decimal, ".")
        return cast("pa.Array[Any]", plain.cast(pa.float64()))

    def describe(self) -> dict[str, str]:
        return {"decimal": self.decimal, **({"thousands": self.thousands} if self.thousands else {})}

    @property
    def _pattern(self) -> str:
        decimal = re.escape(self.decimal)
        plain = rf"\d+(?:{decimal}\d*)?{_EXPONENT}|{decimal}\d+{_EXPONENT}"
        if self.thousands is None:
            return rf"[+-]?(?:{plain})"
        between = re.escape(self.thousands)
        return rf"[+-]?(?:[1-9]\d{{0,2}}(?:{between}\d{{3}})+(?:{decimal}\d*)?|{plain})"


def _as_written(texts: "pa.Array[Any]") -> "pa.Array[Any]":
    """int64 where it holds all of them, which float64 may not, else float64."""
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts.cast(pa.float64())


PLAIN = NumberFormat()
DECIMAL_COMMA = NumberFormat(",")
# Those that say more come later.
FORMATS = (
    PLAIN,
    DECIMAL_COMMA,
    *(NumberFormat(decimal, thousands) for decimal in ".," for thousands in ".,' " if thousands != decimal),
)


def format_of(values: Sequence[str], *, decimal: str | None) -> NumberFormat | None:
    """The format of a column of numbers; None where it holds text, or could be read in two ways.

    Args:
        values: of the column.
        decimal: the decimal sign, where the request or the rest of the file says it: "1,234" may be either number.
    """
    fitting = explanations(values)
    if decimal is not None and len(fitting) > 1:
        fitting = [one for one in fitting if one.decimal == decimal] or fitting
    elif PLAIN in fitting:
        return PLAIN
    return fitting[0] if len(fitting) == 1 else None


def explanations(values: Sequence[str]) -> list[NumberFormat]:
    """The formats that all values fit, holes aside: of two that read every value alike, the simpler one."""
    filled = (cell.strip() for cell in values)
    first = [_plain_blanks(cell) for cell in islice((cell for cell in filled if cell not in HOLES), TELLING_CELLS)]
    # of most columns of text, a few cells tell that they hold no numbers
    if not any(all(one.fits(cell) for cell in first) for one in FORMATS):
        return []
    cells = [_plain_blanks(cell) for cell in {cell.strip() for cell in values} if cell not in HOLES]
    if not cells:
        return []
    found: list[NumberFormat] = []
    for one in FORMATS:
        has_groups = one.thousands is None or any(one.thousands in cell for cell in cells)
        # without a fraction, "1 000" is the same number by either sign, but "1.000" is not
        has_fractions = one.decimal == "." or one.thousands == "." or any(one.decimal in cell for cell in cells)
        if has_groups and has_fractions and all(one.fits(cell) for cell in cells):
            found.append(one)
    return found


def has_decimal_commas(texts: "pa.ChunkedArray[Any]") -> bool:
    """Whether a column of text is one of numbers that can only have a decimal comma."""
    return explanations([cell for cell in texts.to_pylist() if cell is not None]) == [DECIMAL_COMMA]


def _plain_blanks(cell: str) -> str:
    return _WIDE_BLANKS.sub(" ", cell)
