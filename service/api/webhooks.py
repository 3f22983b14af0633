"""Webhooks: a CloudEvent (https://cloudevents.io, 1.0) for each audit that ends, signed after the Standard Webhooks
(https://www.standardwebhooks.com).

The request names the receiver, so that every address is looked at twice: the name when the audit is submitted, the
address to which it leads when it is connected to.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx
import structlog

from audits.sources import addresses
from schemas.job import Job
from service.api.problems import CallbackRefusedError, CallbackUnsupportedError
from service.jobs.callbacks import Delivery
from service.settings import Settings, is_loopback, secret_bytes

TIMEOUT_SECONDS = 10.0
PORTS = {"https": 443, "http": 80}
MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
GONE = 410  # the receiver wants no more

log = structlog.get_logger(__name__)


class UndeliveredError(Exception):
    """The receiver did not take it; the text is for the caller.

    Args:
        is_final: another try would be of no use.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


def require_allowed(url: str, settings: Settings) -> None:
    """Refuse a receiver that the operator does not allow.

    Raises:
        CallbackUnsupportedError: none is allowed.
        CallbackRefusedError: `callback_url_invalid`, `callback_host_forbidden`.
    """
    if not (settings.callback_hosts or settings.callback_private_hosts):
        raise CallbackUnsupportedError
    parts = _split(url)
    host = parts.hostname or ""
    if not _is_listed(host, (*settings.callback_hosts, *settings.callback_private_hosts)):
        raise CallbackRefusedError(
            "callback_host_forbidden",
            f"Webhooks may not go to {host[:100]!r}. Name a host that the operator allows, or have it added to "
            "FITCHECK_CALLBACK_HOSTS.",
        )
    if parts.scheme != "https" and not is_loopback(host):
        raise CallbackRefusedError("callback_url_invalid", "Give an https address: a webhook tells of your models.")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is none
        (parts.hostname or "").encode("idna")  # as it is done where the name is looked up
    except ValueError:
        raise _invalid() from None
    plain = all(" " < character < "\x7f" for character in url)
    if not plain or parts.scheme not in PORTS or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise _invalid()
    return parts


def _invalid() -> CallbackRefusedError:
    return CallbackRefusedError(
        "callback_url_invalid", "Give an address like https://host/path, without user, password and fragment."
    )


def _is_listed(host: str, listed: Sequence[str]) -> bool:
    return any(host == entry or (entry.startswith("*.") and host.endswith(entry[1:])) for entry in listed)


def event_of(job: Job) -> dict[str, Any]:
    """The CloudEvent of a finished audit; the same at every attempt."""
    return {
        "specversion": "1.0",
        "id": f"{job.id}.{job.status}",
        "source": "/v1/audits",
        "type": f"fitcheck.audit.{job.status}",
        "subject": job.id,
        "time": job.model_dump(mode="json")["finished_at"],
        "datacontenttype": "application/json",
        "data": job.model_dump(mode="json"),
    }


def signed_headers(event_id: str, body: bytes, secrets: Sequence[str], now: float) -> dict[str, str]:
    """The headers by which a receiver knows that the body is ours, and not an old one sent again."""
    timestamp = str(int(now))
    content = b".".join((event_id.encode(), timestamp.encode(), body))
    digests = (hmac.new(secret_bytes(secret), content, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


async def deliver(delivery: Delivery, settings: Settings) -> None:
    """Send a webhook.

    Raises:
        UndeliveredError: why it was not taken.
    """
    event = event_of(delivery.job)
    body = json.dumps(event, separators=(",", ":")).encode()
    headers = {
        "Content-Type": MEDIA_TYPE,
        "User-Agent": "fitcheck",
        **signed_headers(event["id"], body, settings.callback_secrets, time.time()),
    }
    try:
        # Over all of it: a receiver that sends a byte now and then must not keep us.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            status = await _post(delivery.url, body, headers, settings)
    except TimeoutError:
        raise UndeliveredError(f"No answer within {TIMEOUT_SECONDS:.0f} seconds.") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        log.info("callback_failed", audit=delivery.job.id, error=str(error))
        raise UndeliveredError("The host cannot be reached.") from None
    if not httpx.codes.is_success(status):
        what = "a redirect, which is not followed" if httpx.codes.is_redirect(status) else "which is no success"
        raise UndeliveredError(f"The host answered {status}, {what}.", is_final=status == GONE)


async def _post(url: str, body: bytes, headers: dict[str, str], settings: Settings) -> int:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    address = await _address_of(host, port, settings)
    pinned = urlunsplit((parts.scheme, f"{addresses.literal(address)}:{port}", parts.path or "/", parts.query, ""))
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=TIMEOUT_SECONDS) as client,
        # The body of the answer is not read: nothing in it is for us.
        client.stream(
            "POST",
            pinned,
            content=body,
            headers={**headers, "Host": parts.netloc},
            extensions={"sni_hostname": host},
        ) as answer,
    ):
        return answer.status_code


async def _address_of(host: str, port: int, settings: Settings) -> str:
    """The address to connect to.

    Raises:
        UndeliveredError: the host has one to which webhooks must not go, or is not allowed any more.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    known = {str(entry[4][0]) for entry in found}
    if not all(_may_go_to(host, address, settings) for address in known):
        raise UndeliveredError("The host is not allowed, or its address lies where webhooks must not go.")
    return addresses.choose(known)


def _may_go_to(host: str, address: str, settings: Settings) -> bool:
    if _is_listed(host, settings.callback_private_hosts) and addresses.is_private(address):
        return True
    if not _is_listed(host, (*settings.callback_hosts, *settings.callback_private_hosts)):
        return False
    return addresses.is_public(address) or (is_loopback(host) and addresses.is_loopback(address))
