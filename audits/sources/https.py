"""A file over https: each address is looked up once, judged, and connected to; every redirect passes the same gate."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from audits.sources.addresses import choose, is_loopback, is_private, is_public, literal
from schemas.problem import DataError, RequestError

DEADLINE_SECONDS = 1800.0
TIMEOUT_SECONDS = 30.0
MAX_REDIRECTS = 3
PORTS = {"https": 443, "http": 80}

# An address that was redirected to -> the address in its usual spelling, and whether its host may be private.
Gate = Callable[[str], tuple[str, bool]]


def download(
    url: str, target: Path, *, max_bytes: int, private: bool, field: str, redirected: Gate | None = None
) -> None:
    """Fetch one file. Nothing is left of one that does not arrive whole.

    Args:
        url: http or https.
        target: must not exist.
        max_bytes: more are refused, whether the server announces them or not.
        private: whether the host may be of this machine or of a private network; never of the link or a cloud's
            metadata.
        field: request field to blame.
        redirected: judges where a redirect leads; without it none is followed.

    Raises:
        RequestError: `uri_host_forbidden`, or what `redirected` raises.
        FileNotFoundError: the server says so.
        OSError, httpx.HTTPError: it cannot be fetched.
        DataError: `data_too_large`.
    """
    try:
        asyncio.run(_in_time(url, target, max_bytes, private, field, redirected))
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    target.chmod(0o444)


async def _in_time(url: str, target: Path, max_bytes: int, private: bool, field: str, redirected: Gate | None) -> None:
    """Over all of it: a server that sends a byte now and then must not keep us."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await _follow(url, target, max_bytes, private, field, redirected)
    except TimeoutError:
        raise OSError(f"it takes longer than {DEADLINE_SECONDS:g} seconds") from None


async def _follow(url: str, target: Path, max_bytes: int, private: bool, field: str, redirected: Gate | None) -> None:
    for _ in range(MAX_REDIRECTS + 1):
        location = await _fetch(url, target, max_bytes, private, field)
        if location is None:
            return
        if redirected is None:
            raise OSError("the server redirects elsewhere, which is not followed")
        url, private = redirected(urljoin(url, location))
    raise OSError(f"the server redirects more than {MAX_REDIRECTS} times")


async def _fetch(url: str, target: Path, max_bytes: int, private: bool, field: str) -> str | None:
    """Write the file; or where the server redirects to."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    address = await _address_of(host, port, private=private, field=field)
    # the very address that was judged is connected to: a name may be answered otherwise the next time
    pinned = urlunsplit((parts.scheme, f"{literal(address)}:{port}", parts.path or "/", parts.query, ""))
    headers = {"Host": parts.netloc, "Accept-Encoding": "identity", "User-Agent": "fitcheck"}
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=TIMEOUT_SECONDS) as client,
        client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": host}) as answer,
    ):
        if answer.is_redirect:
            return str(answer.headers.get("Location", ""))
        if answer.status_code in {404, 410}:
            raise FileNotFoundError(host)
        if answer.status_code != httpx.codes.OK:
            raise OSError(f"the server answers {answer.status_code}")
        await _write(answer, target, max_bytes, host, field)
    return None


async def _write(answer: httpx.Response, target: Path, max_bytes: int, host: str, field: str) -> None:
    announced = answer.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(host, max_bytes, field)
    written = 0
    with target.open("xb") as file:
        async for block in answer.aiter_raw():
            written += len(block)
            if written > max_bytes:
                raise _too_large(host, max_bytes, field)
            file.write(block)
    if announced not in {"", str(written)}:
        raise OSError("the connection ended early")


def _too_large(host: str, max_bytes: int, field: str) -> DataError:
    return DataError("data_too_large", f"{host} sends more than {max_bytes:,} bytes; name less.", field=field)


async def _address_of(host: str, port: int, *, private: bool, field: str) -> str:
    """The address to connect to; every address of a host must be public unless `private` ones are allowed."""
    entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = {str(entry[4][0]) for entry in entries}
    if not all(_may_be_asked(address, private=private) for address in found):
        raise RequestError(
            "uri_host_forbidden",
            f"{host} lies in a private network or on the service's own machine, so it is not asked. Have "
            f"https://{host}/ added to FITCHECK_REMOTE, or copy the files below a data root.",
            field=field,
        )
    return choose(found)


def _may_be_asked(address: str, *, private: bool) -> bool:
    return is_public(address) or (private and (is_private(address) or is_loopback(address)))
