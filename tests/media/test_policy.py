"""Nothing inside is reached from outside: addresses, names, redirects, files, devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loamedia.errors import SourceError, SourceForbidden
from loamedia.policy import ANYTHING, Policy, is_public


@pytest.mark.parametrize("address", ["8.8.8.8", "203.162.4.191", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
def test_the_public_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
     "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::",
     "2001:0:7f00:1::1", "64:ff9b:1::a00:1", "fec0::1", "nonsense", ""],
)  # fmt: skip
def test_everything_else(address: str) -> None:
    assert not is_public(address)


def test_a_name_is_what_its_addresses_are() -> None:
    policy = Policy()
    assert policy.addresses("radio", 80, lambda *_: ["10.0.0.1", "8.8.8.8"]) == ["8.8.8.8"]
    with pytest.raises(SourceForbidden, match="radio is an internal address"):
        policy.addresses("radio", 80, lambda *_: ["10.0.0.1", "::1"])
    assert Policy(allow_private=True).addresses("radio", 80, lambda *_: ["10.0.0.1"]) == ["10.0.0.1"]
    assert ANYTHING.addresses("radio", 80, lambda *_: ["127.0.0.1"]) == ["127.0.0.1"]


def test_an_unknown_name_may_be_known_later() -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(SourceError, match="cannot find radio: name or service not known") as raised:
        Policy().addresses("radio", 80, nobody)
    assert raised.value.passing


def test_hosts_by_pattern() -> None:
    policy = Policy(allow_hosts=("*.vov.vn", "radio.example"))
    policy.check_host("STR.vov.vn.")
    policy.check_host("radio.example", named=True)
    for host in ("vov.vn.evil.example", "evilvov.vn", "8.8.8.8"):
        with pytest.raises(SourceForbidden, match="allow_hosts"):
            policy.check_host(host)
    Policy().check_host("anything.example")
    with pytest.raises(SourceForbidden):
        Policy().check_host("anything.example", named=True)


def test_files_are_judged_by_where_they_really_are(tmp_path: Path) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "allowed-not"
    for folder in (allowed, secret):
        folder.mkdir()
        (folder / "a").write_text("x")
    (allowed / "link").symlink_to(secret / "a")
    policy = Policy(allow_files=(allowed,))

    def judge(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            policy.check_file(descriptor, str(path))
        finally:
            os.close(descriptor)

    judge(allowed / "a")
    for path in (secret / "a", allowed / "link", allowed / ".." / "allowed-not" / "a"):
        with pytest.raises(SourceForbidden, match="allow_files"):
            judge(path)


def test_line_inputs_by_pattern() -> None:
    Policy(allow_devices=("hw:1*",)).check_device("hw:1,0")
    ANYTHING.check_device("default")
    with pytest.raises(SourceForbidden, match="allow_devices"):
        Policy().check_device("hw:1")
