"""Where requests come from."""

from __future__ import annotations

import ipaddress

import pytest
from starlette.requests import Request

from relay.http.peer import peer_of

TRUSTED = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.0.0.0/8")]


def request(
    client: tuple[str, int] | None, server: tuple[str, int | None] | None = None, **headers: str
) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "client": client, "server": server, "headers": raw})


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.3", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, garbage", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("::ffff:127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "10.0.0.1, 10.0.0.2", "10.0.0.1"),
    ],
)
def test_the_nearest_untrusted_address_is_the_client(client: str, forwarded: str, address: str) -> None:
    assert peer_of(request((client, 1), x_forwarded_for=forwarded), TRUSTED).address == address


@pytest.mark.parametrize(
    ("server", "local"),
    [
        (("192.0.2.1", 80), "192.0.2.1"),
        (("::ffff:192.0.2.1", 80), "192.0.2.1"),
        (("fe80::1%eth0", 80), "fe80::1"),
        (("relay.example", 80), None),
        (("/run/loa.sock", None), None),
        (None, None),
    ],
)
def test_the_address_we_were_reached_at(server: tuple[str, int | None] | None, local: str | None) -> None:
    assert peer_of(request(("198.51.100.1", 1), server), []).local_address == local


@pytest.mark.parametrize(
    ("client", "headers", "local"),
    [
        ("127.0.0.1", {"host": "localhost:8889"}, True),
        ("::1", {"host": "[::1]:8889"}, True),
        ("::ffff:127.0.0.1", {"host": "127.0.0.1"}, True),
        ("127.0.0.1", {"host": "localhost", "x_forwarded_for": "203.0.113.9"}, False),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=203.0.113.9"}, False),
        ("127.0.0.1", {"host": "localhost", "via": "1.1 proxy"}, False),
        ("127.0.0.1", {"host": "rebound.example"}, False),
        ("198.51.100.1", {"host": "localhost"}, False),
    ],
)
def test_local_means_this_machine_without_a_proxy(client: str, headers: dict[str, str], local: bool) -> None:
    assert peer_of(request((client, 1), **headers), TRUSTED).local is local


def test_a_connection_without_address_is_nobody() -> None:
    peer = peer_of(request(None), TRUSTED)
    assert (peer.address, peer.local) == ("", False)
