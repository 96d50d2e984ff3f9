"""RTCP: reports, source description, goodbye and NACK, compound or reduced-size (RFC 3550 §6, 3611, 4585, 5506).

The layouts are ours (docs/adr/008-own-sdp-and-rtcp-grammar.md); the tests hold them against aiortc's.
`parse` raises only `MalformedError`; its work is bounded by the datagram.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from struct import iter_unpack, pack, unpack_from
from typing import Final

from . import rtcp_xr
from .errors import MalformedError
from .rtp import sequence_delta, timestamp_delta

NACK_MAX = 1024
"""Sequence numbers read from one NACK; a peer that asks for more is told about the first ones only."""

# Packet types (RFC 3550 §12.1, RFC 4585 §6.1, RFC 3611 §2) and the format of a generic NACK.
_SR, _RR, _SDES, _BYE, _RTPFB, _XR = 200, 201, 202, 203, 205, 207
_GENERIC_NACK = 1
_CNAME = 1
_REPORT: Final = struct.Struct("!IB3sIIII")
# The cumulative count of lost packets has 24 bits with a sign.
_MOST_LOST: Final = 2**23 - 1


@dataclass(frozen=True, slots=True)
class ReceptionReport:
    """How one source is received (RFC 3550 §6.4.1).

    `fraction_lost` is in 1/256 since the previous report, `jitter` in timestamp units, `lsr` the middle 32
    bits of the last sender report's NTP time, `dlsr` the delay since then in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int
    lsr: int
    dlsr: int

    def round_trip(self, ntp: int) -> float | None:
        """Seconds of round trip at NTP time `ntp` (Q32.32) of this report's arrival; None without an SR."""
        if self.lsr == 0:
            return None
        return max(0, timestamp_delta(ntp >> 16 & 0xFFFFFFFF, self.lsr + self.dlsr)) / 65536


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a sender sent, and its wall clock (`ntp`, Q32.32) at `rtp_timestamp` (RFC 3550 §6.4.1)."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    reports: tuple[ReceptionReport, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """How a receiver hears its sources (RFC 3550 §6.4.2)."""

    ssrc: int
    reports: tuple[ReceptionReport, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """The canonical name of a source (RFC 3550 §6.5); other items are not read."""

    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Sources that leave (RFC 3550 §6.6)."""

    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets of `media_ssrc` that `sender_ssrc` misses, sequence numbers mod 2¹⁶ (RFC 4585 §6.2.1)."""

    sender_ssrc: int
    media_ssrc: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A packet of a type or format Loa has no use for."""

    packet_type: int


Packet = SenderReport | ReceiverReport | SourceDescription | Goodbye | Nack | rtcp_xr.ExtendedReport | Unknown


def parse(data: bytes) -> list[Packet]:
    """Read a compound or reduced-size RTCP datagram.

    One `SourceDescription` per SDES chunk with a CNAME. Raises MalformedError, also for an empty datagram.
    """
    if not data:
        raise MalformedError("an RTCP datagram is not empty")
    packets: list[Packet] = []
    position, end = 0, len(data)
    while position < end:
        if position + 4 > end:
            raise MalformedError("an RTCP header is cut short")
        first, packet_type, words = unpack_from("!BBH", data, position)
        if first >> 6 != 2:
            raise MalformedError(f"RTCP version {first >> 6} is not 2")
        start, position = position + 4, position + 4 + 4 * words
        if position > end:
            raise MalformedError("an RTCP packet is longer than its datagram")
        body = data[start:position]
        if first & 0x20:
            padding = body[-1] if body else 0
            if padding == 0 or padding > len(body):
                raise MalformedError("the RTCP padding is longer than the packet")
            body = body[:-padding]
        try:
            _parse_one(packet_type, first & 0x1F, body, packets)
        except (ValueError, struct.error) as error:
            raise MalformedError(f"RTCP packet type {packet_type}: {error}") from None
    return packets


def serialize(packets: Iterable[Packet]) -> bytes:
    """One compound datagram of `packets` in their order; `Unknown` cannot be written (ValueError)."""
    return b"".join(_serialize_one(packet) for packet in packets)


def _parse_one(packet_type: int, count: int, body: bytes, into: list[Packet]) -> None:
    if packet_type == _RR:
        into.append(ReceiverReport(unpack_from("!I", body)[0], _parse_reports(body, 4, count)))
    elif packet_type == _SR:
        ssrc, ntp, timestamp, packets, octets = unpack_from("!IQIII", body)
        into.append(SenderReport(ssrc, ntp, timestamp, packets, octets, _parse_reports(body, 24, count)))
    elif packet_type == _RTPFB and count == _GENERIC_NACK:
        into.append(_parse_nack(body))
    elif packet_type == _SDES:
        into.extend(_parse_sdes(body, count))
    elif packet_type == _BYE:
        into.append(Goodbye(unpack_from(f"!{count}I", body)))
    elif packet_type == _XR:
        into.append(rtcp_xr.parse_body(body))
    else:
        into.append(Unknown(packet_type))


def _parse_reports(body: bytes, start: int, count: int) -> tuple[ReceptionReport, ...]:
    """`count` report blocks from `start` on; what a profile appends (RFC 3550 §6.4.3) stays unread."""
    reports = []
    for position in range(start, start + count * _REPORT.size, _REPORT.size):
        ssrc, fraction, lost, highest, jitter, lsr, dlsr = _REPORT.unpack_from(body, position)
        lost = int.from_bytes(lost, "big", signed=True)
        reports.append(ReceptionReport(ssrc, fraction, lost, highest, jitter, lsr, dlsr))
    return tuple(reports)


def _parse_nack(body: bytes) -> Nack:
    sender, media = unpack_from("!II", body)
    lost: list[int] = []
    for packet_id, bitmask in iter_unpack("!HH", body[8:]):
        lost.append(packet_id)
        while bitmask:
            lowest = bitmask & -bitmask
            lost.append(packet_id + lowest.bit_length() & 0xFFFF)
            bitmask ^= lowest
        if len(lost) >= NACK_MAX:
            break
    return Nack(sender, media, tuple(lost[:NACK_MAX]))


def _parse_sdes(body: bytes, count: int) -> Iterable[SourceDescription]:
    position, end = 0, len(body)
    for _ in range(count):
        (ssrc,) = unpack_from("!I", body, position)
        position += 4
        cname: str | None = None
        while position < end and body[position] != 0:
            if position + 2 > end or position + 2 + body[position + 1] > end:
                raise ValueError("an SDES item is cut short")
            start, item = position + 2, body[position]
            position = start + body[position + 1]
            if item == _CNAME:
                cname = body[start:position].decode("utf-8", "replace")
        position += 4 - position % 4  # at least one zero ends the chunk, more fill its last word
        if cname is not None:
            yield SourceDescription(ssrc, cname)


def _serialize_one(packet: Packet) -> bytes:
    if isinstance(packet, SenderReport):
        counts = packet.packet_count & 0xFFFFFFFF, packet.octet_count & 0xFFFFFFFF
        head = pack("!IQIII", packet.ssrc, packet.ntp, packet.rtp_timestamp, *counts)
        return _pack(_SR, len(packet.reports), head + _pack_reports(packet.reports))
    if isinstance(packet, ReceiverReport):
        return _pack(_RR, len(packet.reports), pack("!I", packet.ssrc) + _pack_reports(packet.reports))
    if isinstance(packet, SourceDescription):
        name = packet.cname.encode()[:255]
        chunk = pack("!IBB", packet.ssrc, _CNAME, len(name)) + name
        return _pack(_SDES, 1, chunk + bytes(4 - len(chunk) % 4))
    if isinstance(packet, Goodbye):
        return _pack(_BYE, len(packet.ssrcs), pack(f"!{len(packet.ssrcs)}I", *packet.ssrcs))
    if isinstance(packet, Nack):
        head = pack("!II", packet.sender_ssrc, packet.media_ssrc)
        return _pack(_RTPFB, _GENERIC_NACK, head + _nack_fields(packet.lost))
    if isinstance(packet, rtcp_xr.ExtendedReport):
        return _pack(_XR, 0, rtcp_xr.body(packet))
    raise ValueError(f"RTCP packet type {packet.packet_type} cannot be written")


def _pack(packet_type: int, count: int, body: bytes) -> bytes:
    """A packet with its header; `body` is whole words."""
    return pack("!BBH", 2 << 6 | count, packet_type, len(body) // 4) + body


def _pack_reports(reports: tuple[ReceptionReport, ...]) -> bytes:
    return b"".join(
        _REPORT.pack(
            report.ssrc,
            report.fraction_lost,
            _clamp_lost(report.packets_lost).to_bytes(3, "big", signed=True),
            report.highest_sequence,
            report.jitter,
            report.lsr,
            report.dlsr,
        )
        for report in reports
    )


def _clamp_lost(count: int) -> int:
    return max(-_MOST_LOST - 1, min(count, _MOST_LOST))


def _nack_fields(lost: Iterable[int]) -> bytes:
    """Packet ids each with the bitmask of the sixteen numbers that follow it, across the wrap at 2¹⁶."""
    fields = bytearray()
    packet_id, bitmask = -1, 0
    for sequence in lost:
        distance = (sequence - packet_id) & 0xFFFF
        if packet_id >= 0 and distance <= 16:
            bitmask |= (1 << distance) >> 1
            continue
        if packet_id >= 0:
            fields += pack("!HH", packet_id, bitmask)
        packet_id, bitmask = sequence, 0
    if packet_id >= 0:
        fields += pack("!HH", packet_id, bitmask)
    return bytes(fields)


class ReceptionStatistics:
    """Counts what arrives of one source and fills its reception reports (RFC 3550 appendices A.1, A.3, A.8).

    There is no probation: SRTP has already told our source from strangers. A leap of more than `MAX_DROPOUT`
    packets is believed when the next packet confirms it, and the counting then begins anew.
    """

    MAX_DROPOUT = 3000
    MAX_MISORDER = 100

    def __init__(self, clock_rate: int = 48000) -> None:
        self._clock_rate = clock_rate
        self._last_sender_report: tuple[int, float] | None = None
        self._jitter = 0.0
        self._begin(None)

    def _begin(self, sequence: int | None) -> None:
        self._base = self._highest = sequence
        self._received = 0
        self._expected_before = self._received_before = 0
        self._leap: int | None = None
        self._transit: float | None = None

    @property
    def received(self) -> int:
        """Packets that arrived, duplicates included."""
        return self._received

    @property
    def expected(self) -> int:
        """Packets from the first to the highest sequence number."""
        return 0 if self._highest is None or self._base is None else self._highest - self._base + 1

    @property
    def lost(self) -> int:
        """Expected less received; negative when there were more duplicates than losses."""
        return self.expected - self._received

    @property
    def jitter(self) -> float:
        """Interarrival jitter in seconds (RFC 3550 §6.4.1)."""
        return self._jitter / self._clock_rate

    def on_packet(self, sequence: int, timestamp: int, arrival: float) -> None:
        """Count a packet that arrived at monotonic time `arrival` (seconds)."""
        if self._highest is None:
            self._begin(sequence)
        else:
            delta = sequence_delta(sequence, self._highest & 0xFFFF)
            if 0 < delta < self.MAX_DROPOUT:
                self._highest += delta
            elif not -self.MAX_MISORDER < delta <= 0:
                if sequence != self._leap:
                    self._leap = sequence + 1 & 0xFFFF
                    return
                self._begin(sequence)
        self._leap = None
        self._received += 1
        transit = arrival * self._clock_rate - timestamp
        if self._transit is not None:
            # The difference modulo 2³², as the timestamp wraps and the arrival does not.
            change = abs((transit - self._transit + 2**31) % 2**32 - 2**31)
            self._jitter += (change - self._jitter) / 16
        self._transit = transit

    def on_sender_report(self, ntp: int, arrival: float) -> None:
        """Remember a sender report's NTP time (Q32.32) and when it came, for `lsr` and `dlsr`."""
        self._last_sender_report = ntp, arrival

    def report(self, ssrc: int, now: float) -> ReceptionReport:
        """The reception report on `ssrc`; the fraction lost counts from the previous call."""
        expected = self.expected
        expected_now = expected - self._expected_before
        lost_now = expected_now - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        fraction = min(255, lost_now * 256 // expected_now) if lost_now > 0 and expected_now > 0 else 0
        lsr = dlsr = 0
        if self._last_sender_report is not None:
            ntp, arrival = self._last_sender_report
            lsr = ntp >> 16 & 0xFFFFFFFF
            dlsr = min(0xFFFFFFFF, max(0, round((now - arrival) * 65536)))
        return ReceptionReport(
            ssrc,
            fraction,
            _clamp_lost(self.lost),
            (self._highest or 0) & 0xFFFFFFFF,
            min(0xFFFFFFFF, round(self._jitter)),
            lsr,
            dlsr,
        )
