"""Identifiers of audits, and the cursors that point between them."""

import base64
import binascii
import re
import secrets
import time
import uuid

from service.jobs.errors import BadCursor

_IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_identifier() -> str:
    """A UUID of version 7 (RFC 9562): sorts by time, to a quarter of a microsecond, and cannot be guessed."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    high = (milliseconds << 16) | (0x7 << 12) | fraction
    low = (0b10 << 62) | secrets.randbits(62)
    return str(uuid.UUID(int=(high << 64) | low))


def cursor_after(audit_id: str) -> str:
    """The cursor of the page that begins after this audit."""
    return base64.urlsafe_b64encode(audit_id.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """The audit that a cursor points behind.

    Raises:
        BadCursor: it is none of ours.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadCursor from None
    if not _IDENTIFIER.fullmatch(text):
        raise BadCursor
    return text
