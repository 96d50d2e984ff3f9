"""The listener's RTP, driven by hand."""

from __future__ import annotations

import random

import pytest

from loacodecs import rtcp, rtp
from loaedge.incoming import HOLD_S, IncomingStream

SOURCE = 0xABCD


def stream(*, nack: bool = True) -> IncomingStream:
    return IncomingStream(ssrc=1, cname="me", payload_type=111, nack=nack, random=lambda n: bytes([128] * n))


def packet(sequence: int, *, ssrc: int = SOURCE, payload: bytes = b"opus", payload_type: int = 111) -> bytes:
    timestamp = sequence * 960 & 0xFFFFFFFF
    return rtp.RtpPacket(payload_type, False, sequence & 0xFFFF, timestamp, ssrc, payload).to_bytes()


def popped(incoming: IncomingStream, now: float) -> list[int]:
    out = []
    while (arrival := incoming.pop(now)) is not None:
        out.append(arrival.sequence)
    return out


def rtcp_sent(incoming: IncomingStream, now: float) -> list[rtcp.Packet]:
    out: list[rtcp.Packet] = []
    while (data := incoming.poll_rtcp(now)) is not None:
        out += rtcp.parse(data)
    return out


def test_order_is_kept_over_the_wrap() -> None:
    incoming = stream()
    for index, sequence in enumerate((65534, 0, 65535, 1)):
        incoming.on_rtp(packet(sequence), index * 0.02)
    assert popped(incoming, 0.1) == [65534, 65535, 65536, 65537]
    assert (incoming.packets, incoming.lost, incoming.recovered) == (4, 0, 0)


def test_a_missing_packet_is_asked_for_and_recovered() -> None:
    incoming = stream()
    incoming.on_rtp(packet(1), 0.0)
    rtcp_sent(incoming, 0.0)
    incoming.on_rtp(packet(3), 0.04)
    deadline = incoming.next_deadline()
    assert deadline == pytest.approx(0.05)
    nacks = [p for p in rtcp_sent(incoming, 0.05) if isinstance(p, rtcp.Nack)]
    assert nacks == [rtcp.Nack(1, SOURCE, (2,))]
    assert popped(incoming, 0.05) == [1]
    incoming.on_rtp(packet(2), 0.1)
    assert popped(incoming, 0.1) == [2, 3]
    assert (incoming.recovered, incoming.lost) == (1, 0)


def test_without_nack_nothing_is_asked_and_the_gap_is_given_up_in_time() -> None:
    incoming = stream(nack=False)
    incoming.on_rtp(packet(1), 0.0)
    rtcp_sent(incoming, 0.0)
    incoming.on_rtp(packet(3), 0.04)
    assert rtcp_sent(incoming, 0.5) == []
    assert popped(incoming, 0.5) == [1]
    assert incoming.next_deadline() == pytest.approx(0.04 + HOLD_S)
    assert popped(incoming, 0.04 + HOLD_S) == [3]
    assert incoming.lost == 1


def test_reports_go_out_at_once_and_then_every_two_seconds() -> None:
    incoming = stream()
    assert rtcp_sent(incoming, 0.0) == []
    times = []
    for index in range(500):
        now = index * 0.02
        incoming.on_rtp(packet(index), now)
        popped(incoming, now)
        sent = rtcp_sent(incoming, now)
        if sent:
            times.append(now)
            report, description = sent
            assert isinstance(report, rtcp.ReceiverReport)
            assert [r.ssrc for r in report.reports] == [SOURCE]
            assert description == rtcp.SourceDescription(1, "me")
    assert times[0] == 0.0
    assert len(times) == 5


def test_the_delay_since_the_sender_report_is_reported() -> None:
    incoming = stream()
    incoming.on_rtp(packet(1), 0.0)
    rtcp_sent(incoming, 0.0)
    ntp = rtp.ntp_from_unix(1_700_000_000.0)
    incoming.on_rtcp(rtcp.serialize([rtcp.SenderReport(SOURCE, ntp, 0, 1, 1)]), 1.0)
    (report, _) = rtcp_sent(incoming, 4.0)
    assert isinstance(report, rtcp.ReceiverReport)
    assert report.reports[0].lsr == ntp >> 16 & 0xFFFFFFFF
    assert report.reports[0].dlsr == 3 * 65536


def test_goodbye_of_the_source_is_noticed_and_of_others_not() -> None:
    incoming = stream()
    incoming.on_rtp(packet(1), 0.0)
    incoming.on_rtcp(rtcp.serialize([rtcp.ReceiverReport(9), rtcp.Goodbye((77,))]), 0.1)
    assert not incoming.gone
    incoming.on_rtcp(rtcp.serialize([rtcp.ReceiverReport(9), rtcp.Goodbye((SOURCE,))]), 0.2)
    assert incoming.gone
    assert rtcp.parse(incoming.goodbye(0.3))[-1] == rtcp.Goodbye((1,))


def test_another_source_is_followed() -> None:
    incoming = stream()
    incoming.on_rtp(packet(60000), 0.0)
    incoming.on_rtp(packet(7, ssrc=5), 0.02)
    incoming.on_rtp(packet(8, ssrc=5), 0.04)
    assert popped(incoming, 0.04) == [7, 8]


def test_garbage_is_counted_and_changes_nothing() -> None:
    incoming = stream()
    noise = random.Random(1)
    for index in range(2000):
        junk = noise.randbytes(noise.randrange(80))
        incoming.on_rtp(b"\x80\x60" + junk, index * 0.001)
        incoming.on_rtcp(b"\x80\xc8" + junk, index * 0.001)
    incoming.on_rtp(packet(1, payload=b""), 2.0)
    incoming.on_rtp(packet(1, payload_type=0), 2.0)
    assert incoming.refused > 2000
    assert incoming.packets == 0
    incoming.on_rtp(packet(1), 2.0)
    assert popped(incoming, 2.0) == [1]
