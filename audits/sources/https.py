"""A file over https: one address that is looked up once, judged, and connected to; no redirects, no proxies."""

import ipaddress
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

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
    literal = f"[{address}]" if ":" in address else address
    pinned = urlunsplit((parts.scheme, f"{literal}:{port}", parts.path or "/", parts.query, ""))
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
    if not private and not all(_is_public(address) for address in found):
        raise RequestError(
            "uri_host_forbidden",
            f"{host} lies in a private network or on the service's own machine, so it is not asked. Have "
            f"https://{host}/ added to FITCHECK_REMOTE, or copy the files below a data root.",
            field=field,
        )
    return min(found, key=lambda address: (":" in address, address))


def _is_public(address: str) -> bool:
    """Whether everyone may reach it, also where an IPv6 address carries an IPv4 one."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        within = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if within is not None or ip in _TRANSLATED:
            return False
    return ip.is_global and not ip.is_multicast and ip not in _CLOUD


# NAT64, and an address of Azure's that is public and answers virtual machines alone.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_CLOUD = frozenset({ipaddress.ip_address("168.63.129.16")})
