"""Gaps keep their time, and what fills them is accounted for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from loacodecs.opus import OpusEncoder
from loacodecs.rtp import RtpPacket
from loaedge.decoding import CONCEAL_LOST, Timeline
from loaedge.incoming import Arrival
from tests.support.tones import dominant_frequency, level_dbfs, tone

FRAME = 960


def arrivals(count: int, *, bitrate: int = 32000, first_timestamp: int = 2**32 - 5000) -> list[Arrival]:
    encoder = OpusEncoder(1, "audio", bitrate)
    sound = tone(440, count * FRAME / 48000)
    return [
        Arrival(
            i,
            RtpPacket(
                111,
                False,
                i & 0xFFFF,
                (first_timestamp + i * FRAME) & 0xFFFFFFFF,
                1,
                encoder.encode(sound[i * FRAME : (i + 1) * FRAME]),
            ),
            i * 0.02,
        )
        for i in range(count)
    ]


def played(timeline: Timeline, packets: list[Arrival]) -> NDArray[np.float32]:
    return np.concatenate([piece.pcm[:, 0] for a in packets for piece in timeline.feed(a)])


def test_a_complete_stream_is_decoded_as_it_is() -> None:
    timeline = Timeline()
    pcm = played(timeline, arrivals(100))
    assert pcm.size == 100 * FRAME
    assert dominant_frequency(pcm[4800:]) == pytest.approx(440, abs=0.5)
    assert level_dbfs(pcm[4800:]) == pytest.approx(-15.05, abs=0.5)
    assert (timeline.concealed, timeline.paused, timeline.leaps) == (0, 0, 0)


def test_lost_packets_are_concealed_in_their_place() -> None:
    timeline = Timeline()
    packets = arrivals(100)
    pcm = played(timeline, [a for a in packets if a.sequence not in (50, 51)])
    assert pcm.size == 100 * FRAME
    assert timeline.concealed == 2 * FRAME
    assert timeline.paused == 0
    invented = pcm[50 * FRAME : 52 * FRAME]
    assert level_dbfs(invented) > -30, "the tone goes on, it is not replaced by silence"
    assert dominant_frequency(pcm[52 * FRAME + 4800 :]) == pytest.approx(440, abs=0.5)


def test_a_long_loss_fades_out_and_keeps_its_time() -> None:
    timeline = Timeline()
    packets = arrivals(200)
    pcm = played(timeline, [a for a in packets if not 50 <= a.sequence < 150])
    assert pcm.size == 200 * FRAME
    assert timeline.concealed == 100 * FRAME
    silence = pcm[50 * FRAME + CONCEAL_LOST : 150 * FRAME]
    assert not silence.any()


def test_a_pause_of_the_sender_is_no_loss() -> None:
    timeline = Timeline()
    packets = arrivals(60)
    renumbered = [
        Arrival(a.sequence if a.sequence < 30 else a.sequence - 10, a.packet, a.at)
        for a in packets
        if not 30 <= a.sequence < 40
    ]
    pcm = played(timeline, renumbered)
    assert pcm.size == 60 * FRAME
    assert (timeline.concealed, timeline.paused) == (0, 10 * FRAME)


def test_an_unreadable_packet_counts_as_lost() -> None:
    timeline = Timeline()
    packets = arrivals(30)
    packets[10].packet.payload = b"\x03"  # code 3 without its frame count
    packets[20].packet.payload = b""
    pcm = played(timeline, packets)
    assert pcm.size == 30 * FRAME
    assert timeline.concealed == 2 * FRAME


def voice(frames: int) -> NDArray[np.float32]:
    """A gliding buzz with syllables: like speech, it cannot be guessed from what came before."""
    times = np.arange(frames * FRAME) / 48000
    phase = 2 * np.pi * np.cumsum(140 + 60 * np.sin(2 * np.pi * 3.1 * times)) / 48000
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    return np.asarray(0.2 * buzz * (0.55 + 0.45 * np.sin(2 * np.pi * 4.7 * times)), np.float32)


def recovery_error(*, fec: bool) -> float:
    """Error of single lost frames against the undisturbed decode, dB relative to it."""
    encoder = OpusEncoder(1, "voip", 24000, fec=fec, expected_loss=20)
    encoded = [encoder.encode(frame) for frame in voice(100).reshape(100, FRAME)]
    packets = [
        Arrival(i, RtpPacket(111, False, i, i * FRAME, 1, data), i * 0.02) for i, data in enumerate(encoded)
    ]
    missing = range(30, 90, 6)
    whole = played(Timeline(), packets)
    lossy = played(Timeline(), [a for a in packets if a.sequence not in missing])
    assert lossy.size == whole.size
    places = np.concatenate([np.arange(i * FRAME, (i + 1) * FRAME) for i in missing])
    return level_dbfs(lossy[places] - whole[places]) - level_dbfs(whole[places])


def test_in_band_fec_gives_the_lost_frame_back() -> None:
    assert recovery_error(fec=True) < recovery_error(fec=False) - 3


def test_an_absurd_timestamp_does_not_write_for_hours() -> None:
    timeline = Timeline()
    packets = arrivals(20)
    for a in packets[10:]:
        a.packet.timestamp = (a.packet.timestamp + 2**30) & 0xFFFFFFFF
    assert played(timeline, packets).size == 20 * FRAME
    assert timeline.leaps == 1


def test_a_repeated_stretch_of_time_is_followed() -> None:
    timeline = Timeline()
    packets = arrivals(20)
    for a in packets[10:]:
        a.packet.timestamp = (a.packet.timestamp - 5 * FRAME) & 0xFFFFFFFF
    assert played(timeline, packets).size == 20 * FRAME
    assert timeline.leaps == 1


def test_time_goes_on_while_nothing_comes() -> None:
    timeline = Timeline()
    packets = arrivals(20)
    sounded = played(timeline, packets).size
    filled = 0
    for tenth in range(100):
        filled += sum(p.pcm.shape[0] for p in timeline.stall(0.38 + tenth / 10))
    assert filled == pytest.approx((9.9 - 1.0) * 48000, abs=2000)
    # The programme comes back after 20 s by its own clock: only what is still missing is filled in.
    late = Arrival(20, packets[0].packet, 20.38)
    late.packet.timestamp = (packets[-1].packet.timestamp + 20 * 48000) & 0xFFFFFFFF
    back = played(timeline, [late]).size
    assert sounded + filled + back == 20 * FRAME + 20 * 48000
    assert not list(Timeline().stall(100.0)), "nothing is filled before the first packet"
