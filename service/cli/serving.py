"""`fitcheck serve`, `api` and `worker`: settings from options, then the processes."""

from typing import Any

from pydantic import ValidationError

from schemas.problem import RequestError
from service.access import store as access
from service.settings import PREFIX, Settings


def settings_from(**options: Any) -> Settings:
    """The settings of the environment with the options that were given laid over them.

    Raises:
        RequestError: a setting is invalid; names all of them.
    """
    given = {name: value for name, value in options.items() if value not in {None, ()}}
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "; ".join(
            f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors(include_url=False)
        )
        raise RequestError("invalid_setting", f"{wrong}. See `fitcheck serve --help`.") from None


def require_safe_bind(settings: Settings) -> None:
    """Refuse to listen to other machines without access keys.

    Raises:
        RequestError: the host is not loopback, and there are no keys.
    """
    try:
        access.require_safe_bind(settings)
    except ValueError as error:
        raise RequestError("unsafe_bind", f"{error}.", field="host") from None


def require_signed_callbacks(settings: Settings) -> None:
    """Refuse to send webhooks that nothing signs.

    Raises:
        RequestError: receivers are allowed, and there are no secrets.
    """
    try:
        settings.require_signed_callbacks()
    except ValueError as error:
        raise RequestError("callback_secrets_missing", f"{error}.", field="callback_secrets") from None
