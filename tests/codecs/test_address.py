from __future__ import annotations

import pytest

from loacodecs.address import canonical, is_unicast


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:0DB8:0:0::1", "2001:db8::1"),
    ],
)
def test_canonical_has_one_spelling(host: str, expected: str) -> None:
    assert canonical(host, 8189) == (expected, 8189)


@pytest.mark.parametrize(("host", "port"), [("horn.local", 1), ("1.2.3.4", -1), ("1.2.3.4", 65536), ("", 5)])
def test_canonical_refuses(host: str, port: int) -> None:
    with pytest.raises(ValueError):
        canonical(host, port)


def test_only_unicast_literals_can_be_sent_to() -> None:
    assert is_unicast("127.0.0.1")
    assert is_unicast("2001:db8::1")
    for host in ("0.0.0.0", "::", "239.1.2.3", "ff02::1", "255.255.255.255", "a1b2.local", ""):
        assert not is_unicast(host)
