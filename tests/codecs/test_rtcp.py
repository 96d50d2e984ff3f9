from __future__ import annotations

import contextlib
from struct import pack

import pytest
from aiortc import rtp as aiortc_rtp
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import rtcp
from loacodecs.errors import MalformedError
from loacodecs.rtcp import (
    Goodbye,
    Nack,
    Packet,
    ReceiverReport,
    ReceptionReport,
    ReceptionStatistics,
    SenderReport,
    SourceDescription,
    Unknown,
)
from loacodecs.rtcp_xr import Delay, ExtendedReport
from loacodecs.rtp import ntp_from_unix

u8, u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
reception_reports = st.builds(ReceptionReport, u32, u8, st.integers(-(2**23), 2**23 - 1), u32, u32, u32, u32)
some_reports = st.lists(reception_reports, max_size=31).map(tuple)
cnames = st.text(max_size=60).filter(lambda name: len(name.encode("utf-8", "replace")) <= 255)
lost_numbers = st.builds(
    lambda first, gaps: tuple((first + sum(gaps[:n])) & 0xFFFF for n in range(len(gaps) + 1)),
    u16,
    st.lists(st.integers(1, 40), max_size=60),
)
any_packet: st.SearchStrategy[Packet] = st.one_of(
    st.builds(SenderReport, u32, u64, u32, u32, u32, some_reports),
    st.builds(ReceiverReport, u32, some_reports),
    st.builds(SourceDescription, u32, cnames),
    st.builds(Goodbye, st.lists(u32, max_size=31).map(tuple)),
    st.builds(Nack, u32, u32, lost_numbers),
    st.builds(
        ExtendedReport,
        u32,
        st.none() | u64,
        st.lists(st.builds(Delay, u32, u32, u32), max_size=5).map(tuple),
    ),
)
compounds = st.lists(any_packet, min_size=1, max_size=5)


@given(compounds)
def test_a_compound_survives_the_wire(packets: list[Packet]) -> None:
    data = rtcp.serialize(packets)
    assert len(data) % 4 == 0
    assert rtcp.parse(data) == packets


@given(compounds.map(lambda packets: [p for p in packets if not isinstance(p, ExtendedReport)]).filter(bool))
def test_aiortc_reads_what_we_write(packets: list[Packet]) -> None:
    theirs = aiortc_rtp.RtcpPacket.parse(rtcp.serialize(packets))
    assert len(theirs) == len(packets)
    for ours, other in zip(packets, theirs, strict=True):
        if isinstance(ours, SenderReport | ReceiverReport):
            assert isinstance(other, aiortc_rtp.RtcpSrPacket | aiortc_rtp.RtcpRrPacket)
            assert other.ssrc == ours.ssrc
            assert [r.packets_lost for r in other.reports] == [r.packets_lost for r in ours.reports]
            assert [r.highest_sequence for r in other.reports] == [r.highest_sequence for r in ours.reports]
        elif isinstance(ours, SourceDescription):
            assert isinstance(other, aiortc_rtp.RtcpSdesPacket)
            assert other.chunks[0].ssrc == ours.ssrc
            assert other.chunks[0].items == [(1, ours.cname.encode())]
        elif isinstance(ours, Goodbye):
            assert isinstance(other, aiortc_rtp.RtcpByePacket)
            assert tuple(other.sources) == ours.ssrcs
        elif isinstance(ours, Nack):
            assert isinstance(other, aiortc_rtp.RtcpRtpfbPacket)
            assert other.fmt == 1
            assert tuple(number & 0xFFFF for number in other.lost) == ours.lost


def test_we_read_what_aiortc_writes() -> None:
    report = aiortc_rtp.RtcpReceiverInfo(5, 12, -3, 70000, 90, 1234, 5678)
    data = (
        bytes(aiortc_rtp.RtcpSrPacket(1, aiortc_rtp.RtcpSenderInfo(2**40, 960, 7, 700), [report]))
        + bytes(aiortc_rtp.RtcpRrPacket(2, [report, report]))
        + bytes(aiortc_rtp.RtcpSdesPacket([aiortc_rtp.RtcpSourceInfo(3, [(1, b"loa"), (2, b"A Name")])]))
        + bytes(aiortc_rtp.RtcpRtpfbPacket(1, 4, 5, [10, 11, 26, 27]))
        + bytes(aiortc_rtp.RtcpPsfbPacket(1, 4, 5))
        + bytes(aiortc_rtp.RtcpByePacket([6]))
    )
    ours = ReceptionReport(5, 12, -3, 70000, 90, 1234, 5678)
    assert rtcp.parse(data) == [
        SenderReport(1, 2**40, 960, 7, 700, (ours,)),
        ReceiverReport(2, (ours, ours)),
        SourceDescription(3, "loa"),
        Nack(4, 5, (10, 11, 26, 27)),
        Unknown(206),
        Goodbye((6,)),
    ]


def test_nack_is_compact_and_crosses_the_wrap() -> None:
    lost = (65534, 65535, 0, 14, 15)
    data = rtcp.serialize([Nack(1, 2, lost)])
    # 65534 with the sixteen after it reaches 14; 15 needs a field of its own.
    assert data == pack("!BBHIIHHHH", 0x81, 205, 4, 1, 2, 65534, 0b1000_0000_0000_0011, 15, 0)
    assert rtcp.parse(data) == [Nack(1, 2, lost)]


def test_a_greedy_nack_is_bounded() -> None:
    fields = pack("!HH", 0, 0xFFFF) * 10_000
    (nack,) = rtcp.parse(pack("!BBHII", 0x81, 205, 2 + 10_000, 1, 2) + fields)
    assert isinstance(nack, Nack)
    assert len(nack.lost) == rtcp.NACK_MAX


def test_transport_wide_feedback_is_not_taken_for_a_nack() -> None:
    assert rtcp.parse(pack("!BBHIIHH", 0x80 | 15, 205, 3, 1, 2, 10, 0)) == [Unknown(205)]


def test_reports_may_carry_words_of_a_profile() -> None:
    data = bytearray(rtcp.serialize([ReceiverReport(9)]) + b"more")
    data[3] += 1
    assert rtcp.parse(bytes(data)) == [ReceiverReport(9)]


def test_several_sdes_chunks_and_items() -> None:
    body = pack("!IBB", 1, 1, 3) + b"abc" + bytes(3)  # nine bytes and three zeros
    body += pack("!IBB", 2, 7, 1) + b"x" + bytes(1)  # a chunk without a name, ended by one zero
    body += pack("!IBB", 3, 6, 1) + b"t" + pack("!BB", 1, 2) + b"de" + bytes(1)
    data = pack("!BBH", 0x83, 202, len(body) // 4) + body
    assert rtcp.parse(data) == [SourceDescription(1, "abc"), SourceDescription(3, "de")]


def test_padding_is_taken_off() -> None:
    data = bytearray(rtcp.serialize([Goodbye((1,))]) + b"\x00\x00\x00\x04")
    data[0] |= 0x20
    data[3] += 1
    assert rtcp.parse(bytes(data)) == [Goodbye((1,))]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc9",
        b"\x40\xc9\x00\x01\x00\x00\x00\x01",
        b"\x80\xc9\x00\x02\x00\x00\x00\x01",
        b"\x81\xc9\x00\x01\x00\x00\x00\x01",
        b"\x80\xc8\x00\x01\x00\x00\x00\x01",
        b"\x82\xcb\x00\x01\x00\x00\x00\x01",
        b"\x81\xca\x00\x02\x00\x00\x00\x01\x01\x09ab",
        b"\x82\xca\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00",
        b"\x81\xcd\x00\x01\x00\x00\x00\x01",
        b"\xa0\xc9\x00\x01\x00\x00\x00\x00",
        b"\xa0\xc9\x00\x01\x00\x00\x00\x05",
        b"\xa0\xcc\x00\x00",
        b"\x80\xc9\x00\x01\x00\x00\x00\x01\x80",
    ],
)
def test_broken_packets_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        rtcp.parse(data)


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        rtcp.parse(data)


@given(st.sampled_from([200, 201, 202, 203, 204, 205, 206, 207]), st.integers(0, 63), st.binary(max_size=120))
def test_random_bodies_raise_only_malformed(packet_type: int, count: int, body: bytes) -> None:
    body = body[: len(body) // 4 * 4]
    with contextlib.suppress(MalformedError):
        rtcp.parse(pack("!BBH", 0x80 | count, packet_type, len(body) // 4) + body)


@given(compounds, st.data())
def test_mutated_compounds_raise_only_malformed(packets: list[Packet], data: st.DataObject) -> None:
    raw = bytearray(rtcp.serialize(packets))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedError):
        rtcp.parse(bytes(raw[: data.draw(st.integers(0, len(raw)))]))


def test_unknown_cannot_be_written() -> None:
    with pytest.raises(ValueError):
        rtcp.serialize([Unknown(207)])


def test_counters_wrap_and_losses_clamp_on_the_wire() -> None:
    report = ReceptionReport(1, 0, 2**23 + 5, 0, 0, 0, 0)
    sent: list[Packet] = [SenderReport(1, 0, 0, 2**32 + 3, 2**33 + 4, (report,))]
    (read,) = rtcp.parse(rtcp.serialize(sent))
    assert isinstance(read, SenderReport)
    assert (read.packet_count, read.octet_count) == (3, 4)
    assert read.reports[0].packets_lost == 2**23 - 1


def feed(statistics: ReceptionStatistics, numbers: list[int], frame: float = 0.02) -> None:
    for number in numbers:
        statistics.on_packet(number & 0xFFFF, number * 960 & 0xFFFFFFFF, number * frame)


def test_nothing_lost_nothing_jitters() -> None:
    statistics = ReceptionStatistics()
    feed(statistics, list(range(65000, 66000)))
    report = statistics.report(42, 1400.0)
    assert report == ReceptionReport(42, 0, 0, 65999, 0, 0, 0)
    assert statistics.received == statistics.expected == 1000


def test_loss_is_counted_whole_and_per_report() -> None:
    statistics = ReceptionStatistics()
    feed(statistics, [n for n in range(100) if n % 2 or n == 0])
    first = statistics.report(1, 2.0)
    assert first.packets_lost == 49
    assert first.fraction_lost == 125, "49 of 100 in 256ths"
    feed(statistics, list(range(100, 200)))
    second = statistics.report(1, 4.0)
    assert second.packets_lost == 49
    assert second.fraction_lost == 0
    assert statistics.lost == 49


def test_reordered_packets_are_no_loss_and_duplicates_make_it_negative() -> None:
    statistics = ReceptionStatistics()
    feed(statistics, [0, 1, 3, 2, 4, 4, 5])
    report = statistics.report(1, 1.0)
    assert report.packets_lost == -1
    assert report.fraction_lost == 0
    assert report.highest_sequence == 5


def test_a_report_before_any_packet() -> None:
    assert ReceptionStatistics().report(1, 0.0) == ReceptionReport(1, 0, 0, 0, 0, 0, 0)


def test_jitter_follows_appendix_a8() -> None:
    statistics = ReceptionStatistics()
    expected, last = 0.0, None
    for number in range(50):
        late = 0.004 if number % 2 else 0.0
        statistics.on_packet(number, (number * 960 + 0xFFFFF000) & 0xFFFFFFFF, 100 + number * 0.02 + late)
        if last is not None:
            expected += (abs(late - last) * 48000 - expected) / 16
        last = late
    assert statistics.report(1, 101.0).jitter == round(expected)
    assert statistics.jitter == pytest.approx(expected / 48000, rel=1e-6)


def test_a_leap_needs_a_witness() -> None:
    statistics = ReceptionStatistics()
    feed(statistics, [0, 1, 2, 40000, 3, 4])
    assert statistics.report(1, 0.0).highest_sequence == 4
    assert statistics.lost == 0
    feed(statistics, [50000, 50001, 50002])
    assert statistics.report(1, 0.0).highest_sequence == 50002
    assert statistics.received == statistics.expected == 2


def test_sender_report_gives_lsr_and_the_round_trip() -> None:
    statistics = ReceptionStatistics()
    feed(statistics, [0])
    sent_at = 1_800_000_000.0
    statistics.on_sender_report(ntp_from_unix(sent_at), arrival=50.0)
    report = statistics.report(1, now=50.5)
    assert report.lsr == (ntp_from_unix(sent_at) >> 16) & 0xFFFFFFFF
    assert report.dlsr == 32768
    assert report.round_trip(ntp_from_unix(sent_at + 0.5 + 0.12)) == pytest.approx(0.12, abs=1e-4)
    assert report.round_trip(ntp_from_unix(sent_at + 0.4)) == 0.0, (
        "clocks that run apart give no negative time"
    )
    assert ReceptionReport(1, 0, 0, 0, 0, 0, 0).round_trip(ntp_from_unix(sent_at)) is None
