"""Who is asking: access keys, and the caller to whom audits belong."""

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Request

from service.api.problems import UnauthorizedError
from service.settings import Settings

ANONYMOUS = "anonymous"


def authenticate(request: Request) -> str:
    """The caller: without configured keys everyone is the same one, otherwise each key is its own.

    Raises:
        UnauthorizedError: keys are configured, and the request carries none of them.
    """
    settings: Settings = request.app.state.settings
    if not settings.api_keys:
        return ANONYMOUS
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not _is_known(key.strip(), settings.api_keys):
        raise UnauthorizedError
    return caller_of(key.strip())


def caller_of(key: str) -> str:
    """The name under which the audits of a key are stored; it does not reveal the key."""
    return "key-" + _digest(key).hex()[:16]


def _is_known(key: str, known: tuple[str, ...]) -> bool:
    # Digests have one length, and all are compared: the time taken tells nothing about any key.
    digest = _digest(key)
    return any([hmac.compare_digest(digest, _digest(other)) for other in known])  # noqa: C419


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


Caller = Annotated[str, Depends(authenticate)]
