"""The text of a CSV file as UTF-8, block by block: encoding, comments and runs of blanks are dealt with here."""

import codecs
import csv
import io
import re
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from audits.sources.tables.csv_dialect import WHITESPACE, Dialect

# Also the longest row where lines must be looked at before they are cut into cells.
BLOCK_BYTES = 4 * 2**20

_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# ASCII of which every second byte is zero
_WIDE_ASCII = (
    (re.compile(rb"(?:[\t\r\n -~]\0){4}"), "utf-16-le"),
    (re.compile(rb"(?:\0[\t\r\n -~]){4}"), "utf-16-be"),
)


def wide_encoding(start: bytes) -> str | None:
    """UTF-16 or UTF-32, by the mark that text of them begins with, or by its first characters; None for others."""
    marked = next((name for mark, name in _WIDE_MARKS if start.startswith(mark)), None)
    return marked or next((name for pattern, name in _WIDE_ASCII if pattern.match(start)), None)


class TextError(Exception):
    """The bytes are no text that can be read; `code` and the sentence are for the problem."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


class Utf8(io.RawIOBase):
    """Text of any encoding as UTF-8 without a byte order mark.

    Bytes that begin with a UTF-16 or UTF-32 mark, or with ASCII in UTF-16, are of that encoding. Else they are UTF-8,
    and where they are not and all before them was ASCII, they are Windows-1252 (or Latin-1, where that has no such
    character).

    Attributes:
        encoding: as found so far.
        switched_at: offset of the byte that is no UTF-8.

    Raises:
        TextError: from reading: `data_encoding`, or `data_malformed` for a NUL.
    """

    def __init__(self, stream: BinaryIO, encoding: str | None = None) -> None:
        self._stream = stream
        self.encoding = encoding or ""
        self.switched_at: int | None = None
        self._offset = 0
        self._said = encoding is not None
        self._only_ascii = True
        self._decoder: codecs.IncrementalDecoder | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At least one byte unless the text has ended."""
        while True:
            raw = self._stream.read(size if size > 0 else BLOCK_BYTES)
            begins = self._offset == 0
            self._offset += len(raw)
            text = self._as_utf8(raw, begins=begins, ended=not raw)
            if begins:
                text = text.removeprefix(codecs.BOM_UTF8)
            if b"\0" in text:
                at = self._offset - len(raw) + text.index(b"\0")
                raise TextError("data_malformed", f"it holds a NUL near byte {at:,}, which no text does")
            if text or not raw:
                return text

    def _as_utf8(self, raw: bytes, *, begins: bool, ended: bool) -> bytes:
        if begins:
            self._begin(raw)
        if self._decoder is None:
            return b""
        if self.encoding == "utf-8" and self._only_ascii and raw.isascii():
            return raw
        try:
            text = self._decoder.decode(raw, final=ended)
        except UnicodeDecodeError as error:
            return self._switched(raw, error)
        except UnicodeError as error:  # utf-16 without a mark
            raise TextError("data_encoding", f"it is no {self.encoding}: {error}") from None
        self._only_ascii = self._only_ascii and text.isascii()
        return text.encode("utf-8", "surrogatepass")

    def _begin(self, raw: bytes) -> None:
        if not self._said:
            self.encoding = wide_encoding(raw) or "utf-8"
        self._decoder = codecs.getincrementaldecoder(self.encoding)()
        self.encoding = codecs.lookup(self.encoding).name

    def _switched(self, raw: bytes, error: UnicodeDecodeError) -> bytes:
        """The block in the encoding that is left."""
        pending = len(error.object) - len(raw)
        at = self._offset - len(raw) - pending + error.start
        if self._said or self.encoding != "utf-8" or not self._only_ascii:
            raise TextError("data_encoding", f"it is not {self.encoding.upper()} at byte {at:,}")
        whole = bytes(error.object)
        if not whole[: error.start].isascii():
            raise TextError("data_encoding", f"it is not UTF-8 at byte {at:,}, though it is before")
        self.switched_at = at
        try:
            whole.decode("cp1252")
            self.encoding = "cp1252"
        except UnicodeDecodeError:
            self.encoding = "latin-1"
        # what Windows-1252 leaves open may also come later
        self._decoder = codecs.getincrementaldecoder(self.encoding)("strict")
        self._only_ascii = False
        return self._decoder.decode(whole).encode()


class Rows(io.RawIOBase):
    """The rows of a dialect as Arrow can cut them: no preamble, no comments, one tab for a run of blanks.

    Attributes:
        comments: lines passed over so far.
        quotes: quote characters so far; an odd number at the end means that one was never closed.
    """

    def __init__(self, text: Utf8, dialect: Dialect, preamble: int) -> None:
        """`preamble` are bytes of UTF-8 to pass over."""
        self._text = text
        self._left_of_preamble = preamble
        self._clean = _cleaner(dialect)
        self._waiting = b""
        self._ready = io.BytesIO()
        self.comments = 0
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        ready = self._ready.read(size)
        while not ready:
            block = self._after_preamble(size if self._clean is None and size > 0 else BLOCK_BYTES)
            lines = block if self._clean is None else self._whole_lines(block)
            if not lines and not block:
                return b""
            if self._clean is not None:
                lines, comments = self._clean(lines)
                self.comments += comments
            self.quotes += lines.count(b'"')
            # text grows where it becomes UTF-8, and Arrow relies on getting no more than it asks for
            self._ready = io.BytesIO(lines)
            ready = self._ready.read(size)
        return ready

    def _after_preamble(self, size: int) -> bytes:
        while self._left_of_preamble:
            passed = self._text.read(size)
            if not passed:
                return b""
            rest = passed[self._left_of_preamble :]
            self._left_of_preamble = max(0, self._left_of_preamble - len(passed))
            if rest:
                return rest
        return self._text.read(size)

    def _whole_lines(self, block: bytes) -> bytes:
        """What waited and the block up to a line end outside quotes; all of it at the end."""
        whole = self._waiting + block
        if not block:
            self._waiting = b""
            return whole
        if len(whole) > 4 * BLOCK_BYTES:
            raise TextError(
                "data_cell_too_large", f"a row is longer than {BLOCK_BYTES:,} bytes, or a quote is never closed"
            )
        cut = max(whole.rfind(b"\n"), whole.rfind(b"\r")) + 1
        if whole.count(b'"', 0, cut) % 2:
            cut = 0  # wait for the quote to be closed
        self._waiting = whole[cut:]
        return whole[:cut]


def _cleaner(dialect: Dialect) -> "Callable[[bytes], tuple[bytes, int]] | None":
    """What whole lines of a dialect need before Arrow can cut them, and the comments in them; None for nothing."""
    comment = None if dialect.comment is None else _comment_pattern(dialect.comment)
    respace: Callable[[bytes], bytes] | None = None
    if dialect.delimiter == WHITESPACE:
        respace = _tabs_for_blanks
    elif dialect.trim:
        respace = partial(_without_blanks, cut=dialect.delimiter.encode())
    if comment is None and respace is None:
        return None

    def clean(lines: bytes) -> tuple[bytes, int]:
        comments = 0
        if comment is not None:
            lines, comments = _without_comments(lines, comment)
        return (lines if respace is None else _outside_quotes(lines, respace)), comments

    return clean


def _comment_pattern(mark: str) -> "re.Pattern[bytes]":
    """A quoted cell, which may hold what looks like a comment, or a line that is one."""
    line = rb"^" + re.escape(mark.encode()) + rb"[^\r\n]*(?:\r\n|\r|\n|\Z)"
    return re.compile(rb'"(?:[^"]|"")*"|(?P<comment>' + line + rb")", re.MULTILINE)


def _without_comments(lines: bytes, pattern: "re.Pattern[bytes]") -> tuple[bytes, int]:
    count = 0

    def one(match: "re.Match[bytes]") -> bytes:
        nonlocal count
        if match["comment"] is None:
            return match[0]
        count += 1
        return b""

    return pattern.sub(one, lines), count


def _outside_quotes(lines: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change what stands outside quotes; a quote stands for all that is in one."""
    parts = lines.split(b'"')
    if len(parts) == 1:
        return change(lines)
    parts[0::2] = change(b'"'.join(parts[0::2])).split(b'"')
    return b'"'.join(parts)


def _tabs_for_blanks(text: bytes) -> bytes:
    text = text.replace(b"\t", b" ")
    return _at_line_ends(_repeated(text, b"  ", b" "), b" ").replace(b" ", b"\t")


def _without_blanks(text: bytes, *, cut: bytes) -> bytes:
    text = _repeated(_repeated(text, cut + b" ", cut), b" " + cut, cut)
    return _at_line_ends(text, b" ")


def _at_line_ends(text: bytes, blank: bytes) -> bytes:
    """Without blanks at the beginning and the end of lines."""
    for end in (b"\n", b"\r"):
        text = _repeated(_repeated(text, blank + end, end), end + blank, end)
    return text.strip(blank)


def _repeated(text: bytes, old: bytes, new: bytes) -> bytes:
    while old in text:
        text = text.replace(old, new)
    return text


def row_of_open_quote(rows: Rows, delimiter: str) -> int | None:
    """The row whose quote is never closed; None where all are."""
    lines = io.TextIOWrapper(io.BufferedReader(_Readable(rows)), encoding="utf-8", newline="")
    row = 0
    try:
        for cells in csv.reader(lines, delimiter=delimiter, strict=True):
            row += bool(cells)
    except csv.Error as error:
        # a cell that is never closed may be longer than the csv module takes
        if "unexpected end" in str(error) or "field limit" in str(error):
            return row
    return None


class _Readable(io.RawIOBase):
    """`Rows` for Python's own readers, which fill buffers."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        data = self._rest or self._rows.read(BLOCK_BYTES)
        part, self._rest = data[: len(buffer)], data[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
