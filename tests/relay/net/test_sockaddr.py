"""Packed socket addresses against what the operating system makes of them."""

from __future__ import annotations

import socket

import pytest

from relay.net import sockaddr
from relay.net.interfaces import host_candidates


@pytest.mark.parametrize(
    ("address", "family"),
    [
        (("127.0.0.1", 8189), socket.AF_INET),
        (("203.0.113.7", 1), socket.AF_INET6),
        (("2001:db8::17", 65_535), socket.AF_INET6),
    ],
)
def test_pack_and_unpack_are_inverse(address: sockaddr.Address, family: int) -> None:
    assert sockaddr.unpack(sockaddr.pack(address, family)) == address


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(OSError):
        sockaddr.pack(("::1", 1), socket.AF_INET)
    with pytest.raises(ValueError):
        sockaddr.unpack(b"\x01\x00" + bytes(26))


def machine() -> list[str]:
    return ["127.0.0.1", "10.1.2.3", "192.0.2.9", "::1", "2001:db8::1"]


def test_candidates_lead_with_the_address_the_request_came_to() -> None:
    found = host_candidates([("::", 8189)], [], "192.0.2.9", machine)
    assert found[0] == ("192.0.2.9", 8189)
    assert set(found) == {("10.1.2.3", 8189), ("192.0.2.9", 8189), ("2001:db8::1", 8189)}


def test_loopback_is_named_only_to_who_came_by_it_or_when_there_is_nothing_else() -> None:
    assert host_candidates([("::", 8189)], [], "127.0.0.1", machine)[0] == ("127.0.0.1", 8189)
    assert host_candidates([("0.0.0.0", 8189)], [], None, lambda: ["127.0.0.1"]) == [("127.0.0.1", 8189)]


def test_an_ipv4_socket_names_no_ipv6() -> None:
    found = host_candidates([("0.0.0.0", 8189)], [], None, machine)
    assert found == [("10.1.2.3", 8189), ("192.0.2.9", 8189)]


def test_advertised_addresses_replace_the_machines_own() -> None:
    advertised = [("198.51.100.4", None), ("198.51.100.5", 9000)]
    found = host_candidates([("::", 8189)], advertised, "10.1.2.3", machine)
    assert found == [("198.51.100.4", 8189), ("198.51.100.5", 9000)]
