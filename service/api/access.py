"""Who is asking: access keys, the caller to whom audits and uploads belong, and how often they may ask."""

import hashlib
import hmac
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request

from service.access.keys import Identity, Scope, split
from service.access.store import Keys
from service.api.limits import RateLimiter
from service.api.middleware import EXTRA_HEADERS
from service.api.problems import CrossSiteError, ForbiddenError, UnauthorizedError
from service.settings import Settings

ANONYMOUS = Identity("anonymous", frozenset({"read", "submit"}))
READING = frozenset({"GET", "HEAD"})
MAX_KEY_CHARACTERS = 512


def authenticate(request: Request) -> Identity:
    """Who asks; may they, by the method of the request, and may they now?

    Where no key exists everyone is the same caller. Looking needs the scope `read`, everything else `submit`.

    Raises:
        UnauthorizedError: there are keys, and the request carries none of them.
        ForbiddenError: the key lacks the scope.
        CrossSiteError: there are no keys, and a page of another site asks through its reader's browser.
        RateLimitedError: too many requests.
    """
    scope: Scope = "read" if request.method in READING else "submit"
    identity = _identify(request)
    # Counted before anything else is judged: refusals cost as much as answers.
    request.scope[EXTRA_HEADERS].update(limiter_of(request).take(identity.caller))
    if not identity.may(scope):
        raise ForbiddenError(scope)
    return identity


def limiter_of(request: Request) -> RateLimiter:
    return cast(RateLimiter, request.app.state.limiter)


def caller_of(key: str) -> str:
    """The name under which the audits of a key of the settings are stored; it does not reveal the key."""
    return "key-" + _digest(key).hex()[:16]


def _identify(request: Request) -> Identity:
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    key = sent.strip() if scheme.lower() == "bearer" else ""
    if (identity := identity_of(request, key)) is not None:
        return identity
    if asks_for_keys(request):
        raise refused(request, sent=bool(key))
    if request.method not in READING:
        require_same_site(request)
    return ANONYMOUS


def identity_of(request: Request, key: str) -> Identity | None:
    """Who carries this key; None where it opens nothing."""
    settings: Settings = request.app.state.settings
    keys: Keys | None = request.app.state.keys
    if not 0 < len(key) <= MAX_KEY_CHARACTERS:
        return None
    if _is_known(key, settings.api_keys):
        return Identity(caller_of(key), ANONYMOUS.scopes)
    return None if keys is None else keys.identify(key)


def asks_for_keys(request: Request) -> bool:
    """Whether nobody is let in without a key."""
    keys: Keys | None = request.app.state.keys
    return bool(request.app.state.settings.api_keys) or (keys is not None and keys.any())


def reference_of(key: str) -> str:
    """Names a key without revealing it: what a browser's session remembers."""
    parts = split(key)
    return caller_of(key) if parts is None else parts[0]


def identity_behind(request: Request, reference: str) -> Identity | None:
    """Who carries the key of this reference now; None where it counts no more."""
    settings: Settings = request.app.state.settings
    keys: Keys | None = request.app.state.keys
    for key in settings.api_keys:
        if reference_of(key) == reference:
            return Identity(caller_of(key), ANONYMOUS.scopes)
    return None if keys is None else keys.identity_behind(reference)


def refused(request: Request, *, sent: bool) -> UnauthorizedError:
    """The refusal of a wrong key. Whoever guesses is counted by address, so that guesses are slow.

    Raises:
        RateLimitedError: too many guesses.
    """
    limiter_of(request).take(f"address {request.client.host if request.client else ''}")
    return UnauthorizedError(sent=sent)


def require_same_site(request: Request) -> None:
    """Refuse what a browser sent for a page from elsewhere: without keys it would be taken for its reader's own.

    Browsers name the page's origin with every request that may change something; programs send no such header.
    """
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower():
        raise CrossSiteError


def _is_known(key: str, known: tuple[str, ...]) -> bool:
    # Digests have one length, and all are compared: the time taken tells nothing about any key.
    digest = _digest(key)
    return any([hmac.compare_digest(digest, _digest(other)) for other in known])  # noqa: C419


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


Asking = Annotated[Identity, Depends(authenticate)]


def _caller(identity: Asking) -> str:
    return identity.caller


def _owner(identity: Asking) -> str | None:
    return None if identity.is_admin else identity.caller


# To whom belongs what the request makes.
Caller = Annotated[str, Depends(_caller)]
# Whose things the request may see; None: everybody's.
Owner = Annotated[str | None, Depends(_owner)]
