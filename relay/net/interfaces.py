"""Which addresses of this machine a listener could reach: the host candidates of the relay (RFC 8445 §5.1.1)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence

import ifaddr

from relay.net.sockaddr import Address


def machine_addresses() -> list[str]:
    """IP texts of all interfaces, loopback included, link-local excluded (they need a scope SDP cannot carry)."""
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            ip = ipaddress.ip_address(text.partition("%")[0])
            if not ip.is_link_local:
                found.append(str(ip))
    return found


def host_candidates(
    bound: Iterable[Address],
    advertised: Sequence[tuple[str, int | None]],
    asked_at: str | None,
    enumerate_addresses: Callable[[], list[str]] = machine_addresses,
) -> list[Address]:
    """The addresses to name in an answer, the most likely one first.

    `bound` are the media sockets' addresses, `advertised` the configured public ones (a port of None: that of the
    first socket), `asked_at` the address the HTTP request arrived at: where that reached us, media will, too.
    Loopback is named only to who came over loopback, or when there is nothing else.
    """
    sockets = list(bound)
    if advertised:
        return [(host, port or sockets[0][1]) for host, port in advertised]
    found: list[Address] = []
    for host, port in sockets:
        if not ipaddress.ip_address(host).is_unspecified:
            found.append((host, port))
            continue
        families = (4,) if ":" not in host else (4, 6)
        for text in enumerate_addresses():
            if ipaddress.ip_address(text).version in families:
                found.append((text, port))
    local = asked_at is not None and _is_loopback(asked_at)
    outward = [address for address in found if not _is_loopback(address[0])]
    chosen = found if local or not outward else outward
    return sorted(dict.fromkeys(chosen), key=lambda address: address[0] != asked_at)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
