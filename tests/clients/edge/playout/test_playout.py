"""What the playout tells and takes, beside the sound: the amplifier's question, figures, reports, block sizes."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from bench.link.delay import Delay
from bench.link.model import LinkConfig, PathConfig
from loacodecs import rtcp, rtp
from loacodecs.opus import Pcm
from loaedge.outputs.output import DeviceSettings
from loaedge.outputs.paced import null_output
from loaedge.playout import Playout, PlayoutSettings, Source
from tests.support.playout_world import (
    CAPTURE_ID,
    EPOCH,
    PAYLOAD_TYPE,
    RATE,
    RED_TYPE,
    Clock,
    Sent,
    World,
    damaged,
    encode,
    ideal,
    programme,
    station,
)


def opened(playout: Playout, *, nack: bool = True) -> Source:
    return playout.open(
        "a",
        payload_type=PAYLOAD_TYPE,
        red_payload_type=RED_TYPE,
        nack=nack,
        ssrc=1,
        cname="ear",
        random=random.Random(1).randbytes,
        capture_extension=CAPTURE_ID,
    )


def feed(source: Source, packet: Sent, now: float, *, sequence: int | None = None) -> None:
    """Packet of a stream that begins at 0, with its capture time."""
    stamp = rtp.pack_capture_time(rtp.ntp_from_unix(EPOCH + packet.media / RATE))
    profile, extension = rtp.pack_extension([(CAPTURE_ID, stamp)])
    number = packet.number if sequence is None else sequence
    source.on_rtp(
        rtp.RtpPacket(
            PAYLOAD_TYPE, False, number & 0xFFFF, packet.media, 9, packet.payload, profile, extension
        ).to_bytes(),
        now,
    )


def told(source: Source, now: float) -> list[rtcp.Packet]:
    out: list[rtcp.Packet] = []
    while (data := source.poll_rtcp(now)) is not None:
        out += rtcp.parse(data)
    return out


def test_silence_before_anything_came() -> None:
    playout = Playout(Clock(), PlayoutSettings(), channels=2)
    assert np.array_equal(playout.render(441, 1.0), np.zeros((441, 2), np.float32))
    assert not playout.sounding_at(1.0)
    assert not playout.stats.tied


@pytest.mark.parametrize("block", [64, 441, 1024, 4800])
def test_any_block_size_gives_the_same_sound(block: int) -> None:
    packets = station(5.0)
    playout = Playout(Clock(), PlayoutSettings(0.3))
    source = opened(playout)
    due = iter(packets)
    parts, heard_at, following = [], 0.0, next(due)
    while heard_at < 4.5:
        while following.media / RATE <= heard_at:
            feed(source, following, following.media / RATE)
            following = next(due)
        parts.append(playout.render(block, heard_at)[:, 0])
        heard_at += block / RATE
    sound = np.concatenate(parts)
    assert damaged(sound, ideal(packets, 0.3, len(sound))) == 0.0
    assert playout.stats.concealed_samples == 0


def test_mono_is_heard_on_both_channels() -> None:
    playout = Playout(Clock(), PlayoutSettings(0.2), channels=2)
    source = opened(playout)
    for packet in station(5.0)[:50]:
        feed(source, packet, packet.media / RATE)
    playout.render(960, 0.2)
    sound = playout.render(960, 0.22)
    assert sound.shape == (960, 2)
    assert np.abs(sound).max() > 0.01
    assert np.array_equal(sound[:, 0], sound[:, 1])


def test_the_amplifier_is_told_beforehand() -> None:
    silence = np.zeros(2 * RATE, np.float32)
    packets = encode(np.concatenate([silence, programme(2.0), silence]))
    playout = Playout(Clock(), PlayoutSettings(1.0))
    source = opened(playout)
    for packet in packets[:150]:
        feed(source, packet, packet.media / RATE)
    now = 2.98
    assert not playout.sounding_at(2.5)
    assert playout.sounding_at(3.2)
    assert playout.sounding_at(now + 0.5)
    assert not playout.sounding_at(60.0)


def test_reports_come_while_packets_come_and_then_stop() -> None:
    source = opened(Playout(Clock(), PlayoutSettings()))
    assert source.next_deadline() is None
    assert told(source, 0.0) == []
    for packet in station(20.0):
        feed(source, packet, packet.media / RATE)
        reports = told(source, packet.media / RATE)
        assert all(isinstance(p, rtcp.ReceiverReport | rtcp.SourceDescription) for p in reports)
    later = []
    for second in range(20, 300):
        later += told(source, float(second))
    assert 1 <= sum(isinstance(p, rtcp.SourceDescription) for p in later) <= 2
    assert source.next_deadline() is None


def test_reports_tell_what_the_network_lost_whether_or_not_it_came_again() -> None:
    source = opened(Playout(Clock(), PlayoutSettings()))
    lost: list[int] = []
    for packet in station(20.0)[:400]:
        now = packet.media / RATE
        for report in told(source, now):
            if isinstance(report, rtcp.Nack):
                lost += report.lost
                for number in report.lost:
                    feed(source, station(20.0)[number], now + 0.001)
            elif isinstance(report, rtcp.ReceiverReport) and report.reports and now > 7:
                assert report.reports[0].packets_lost >= len(lost) - 1
        if packet.number % 10 != 5:
            feed(source, packet, now)
    assert len(lost) >= 38


def test_goodbye_is_heard_and_said() -> None:
    source = opened(Playout(Clock(), PlayoutSettings()))
    feed(source, station(5.0)[0], 0.0)
    source.on_rtcp(rtcp.serialize([rtcp.Goodbye((8,))]), 0.1)
    assert not source.gone
    source.on_rtcp(rtcp.serialize([rtcp.Goodbye((9,))]), 0.1)
    assert source.gone
    assert isinstance(rtcp.parse(source.goodbye(0.2))[-1], rtcp.Goodbye)


def test_figures_for_telemetry() -> None:
    world = World(settings=PlayoutSettings(0.5, 0.2))
    one_way = LinkConfig(delay=Delay(0.03))
    relay = world.join("a", PathConfig(one_way, one_way))
    relay.hold = lambda now: 3.0 <= now < 3.05
    world.broadcast(station(10.0))
    world.run(8.0)
    stats = world.playout.stats
    assert stats.tied
    assert (stats.lost, stats.recovered_nack, stats.requests) == (3, 3, 3)
    assert stats.received == 399  # the last one is under way
    assert stats.buffer_s == pytest.approx(0.67, abs=0.03)
    assert abs(stats.error_s) <= 0.0001
    assert stats.played_samples == pytest.approx(7.3 * RATE, abs=2000)


def test_refused_is_what_is_no_packet_of_the_stream() -> None:
    playout = Playout(Clock(), PlayoutSettings())
    source = opened(playout)
    source.on_rtp(b"nonsense", 0.0)
    source.on_rtp(rtp.RtpPacket(96, False, 1, 1, 9, b"\xf8abc").to_bytes(), 0.0)
    source.on_rtp(rtp.RtpPacket(PAYLOAD_TYPE, False, 1, 1, 9, b"").to_bytes(), 0.0)
    source.on_rtp(rtp.RtpPacket(PAYLOAD_TYPE, False, 1, 1, 9, b"\xff").to_bytes(), 0.0)
    source.on_rtp(rtp.RtpPacket(RED_TYPE, False, 1, 1, 9, b"\xff\xff").to_bytes(), 0.0)
    source.on_rtcp(b"nonsense", 0.0)
    assert (playout.stats.refused, playout.stats.received) == (6, 0)


def test_a_packet_that_comes_just_before_it_is_heard_is_played_by_a_device_that_holds_much() -> None:
    packets = station(5.0)
    hand = [0.0]
    playout = Playout(Clock(), PlayoutSettings(0.7))
    source = opened(playout)
    lost = packets[100]
    due = [(packet.media / RATE, packet) for packet in packets if packet is not lost]
    due = sorted([*due, (lost.media / RATE + 0.64, lost)], key=lambda item: item[0])
    blocks: list[tuple[float, Pcm]] = []

    def wait(stop: threading.Event, seconds: float) -> None:
        hand[0] += seconds
        while due and due[0][0] <= hand[0]:
            at, packet = due.pop(0)
            feed(source, packet, at)
        if hand[0] > 4.0:
            stop.set()

    def render(frames: int, heard_at: float) -> Pcm:
        blocks.append((heard_at, playout.render(frames, heard_at)))
        return blocks[-1][1]

    output = null_output(DeviceSettings(0.2), clock=lambda: hand[0], wait=wait)
    playout.commit_s = output.commit_s
    output.play(render, threading.Event(), playout.ready)
    begin, sound = blocks[0][0], np.concatenate([pcm[:, 0] for _, pcm in blocks])
    assert damaged(sound, ideal(packets, 0.7 - begin, len(sound))) == 0.0
    assert playout.stats.concealed_samples == 0
    assert len(blocks) < 60


def test_only_what_could_still_come_is_waited_for() -> None:
    packets = station(5.0)
    playout = Playout(Clock(), PlayoutSettings(0.7))
    assert playout.ready(4800, 1.0) == 4800  # nobody has said anything
    source = opened(playout)
    for packet in packets[:100]:
        if packet.number != 50:
            feed(source, packet, packet.media / RATE)
    playout.render(960, 0.7)
    assert playout.ready(4800, 0.72) == 4800
    for block in range(1, 10):
        playout.render(4800, 0.72 + (block - 1) * 0.1)
    # 1.62 is 0.92 of the station; the hole is from 1.0 to 1.02, and the resampler looks 5 ms ahead
    assert playout.ready(4800, 1.62) == pytest.approx(0.075 * RATE, abs=30)
    feed(source, packets[50], 1.6)
    assert playout.ready(4800, 1.62) == 4800
    for block in range(11):
        playout.render(4800, 1.62 + block * 0.1)
    # the newest packet ends at 2.0: what follows is late, until it is clear that nobody speaks any more
    assert playout.ready(4800, 2.72) < 240  # no more than is decoded already
    for block in range(3):
        playout.render(4800, 2.72 + block * 0.1)
    assert playout.ready(4800, 3.02) < 240
    assert playout.ready(4800, 5.8) == 4800
