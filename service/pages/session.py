"""Browsers that are logged in, and forms that only our own pages can send.

A session is a signed cookie: the reference of an access key, an end, and a random number. It holds no key, and it opens
nothing once its key is revoked, for the key is looked up at every request. Browsers without a session get a cookie that
names nobody, so that their forms too have a token. The token of a form is a keyed hash of the cookie: a page of another
site can read neither.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from fastapi.responses import Response

from service.settings import Settings

SESSION, VISITOR = "fitcheck_session", "fitcheck_visitor"
NOBODY = "-"
MAX_COOKIE_CHARACTERS = 512


class Sessions:
    """Makes and reads the cookies; keeps nothing.

    Args:
        settings: how long a session lasts, and what signs it.
        clock: seconds since 1970; for tests.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._secret = _secret(settings)
        self._seconds = round(settings.session_hours * 3600)
        self._clock = clock

    def new(self, reference: str = NOBODY) -> str:
        """The cookie of a browser in which this key was entered, or of one in which none was."""
        content = f"{reference}.{int(self._clock()) + self._seconds}.{secrets.token_urlsafe(16)}"
        return f"{content}.{self._sign('cookie', content)}"

    def reference(self, cookie: str) -> str | None:
        """Whose key the cookie remembers; None where it is not ours, or has ended."""
        content, _, signature = cookie[:MAX_COOKIE_CHARACTERS].rpartition(".")
        if not hmac.compare_digest(self._sign("cookie", content).encode(), signature.encode()):
            return None
        reference, end, _ = content.split(".")
        return reference if int(end) > self._clock() else None

    def token(self, cookie: str) -> str:
        """What a form must send along with this cookie."""
        return self._sign("form", cookie)

    def fits(self, cookie: str, token: str) -> bool:
        return hmac.compare_digest(self.token(cookie).encode(), token.encode())

    def set(self, response: Response, name: str, cookie: str, *, is_secure: bool) -> None:
        response.set_cookie(
            name, cookie, max_age=self._seconds, path="/", secure=is_secure, httponly=True, samesite="strict"
        )

    def _sign(self, purpose: str, content: str) -> str:
        return hmac.new(self._secret, f"{purpose}:{content}".encode(), hashlib.sha256).hexdigest()


def forget(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", httponly=True, samesite="strict")


def _secret(settings: Settings) -> bytes:
    """The signing key: of the settings, of all processes with the same access keys, or of this process alone."""
    told = settings.session_secret or "\0".join(settings.api_keys)
    if not told:
        return secrets.token_bytes(32)
    return hashlib.sha256(f"fitcheck session\0{told}".encode()).digest()
