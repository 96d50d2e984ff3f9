"""Addresses as the configuration writes them."""

from __future__ import annotations

import pytest

from relay.addresses import split_address, split_advertised


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[::]:8189", ("::", 8189)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        (":8889", ("::", 8889)),
        ("[2001:DB8::1]:443", ("2001:db8::1", 443)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
    ],
)
def test_addresses_and_ports(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "8889", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "localhost:80", "a:b", "1:²"],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"address"):
        split_address(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", ("203.0.113.7", None)),
        ("203.0.113.7:9000", ("203.0.113.7", 9000)),
        ("2001:db8::7", ("2001:db8::7", None)),
        ("[2001:db8::7]", ("2001:db8::7", None)),
        ("[2001:db8::7]:9000", ("2001:db8::7", 9000)),
    ],
)
def test_advertised_addresses_may_leave_the_port_out(text: str, address: tuple[str, int | None]) -> None:
    assert split_advertised(text) == address
