"""Extended reports: octets as RFC 3611 lays them out, and all that is none."""

from __future__ import annotations

import contextlib
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import rtcp, rtcp_xr
from loacodecs.errors import MalformedError
from loacodecs.rtcp_xr import Delay, ExtendedReport

REFERENCE_TIME = bytes.fromhex("04000002 0123456789abcdef")
DELAYS = bytes.fromhex("05000003 00000007 456789ab 00018000")


def packet(*blocks: bytes, ssrc: int = 9) -> bytes:
    """An XR packet of these blocks (RFC 3611 §2)."""
    body = pack("!I", ssrc) + b"".join(blocks)
    return pack("!BBH", 0x80, 207, len(body) // 4) + body


def test_the_layout_is_that_of_the_rfc() -> None:
    report = ExtendedReport(9, 0x0123456789ABCDEF, (Delay(7, 0x456789AB, 0x18000),))
    assert rtcp.serialize([report]) == packet(REFERENCE_TIME, DELAYS)
    assert rtcp.parse(packet(DELAYS, REFERENCE_TIME)) == [report]


def test_a_reference_time_is_named_by_its_middle() -> None:
    assert rtcp_xr.short(0x0123456789ABCDEF) == 0x456789AB


@pytest.mark.parametrize(
    ("seconds", "units"), [(1.5, 0x18000), (0.0, 0), (-1.0, 0), (2e9, 0xFFFFFFFF), (0.000_01, 1)]
)
def test_delays_have_bounds(seconds: float, units: int) -> None:
    assert rtcp_xr.delay_units(seconds) == units


@pytest.mark.parametrize(
    "block",
    [
        bytes.fromhex("06000001 00000000"),  # statistics
        bytes.fromhex("ff000000"),
        bytes.fromhex("04000001 01234567"),  # half a time
        bytes.fromhex("04000000"),
        bytes.fromhex("05000001 00000007"),  # a third of a delay
    ],
    ids=["another kind", "an unknown kind", "half a time", "no time", "part of a delay"],
)
def test_other_blocks_are_passed_over_and_counted(block: bytes) -> None:
    (report,) = rtcp.parse(packet(block, REFERENCE_TIME, block))
    assert report == ExtendedReport(9, 0x0123456789ABCDEF, (), ignored=2)


def test_the_first_of_two_times_counts() -> None:
    (report,) = rtcp.parse(packet(REFERENCE_TIME, bytes.fromhex("04000002 0000000000000001")))
    assert report == ExtendedReport(9, 0x0123456789ABCDEF, (), ignored=1)


@pytest.mark.parametrize(
    "data",
    [
        pack("!BBH", 0x80, 207, 0),
        packet(bytes.fromhex("04000003 0123456789abcdef")),
        packet(bytes.fromhex("0500ffff 00000007 456789ab 00018000")),
    ],
    ids=["no source", "a time beyond its packet", "delays beyond their packet"],
)
def test_broken_packets_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        rtcp.parse(data)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 6), st.binary(max_size=40)), max_size=8))
def test_hostile_blocks_raise_only_malformed(blocks: list[tuple[int, int, bytes]]) -> None:
    laid = b"".join(
        pack("!BBH", kind, 0, words) + content + bytes(-len(content) % 4) for kind, words, content in blocks
    )
    with contextlib.suppress(MalformedError):
        (report,) = rtcp.parse(packet(laid))
        assert isinstance(report, ExtendedReport)
        assert len(report.delays) <= len(laid) // 12
