"""Which addresses of the network may be connected to on somebody else's behalf.

A name is looked up once, every address that it has is judged, and one that was judged is connected to: a name may be
answered otherwise the next time.
"""

import ipaddress
from collections.abc import Iterable

# Of IPv6, all that is assigned to the public. What lies elsewhere may carry an IPv4 address (NAT64, compatible and
# translated addresses) or be of a site, and versions of Python disagree on whether it is global.
_UNICAST = ipaddress.ip_network("2000::/3")
# An address of Azure's that is public and answers virtual machines alone.
_CLOUD = frozenset({ipaddress.ip_address("168.63.129.16")})
_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
# Amazon's metadata and time services over IPv6 lie among the private addresses.
_METADATA = ipaddress.ip_network("fd00:ec2::/32")


def is_public(address: str) -> bool:
    """Whether everyone may reach it, also where an IPv6 address carries an IPv4 one."""
    ip = _parse(address)
    if isinstance(ip, ipaddress.IPv6Address) and (ip not in _UNICAST or ip.sixtofour or ip.teredo):
        return False
    return ip.is_global and not ip.is_multicast and ip not in _CLOUD


def is_private(address: str) -> bool:
    """Whether it is of a private network: not of this machine, of the link, nor of a cloud's metadata."""
    ip = _parse(address)
    return any(ip in network for network in _PRIVATE) and ip not in _METADATA


def is_loopback(address: str) -> bool:
    return _parse(address).is_loopback


def choose(addresses: Iterable[str]) -> str:
    """The address to connect to: IPv4 where there is one, and the same every time."""
    return min(addresses, key=lambda address: (":" in address, address))


def literal(address: str) -> str:
    """The address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address.split("%", 1)[0])
