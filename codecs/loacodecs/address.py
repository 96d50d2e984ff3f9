"""Transport addresses as every part of Loa writes them: IP text without brackets or scope, and a port."""

from __future__ import annotations

import ipaddress

Address = tuple[str, int]


def canonical(host: str, port: int) -> Address:
    """Return `(host, port)` in the one spelling that compares equal.

    Brackets and an IPv6 scope (`%eth0`) are dropped, an IPv4-mapped IPv6 address (what a dual-stack socket
    gives, RFC 4291 §2.5.5.2) becomes IPv4 text. Raises ValueError when `host` is no IP address or `port` is
    outside 0..65535.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port} is not in 0..65535")
    address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped), port
    return str(address), port


def is_unicast(host: str) -> bool:
    """Tell whether `host` is an IP literal one datagram can be sent to (not multicast, not 0.0.0.0)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified or host == "255.255.255.255")
