"""Access keys: ``fitcheck_<id>_<secret>``, of which the database holds the id and the SHA-256 of the secret.

The secret is 256 random bits, so that a fast hash is the right one: nobody can try enough secrets to find one, and
slow hashes (for passwords, which people choose) would make every request slow, and floods of wrong keys costly. The id
is looked up by the primary key; the secret's digest is compared in constant time. A request costs one look-up.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

Scope = Literal["read", "submit", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "fitcheck"
SECRET_BYTES = 32
_KEY = re.compile(rf"{PREFIX}_(?P<id>[0-9a-f]{{16}})_(?P<secret>[A-Za-z0-9_-]{{43}})")


@dataclass(frozen=True)
class Identity:
    """Who asks, and what they may do.

    Attributes:
        caller: to whom audits and uploads belong; several keys may be of one caller.
        scopes: `read` looks, `submit` changes, `admin` does both with everybody's.
    """

    caller: str
    scopes: frozenset[str]

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or self.is_admin


@dataclass(frozen=True)
class AccessKey:
    """What is known of a key; the secret is not.

    Attributes:
        note: what the operator wrote down, such as where the key is used.
        last_used_at: to the minute.
    """

    id: str
    caller: str
    scopes: tuple[Scope, ...]
    note: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class NewKey:
    """A key that was just made: the only time that its text is known."""

    id: str
    text: str = field(repr=False)
    digest: bytes = field(repr=False)


def new_key() -> NewKey:
    id_, secret = secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    return NewKey(id_, f"{PREFIX}_{id_}_{secret}", digest_of(secret))


def split(key: str) -> tuple[str, str] | None:
    """The id and the secret of a key; None of what cannot be one, which then costs no look-up."""
    match = _KEY.fullmatch(key)
    return None if match is None else (match["id"], match["secret"])


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def fits(secret: str, digest: bytes) -> bool:
    """Whether the secret is the one that was hashed; the time taken tells nothing."""
    return hmac.compare_digest(digest_of(secret), digest)
