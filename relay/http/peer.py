"""Where a request came from and where it arrived, proxies considered."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

#: A request with one of these came through somebody else's HTTP server.
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "via")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def parse_ip(text: str) -> IpAddress | None:
    """The address in `text`, an IPv4 address mapped into IPv6 as IPv4; None when it is no address."""
    try:
        address = ipaddress.ip_address(text.strip().removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a request's connection.

    `address` is the client's, from X-Forwarded-For when the connection comes from a trusted proxy;
    `local_address` is the IP the client itself reached us at, None behind a proxy or without IP; `local`
    means that the client is on this very machine and speaks to us directly.
    """

    address: str
    local_address: str | None
    local: bool


def peer_of(request: HTTPConnection, trusted: Sequence[IpNetwork]) -> Peer:
    """The peer of `request`; forwarded addresses are believed from `trusted` networks only."""
    scope, headers = request.scope, request.headers
    client = scope.get("client")
    direct = parse_ip(client[0]) if client else None
    proxied = any(name in headers for name in _PROXY_HEADERS)
    address = direct
    if direct is not None and proxied and _within(direct, trusted):
        address = _forwarded_for(headers.getlist("x-forwarded-for"), direct, trusted)
    server = scope.get("server")
    arrived_at = parse_ip(server[0]) if server and not proxied else None
    host = headers.get("host", "")
    host = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    local = direct is not None and direct.is_loopback and not proxied and host in _LOCAL_HOSTS
    return Peer(str(address or ""), str(arrived_at) if arrived_at else None, local)


def _forwarded_for(fields: Sequence[str], direct: IpAddress, trusted: Sequence[IpNetwork]) -> IpAddress:
    """The nearest address that is not a trusted proxy's: any further left may be the client's invention."""
    address = direct
    for text in reversed(",".join(fields).split(",")):
        parsed = parse_ip(text)
        if parsed is None:
            break
        address = parsed
        if not _within(parsed, trusted):
            break
    return address


def _within(address: IpAddress, networks: Sequence[IpNetwork]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
