"""Extended reports of RTCP (RFC 3611), as far as they compare clocks: reference time and delay since the last one.

One who only receives says what time it has (§4.4), and a sender answers with the time it got that and a report of its
own (§4.5); with the arrival of the answer these are the four times of an exchange (RFC 5905 §8):

    sent       the reference time that the answer names
    received   NTP time of the sender report that comes with the answer, less the delay that the answer tells
    replied    NTP time of that sender report

Other blocks (loss, duplicates, metrics of telephony) are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from struct import pack, unpack_from
from typing import Final

# Block types (RFC 3611 §4.4, §4.5).
_REFERENCE_TIME, _DELAYS = 4, 5
_DELAY: Final = struct.Struct("!III")
_LONGEST_DELAY: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Delay:
    """When a sender had heard from the receiver `ssrc` last (RFC 3611 §4.5).

    `last` is the middle 32 bits of the reference time, `delay` the time since its receipt in 1/65536 s.
    """

    ssrc: int
    last: int
    delay: int


@dataclass(frozen=True, slots=True)
class ExtendedReport:
    """An extended report of `ssrc` (RFC 3611 §2).

    `reference_time` is what its clock showed when it left (Q32.32, §4.4), None when it does not say. `ignored` blocks
    were of other kinds or of an impossible length; they are not written.
    """

    ssrc: int
    reference_time: int | None = None
    delays: tuple[Delay, ...] = ()
    ignored: int = 0


def short(ntp: int) -> int:
    """The middle 32 bits of an NTP time (Q32.32), by which others name it: it wraps after 18 hours."""
    return ntp >> 16 & 0xFFFFFFFF


def delay_units(seconds: float) -> int:
    """A delay in 1/65536 s, as it is written; from 0 to what 32 bits hold."""
    return max(0, min(round(seconds * 65536), _LONGEST_DELAY))


def parse_body(body: bytes) -> ExtendedReport:
    """Read what follows the header of an XR packet.

    Raises ValueError or struct.error when a block is longer than the packet or the packet has no SSRC.
    """
    (ssrc,) = unpack_from("!I", body)
    reference_time, ignored = None, 0
    delays: list[Delay] = []
    for kind, block in _blocks(body):
        if kind == _REFERENCE_TIME and len(block) == 8 and reference_time is None:
            (reference_time,) = unpack_from("!Q", block)
        elif kind == _DELAYS and len(block) % _DELAY.size == 0:
            delays += [Delay(*fields) for fields in _DELAY.iter_unpack(block)]
        else:
            ignored += 1
    return ExtendedReport(ssrc, reference_time, tuple(delays), ignored)


def body(report: ExtendedReport) -> bytes:
    """What follows the header of the XR packet that says so."""
    parts = [pack("!I", report.ssrc)]
    if report.reference_time is not None:
        parts.append(pack("!BBHQ", _REFERENCE_TIME, 0, 2, report.reference_time))
    if report.delays:
        parts.append(pack("!BBH", _DELAYS, 0, 3 * len(report.delays)))
        parts += [_DELAY.pack(each.ssrc, each.last, each.delay) for each in report.delays]
    return b"".join(parts)


def _blocks(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each block (RFC 3611 §3)."""
    position, end = 4, len(body)
    while position < end:
        kind, _, words = unpack_from("!BBH", body, position)
        start, position = position + 4, position + 4 + 4 * words
        if position > end:
            raise ValueError("a report block is longer than its packet")
        yield kind, body[start:position]
