"""How a CSV file is written, found from its head: delimiter, header, comments, blanks, trailing delimiters."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from audits.sources.tables.columns import HOLES, is_number
from schemas.data import CsvOptions

DELIMITERS = (",", ";", "\t", "|")
WHITESPACE = "whitespace"
COMMENT_MARKS = ("#", "%", "//", "|")
SNIFFED_ROWS = 100
MAX_PREAMBLE_LINES = 100
MAX_TITLE_ROWS = 20
JUDGED_CELLS = 2000

# The first line of files that Excel should cut at something else than a comma.
_SEPARATOR_LINE = re.compile(r'"?sep=([,;|\t])"?', re.IGNORECASE)
_PADDING = re.compile(r"\S  +\S")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*")


@dataclass(frozen=True)
class Dialect:
    """How to cut a file into cells.

    Attributes:
        delimiter: one character, or `WHITESPACE` for runs of blanks and tabs.
        names: of the columns, in order; "" for one without a name.
        has_header: whether they stand in the file; else they are "0", "1", ...
        preamble: characters before the first row of data.
        comment: what lines begin with that are passed over.
        trim: whether a blank follows every delimiter, and belongs to it.
        notes: what else was found, for the report.
    """

    delimiter: str
    names: tuple[str, ...]
    has_header: bool
    preamble: int
    comment: str | None = None
    trim: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Line:
    """A physical line and where it begins."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def sniff(head: str, options: CsvOptions, wanted: Collection[str] = ()) -> Dialect:
    """The dialect of a file.

    Args:
        head: its first characters, line ends as they are; the last line may be cut off where more follow.
        options: what the request says, which is not doubted.
        wanted: names that the request gives to columns: where they stand in the first row, it is a header.

    Raises:
        csv.Error: a cell is too long.
    """
    lines = list(_lines(head))
    comment = _comment_mark(lines, options.delimiter)
    kept = [line for line in lines if not _is_passed_over(line.text, comment)]
    named = _SEPARATOR_LINE.fullmatch(kept[0].text.strip(" \r\n")) if kept else None
    kept = kept[1:] if named is not None else kept
    delimiter = options.delimiter or (named[1] if named is not None else _delimiter([line.text for line in kept]))
    trim = options.trim if options.trim is not None else _has_blanks(kept, delimiter)
    rows = _rows(kept, delimiter, trim=trim)
    titles = _title_rows([cells for cells, _ in rows], wanted) if options.header is None else 0
    rows = rows[titles:]
    if not rows:
        return Dialect(delimiter, (), has_header=True, preamble=len(head), comment=comment, trim=trim)
    width = _usual_width([cells for cells, _ in rows[1:]] or [rows[0][0]])
    before = [line.text for line in lines if line.end <= rows[0][1].start]
    commented = _commented_header(before, comment, delimiter, width, wanted) if comment else None
    if commented is not None and options.header is not False:
        told = () if commented[0].startswith(str(comment)) else ("names stand in a comment",)
        return Dialect(delimiter, commented, True, rows[0][1].start, comment, trim, told)
    body = [cells for cells, _ in rows[1:] if len(cells) == width]
    is_header = options.header if options.header is not None else _is_header(rows[0][0], body, wanted)
    if not is_header:
        names = tuple(str(place) for place in range(max(width, len(rows[0][0]))))
        names, note = _without_trailing(names, [cells for cells, _ in rows])
        return Dialect(delimiter, names, False, rows[0][1].start, comment, trim, note)
    header, last = rows[0]
    names, note = _fitted(tuple(header), body, width)
    if titles:
        note = (f"{titles} rows before the names of the columns are passed over", *note)
    return Dialect(delimiter, names, True, last.end, comment, trim, note)


def _lines(head: str) -> Iterator[_Line]:
    start = 0
    for text in StringIO(head, newline=""):
        yield _Line(text, start)
        start += len(text)


def _is_passed_over(text: str, comment: str | None) -> bool:
    return not text.strip() or (comment is not None and text.startswith(comment))


def _comment_mark(lines: Sequence[_Line], delimiter: str | None) -> str | None:
    """What comments begin with: a mark at the first line, or within the table before a line of another width."""
    texts = [line.text for line in lines if line.text.strip()][: SNIFFED_ROWS + MAX_PREAMBLE_LINES]
    for mark in COMMENT_MARKS:
        if mark == delimiter:
            continue
        begun = [text.startswith(mark) for text in texts]
        if not any(begun) or all(begun):
            continue
        others = [text for text, is_comment in zip(texts, begun, strict=True) if not is_comment]
        if mark == "|" and any("|" in text for text in others):
            continue
        if begun[0]:
            return mark
        cut = delimiter or _delimiter(others)
        width = _usual_width([_cells(text, cut) for text in others[:SNIFFED_ROWS]])
        comments = [text for text, is_comment in zip(texts, begun, strict=True) if is_comment]
        if mark == "#" and all(len(_cells(text, cut)) != width for text in comments):
            return mark
    return None


def _delimiter(texts: Sequence[str]) -> str:
    """The one that cuts the rows alike, into cells that are clean, and into most of them."""
    start = texts[: 2 * SNIFFED_ROWS]

    def score(delimiter: str) -> tuple[bool, float, float, int]:
        rows = [row for row in csv.reader(start, delimiter=delimiter, skipinitialspace=True) if row]
        rows = rows[:SNIFFED_ROWS]
        width = _usual_width(rows)
        if width < 2:
            return False, 0.0, 0.0, 1
        alike = sum(len(row) == width for row in rows) / len(rows)
        cells = [cell for row in rows for cell in row][:JUDGED_CELLS]
        clean = sum(_is_clean(cell, delimiter) for cell in cells) / len(cells)
        return alike == 1, round(alike, 1), round(clean, 1), width

    best = max(DELIMITERS, key=score)
    is_padded = best == "\t" and all(_PADDING.search(re.sub(r'"[^"]*"', '""', text)) for text in texts[:SNIFFED_ROWS])
    if score(best)[0] and not is_padded:
        return best
    widths = Counter(len(cells) for cells in (_cells(text, WHITESPACE) for text in texts[:SNIFFED_ROWS]) if cells)
    is_even = len(widths) == 1 and next(iter(widths)) > 1
    # R leaves out the name of the first column
    is_headed = len(widths) == 2 and len(_cells(texts[0], WHITESPACE)) == min(widths) == max(widths) - 1
    return WHITESPACE if is_even or (is_headed and score(best)[1] < 1) else best


def _is_clean(cell: str, delimiter: str) -> bool:
    if is_number(cell) or (delimiter != "," and _DECIMAL_COMMA.fullmatch(cell)):
        return True
    return not any(other in cell for other in DELIMITERS if other != delimiter)


def _cells(text: str, delimiter: str) -> list[str]:
    if delimiter == WHITESPACE:
        cut = csv.reader([re.sub(r"\t", " ", text).strip()], delimiter=" ", skipinitialspace=True)
    else:
        cut = csv.reader([text], delimiter=delimiter, skipinitialspace=True)
    return next(iter(cut), [])


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    widths = Counter(len(row) for row in rows if row)
    return widths.most_common(1)[0][0] if widths else 0


def _rows(lines: Sequence[_Line], delimiter: str, *, trim: bool) -> list[tuple[list[str], _Line]]:
    """The first rows, each with its last line; quoted cells may hold line ends."""
    if delimiter == WHITESPACE:
        return [(_cells(line.text, delimiter), line) for line in lines[:SNIFFED_ROWS]]
    reader = csv.reader((line.text for line in lines), delimiter=delimiter, skipinitialspace=trim)
    rows: list[tuple[list[str], _Line]] = []
    for cells in reader:
        if cells:
            rows.append((cells, lines[reader.line_num - 1]))
        if len(rows) == SNIFFED_ROWS:
            break
    return rows


def _has_blanks(lines: Sequence[_Line], delimiter: str) -> bool:
    """Whether a blank follows every delimiter."""
    if delimiter == WHITESPACE:
        return True
    bare = [re.sub(r'"[^"]*"', '""', line.text) for line in lines[:SNIFFED_ROWS]]
    # the header is often written by another hand
    followed = [text.split(delimiter)[1:] for text in (bare[1:] or bare)]
    rest = [cell for cells in followed for cell in cells if cell.strip()]
    return bool(rest) and all(cell.startswith(" ") for cell in rest)


def _title_rows(rows: Sequence[Sequence[str]], wanted: Collection[str]) -> int:
    """How many rows, such as a report's title, stand above the one with all the names that the request gives."""
    names = {name for name in wanted if not is_number(name)}
    filled = [{cell.strip() for cell in row} - {""} for row in rows[: MAX_TITLE_ROWS + 1]]
    place = next((place for place, cells in enumerate(filled) if names and names <= cells), 0)
    # a row of the table is no title: it has as many cells as the row of names
    return place if all(len(cells) < len(filled[place]) for cells in filled[:place]) else 0


def _commented_header(
    before: Sequence[str], comment: str, delimiter: str, width: int, wanted: Collection[str]
) -> tuple[str, ...] | None:
    """The names in the last comment before the data, as `numpy.savetxt(..., header=...)` writes them.

    The mark is a name, or the beginning of one, where a delimiter follows it or the request says so: "#,Name,Price".
    """
    comments = [text.strip(" \r\n") for text in before if text.startswith(comment)]
    if not comments:
        return None
    bare, whole = (
        [cell.strip() for cell in _cells(text, delimiter)]
        for text in (comments[-1].removeprefix(comment), comments[-1])
    )
    for cells in (whole, bare) if whole[0] in wanted else (bare, whole):
        if len(cells) == width > 1 and not any(is_number(cell) or not cell for cell in cells):
            return tuple(cells)
    return None


def _is_header(first: Sequence[str], body: Sequence[Sequence[str]], wanted: Collection[str]) -> bool:
    """Whether the first row holds names, judged by what stands below."""
    cells = [cell.strip() for cell in first]
    if any(name in first or name in cells for name in wanted if not is_number(name)):
        return True
    if cells == [str(place) for place in range(len(cells))] or (
        not cells[0] and cells[1:] == [str(place) for place in range(len(cells) - 1)]
    ):
        return True
    columns = [[row[place].strip() for row in body if place < len(row)] for place in range(len(cells))]
    numeric = [_is_numeric(column) for column in columns]
    is_text = [not _is_value(cell) for cell in cells]
    if any(below and text for below, text in zip(numeric, is_text, strict=True)):
        return True
    if any(_is_value(cell) and cell for cell in cells):
        return False
    # all is text: names stand once, categories come again
    again = [cell in column for cell, column in zip(cells, columns, strict=True) if cell]
    return not any(again)


def _is_numeric(column: Sequence[str]) -> bool:
    values = [cell for cell in column if cell not in HOLES]
    return bool(values) and all(is_number(cell) or _DECIMAL_COMMA.fullmatch(cell) for cell in values)


def _is_value(cell: str) -> bool:
    return is_number(cell) or cell in HOLES or _DECIMAL_COMMA.fullmatch(cell) is not None


def _fitted(
    names: tuple[str, ...], body: Sequence[Sequence[str]], width: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a header that is one short of its rows: R's row names, or a delimiter at the end of each row."""
    if width != len(names) + 1 or not body:
        return names, ()
    if all(not row[-1].strip() for row in body):
        return (*names, ""), ("every row ends in a delimiter",)
    if [row[0].strip('"') for row in body] == [str(place + 1) for place in range(len(body))]:
        return ("", *names), ("the first column has no name and numbers the rows",)
    return names, ()


def _without_trailing(names: tuple[str, ...], rows: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if len(names) > 1 and len(rows) > 1 and all(len(row) == len(names) and not row[-1].strip() for row in rows):
        return (*names[:-1], ""), ("every row ends in a delimiter",)
    return names, ()
