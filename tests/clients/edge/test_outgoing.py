"""The publisher's RTP, driven by hand."""

from __future__ import annotations

import pytest

from loacodecs import rtcp, rtp
from loaedge.outgoing import HISTORY_PACKETS, OutgoingStream

IDS = {rtp.AUDIO_LEVEL_URI: 3, rtp.ABS_CAPTURE_TIME_URI: 5}
WALL = 1_700_000_000.25


def stream(**changes: int) -> OutgoingStream:
    return OutgoingStream(
        ssrc=0x1234,
        cname="loa",
        payload_type=111,
        extensions=IDS,
        sequence=changes.get("sequence", 0x7FFF),
        timestamp=changes.get("timestamp", 0xFFFFFF00),
    )


def send(out: OutgoingStream, index: int, *, level: int = 20) -> rtp.RtpPacket:
    now = index * 0.02
    return rtp.parse(out.packet(b"opus%d" % index, index * 960, level=level, now=now, captured=WALL + now))


def test_packets_count_on_over_their_wraps() -> None:
    out = stream()
    packets = [send(out, index) for index in range(3)]
    assert [p.sequence for p in packets] == [0x7FFF, 0x8000, 0x8001]
    assert [p.timestamp for p in packets] == [0xFFFFFF00, 0xFFFFFF00 + 960 - 2**32, 0xFFFFFF00 + 1920 - 2**32]
    assert {(p.ssrc, p.payload_type) for p in packets} == {(0x1234, 111)}
    assert packets[1].payload == b"opus1"


def test_sequence_numbers_start_in_the_lower_half() -> None:
    assert send(stream(sequence=0xFFFF), 0).sequence == 0x7FFF


def test_the_level_goes_with_every_packet_and_the_capture_time_with_some() -> None:
    out = stream()
    packets = [send(out, index) for index in range(100)]
    levels = [rtp.audio_level(p.extension_value(3) or b"") for p in packets]
    assert levels == [(True, -20)] * 100
    times = [value for p in packets if (value := p.extension_value(5)) is not None]
    assert packets[0].extension_value(5) is not None
    assert 3 <= len(times) <= 5
    ntp = rtp.capture_time(times[0])
    assert ntp is not None
    assert rtp.unix_from_ntp(ntp) == pytest.approx(WALL, abs=1e-6)


def test_the_marker_begins_a_talkspurt() -> None:
    out = stream()
    levels = [20, 20, 127, 127, 30, 30]
    assert [send(out, i, level=v).marker for i, v in enumerate(levels)] == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]


def test_nothing_is_added_that_was_not_accepted() -> None:
    out = OutgoingStream(ssrc=1, cname="c", payload_type=96, extensions={}, sequence=0, timestamp=0)
    assert send(out, 0).extension_profile == 0


def test_reports_tie_the_sample_clock_to_the_wall_clock() -> None:
    out = stream(timestamp=1000)
    send(out, 0)
    report, description = rtcp.parse(out.report(960, WALL))
    assert isinstance(report, rtcp.SenderReport)
    assert (report.ssrc, report.rtp_timestamp) == (0x1234, 1960)
    assert (report.packet_count, report.octet_count) == (1, 5)
    assert rtp.unix_from_ntp(report.ntp) == pytest.approx(WALL, abs=1e-6)
    assert description == rtcp.SourceDescription(0x1234, "loa")
    assert rtcp.parse(out.goodbye(960, WALL))[-1] == rtcp.Goodbye((0x1234,))


def test_nacked_packets_are_repeated_byte_for_byte_but_not_in_a_flood() -> None:
    out = stream()
    sent = [out.packet(b"x%d" % i, i * 960, level=9, now=0.0, captured=WALL) for i in range(10)]
    nack = rtcp.Nack(1, 0x1234, (0x8000, 0x8001, 0x1111))
    assert out.on_rtcp(nack, 1.0, WALL) == sent[1:3]
    assert out.on_rtcp(nack, 1.001, WALL) == []
    assert out.on_rtcp(nack, 1.1, WALL) == sent[1:3]
    assert out.on_rtcp(rtcp.Nack(1, 0x9999, (0x8000,)), 2.0, WALL) == []
    assert out.resent == 4


def test_the_history_is_bounded() -> None:
    out = stream(sequence=0)
    for index in range(HISTORY_PACKETS + 10):
        send(out, index)
    lost = tuple(range(HISTORY_PACKETS + 10))
    again = out.on_rtcp(rtcp.Nack(1, 0x1234, lost), 100.0, WALL)
    again += out.on_rtcp(rtcp.Nack(1, 0x1234, lost[10:]), 200.0, WALL)
    sequences = [rtp.parse(data).sequence for data in again]
    assert min(sequences) == 10
    assert len(set(sequences)) == HISTORY_PACKETS


def test_loss_and_round_trip_come_from_the_reports() -> None:
    out = stream()
    ntp = rtp.ntp_from_unix(WALL)
    ours = rtcp.ReceptionReport(0x1234, 64, 1, 1, 0, ntp >> 16 & 0xFFFFFFFF, 0)
    other = rtcp.ReceptionReport(0x9999, 255, 1, 1, 0, 0, 0)
    assert out.fraction_lost is None
    assert out.on_rtcp(rtcp.ReceiverReport(7, (other, ours)), 1.0, WALL + 0.125) == []
    assert out.fraction_lost == 0.25
    assert out.round_trip_s == pytest.approx(0.125, abs=1e-3)
