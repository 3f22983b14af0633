"""A file over https: one address that is looked up once, judged, and connected to; no redirects, no proxies."""

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from audits.sources import addresses
from schemas.problem import DataError, RequestError

DEADLINE_SECONDS = 1800.0
TIMEOUT_SECONDS = 30.0
PORTS = {"https": 443, "http": 80}


def download(url: str, target: Path, *, max_bytes: int, private: bool, field: str) -> None:
    """Fetch one file.

    Args:
        url: http or https.
        target: must not exist.
        max_bytes: more are refused, whatever the server announces.
        private: whether the host may be of this machine or of a private network.
        field: request field to blame.

    Raises:
        RequestError: `uri_host_forbidden`.
        FileNotFoundError: the server says so.
        OSError, httpx.HTTPError: it cannot be fetched.
        DataError: `data_too_large`.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    address = _address_of(host, port, private=private, field=field)
    # the very address that was judged is connected to: a name may be answered otherwise the next time
    pinned = urlunsplit((parts.scheme, f"{addresses.literal(address)}:{port}", parts.path or "/", parts.query, ""))
    headers = {"Host": parts.netloc, "Accept-Encoding": "identity", "User-Agent": "fitcheck"}
    begun = time.monotonic()
    with (
        httpx.Client(trust_env=False, follow_redirects=False, timeout=TIMEOUT_SECONDS) as client,
        client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": host}) as answer,
    ):
        if answer.status_code in {404, 410}:
            raise FileNotFoundError(url)
        if answer.status_code != httpx.codes.OK:
            raise OSError(f"the server answers {answer.status_code}; redirects are not followed")
        written = 0
        with target.open("xb") as file:
            for block in answer.iter_raw():
                written += len(block)
                if written > max_bytes:
                    raise DataError(
                        "data_too_large", f"{host} sends more than {max_bytes:,} bytes; name less.", field=field
                    )
                if time.monotonic() - begun > DEADLINE_SECONDS:
                    raise OSError(f"it takes longer than {DEADLINE_SECONDS:.0f} seconds")
                file.write(block)
    if answer.headers.get("content-length", str(written)) != str(written):
        raise OSError("the connection ended early")
    target.chmod(0o444)


def _address_of(host: str, port: int, *, private: bool, field: str) -> str:
    """The address to connect to; every address of a host must be public unless `private` ones are allowed."""
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    if not private and not all(addresses.is_public(address) for address in found):
        raise RequestError(
            "uri_host_forbidden",
            f"{host} lies in a private network or on the service's own machine, so it is not asked. Have "
            f"https://{host}/ added to FITCHECK_REMOTE, or copy the files below a data root.",
            field=field,
        )
    return addresses.choose(found)
