"""Packets of one source by ear: order, loss, lateness, pauses, clocks that differ, and what no Opus source sends."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loacodecs.opus import OpusEncoder
from tests.support.mixing import FRAME, Line, packets_of, strength, tone
from tests.support.tones import level_dbfs

SECOND = 50


def played(sound: np.ndarray, skip: int = 10) -> float:
    """The level of 440 Hz without the first blocks."""
    return strength(sound[skip * FRAME :], 440)


@pytest.mark.parametrize("phase", [0.001, 0.0179])
def test_a_packet_is_played_at_the_first_tick_after_it_came(phase: float) -> None:
    line = Line()
    sound = line.play(packets_of(tone(440, SECOND)), phase=phase)
    assert line.came == [False] + [True] * (SECOND - 1)
    assert abs(played(sound) + 20) < 0.2
    assert line.feed.counters.concealed_s == 0
    assert max(line.buffered) == 0


def test_one_that_came_a_moment_before_the_tick_waits_for_the_next_lest_the_next_one_miss_it() -> None:
    line = Line()
    line.play(packets_of(tone(440, SECOND)), phase=0.0195)
    assert line.came.index(True) == 2
    assert line.feed.counters.concealed_s == 0


@pytest.mark.parametrize("frame_ms", [2.5, 10, 40, 60, 120])
def test_packets_of_any_length(frame_ms: float) -> None:
    line = Line()
    sound = line.play(packets_of(tone(440, SECOND + 10), frame_ms), frame_ms=frame_ms)
    assert abs(played(sound[: 45 * FRAME]) + 20) < 0.2
    assert line.feed.counters.concealed_s <= 0.02


def test_stereo_stays_stereo_and_becomes_mono_where_that_is_wanted() -> None:
    pcm = np.concatenate((tone(440, SECOND), tone(1700, SECOND)), 1)
    stereo = Line(2).play(packets_of(pcm))
    assert strength(stereo[10 * FRAME :, 0], 440) > -21 > -40 > strength(stereo[10 * FRAME :, 1], 440)
    mono = Line(1).play(packets_of(pcm))
    assert np.array_equal(mono[:, 0], mono[:, 1])
    assert strength(mono[10 * FRAME :], 1700) == pytest.approx(-26, abs=1)


def test_a_lost_packet_is_concealed_and_costs_no_delay() -> None:
    line = Line()
    sound = line.play(packets_of(tone(440, 2 * SECOND)), delay=lambda i: None if i % 20 == 7 else 0.0)
    assert all(line.came[1:])
    assert line.feed.counters.lost == 5
    assert abs(played(sound) + 20) < 1
    assert np.abs(sound[10 * FRAME :]).reshape(-1, 240).max(1).min() > 0.05, "no hole of 5 ms"
    assert max(line.buffered) == 0


@pytest.mark.parametrize(("fec", "least", "most"), [(True, -30, 0), (False, -99, -35)])
def test_in_band_fec_brings_a_lost_packet_back_when_the_next_is_there(
    fec: bool, least: float, most: float
) -> None:
    pcm = tone(300, 120)
    pcm[74 * FRAME : 75 * FRAME] = tone(800, 1)  # packet 74 alone has it, and is lost
    encoder = OpusEncoder(1, "voip", 24_000, fec=fec, expected_loss=30)
    packets: list[bytes | None] = [encoder.encode(pcm[i * FRAME : (i + 1) * FRAME]) for i in range(120)]
    # whoever is uneven has a packet more in hand, so that the one after a lost one is there
    sound = Line().play(packets, delay=lambda i: None if i == 74 else 0.03 if i % 4 == 0 else 0.0)
    heard = max(strength(sound[at : at + FRAME], 800) for at in range(72 * FRAME, 84 * FRAME, 240))
    assert least < heard < most


def test_overtaken_packets_are_put_in_order() -> None:
    line = Line()
    sound = line.play(packets_of(tone(440, 3 * SECOND)), delay=lambda i: 0.03 if i % 10 == 5 else 0.0)
    late = sound[2 * SECOND * FRAME :]
    assert abs(strength(late, 440) + 20) < 0.3
    before = line.feed.counters.concealed_s
    line.play(
        packets_of(tone(440, SECOND)),
        delay=lambda i: 0.03 if i % 10 == 5 else 0.0,
        sequence=150,
        timestamp=150 * 960,
    )
    assert line.feed.counters.concealed_s == before, "the delay has grown by what it takes"


def test_delay_goes_down_again_when_the_network_is_quiet() -> None:
    line = Line()
    line.play(
        packets_of(tone(440, 6 * SECOND)), delay=lambda i: 0.08 - 0.02 * (i - 50) if 50 <= i < 54 else 0.0
    )
    assert max(line.buffered) >= 0.06
    assert line.buffered[-1] < 0.01
    assert line.feed.counters.shortened_s == pytest.approx(0.08, abs=0.015)
    assert line.feed.counters.dropped == 0


def test_after_a_long_stall_what_is_stale_is_let_go_of() -> None:
    line = Line()
    line.play(
        packets_of(tone(440, 3 * SECOND)),
        delay=lambda i: max(0.0, 1 - 0.02 * (i - 50)) if 50 <= i < 100 else 0.0,
    )
    assert line.came[110:] == [True] * 40
    assert line.buffered[-1] == 0
    assert line.feed.counters.concealed_s == pytest.approx(0.1)


@pytest.mark.parametrize("ppm", [-400, 400])
def test_a_clock_that_differs_is_followed_without_a_gap(ppm: float) -> None:
    line = Line()
    packets = packets_of(tone(440, SECOND))[5:45] * 45  # 36 s
    line.play(packets, ppm=ppm, blocks=1770)
    assert line.feed.counters.concealed_s == 0
    assert line.feed.counters.dropped == 0
    assert line.buffered[-1] <= 0.03


def test_what_comes_after_its_time_is_let_go_of() -> None:
    line = Line()
    line.play(packets_of(tone(440, 2 * SECOND)), delay=lambda i: 0.09 if i == 30 else 0.0)
    assert (line.feed.counters.lost, line.feed.unusable) == (1, 1)

    def delay(i: int) -> float:
        if i == 74:
            return 0.045  # the tick that wanted it has gone by, the one for the next packet not yet
        return 0.03 if i % 4 == 0 else 0.0

    other = Line()
    other.play(packets_of(tone(440, SECOND)), delay=delay)
    before = other.feed.unusable
    other.play(
        packets_of(tone(440, SECOND)), delay=lambda i: delay(50 + i), sequence=50, timestamp=50 * FRAME
    )
    assert (other.feed.counters.lost, other.feed.unusable) == (1, before + 1)


def test_who_is_late_now_and_then_is_believed_to_be_so_again() -> None:
    line = Line()
    line.play(packets_of(tone(440, SECOND))[5:45] * 38, delay=lambda i: 0.025 if i % 125 == 100 else 0.0)
    assert line.feed.counters.concealed_s <= 0.08, "four of twelve at the most"


def test_what_is_longer_or_shorter_keeps_its_pitch() -> None:
    line = Line()
    sound = line.play(
        packets_of(tone(440, 6 * SECOND)), delay=lambda i: 0.08 - 0.02 * (i - 50) if 50 <= i < 54 else 0.0
    )
    shortening = sound[3 * SECOND * FRAME : 5 * SECOND * FRAME]
    assert line.feed.counters.shortened_s > 0.06
    rest = shortening[:, 0] - np.mean(shortening[:, 0])
    spectrum = np.abs(np.fft.rfft(rest * np.hanning(len(rest))))
    assert np.argmax(spectrum) * 48_000 / len(rest) == pytest.approx(440, abs=3)
    assert np.abs(np.diff(rest)).max() < 0.1 * 2 * np.pi * 440 / 48_000 * 1.5, "no click"


def test_a_pause_of_the_source_is_no_loss() -> None:
    pcm = tone(440, SECOND)
    pcm[20 * FRAME :] = 0
    packets: list[bytes | None] = [*packets_of(pcm)[:24], *[None] * 24, *packets_of(tone(440, SECOND))]
    line = Line()
    stamps = [i for i, each in enumerate(packets) if each is not None]
    # the numbers go on, the timestamps jump (RFC 7587 §4.1)
    feed_packets = [packets[i] for i in stamps]
    sound = line.play(feed_packets[:24])
    later = line.play(
        feed_packets[24:], sequence=24, timestamp=48 * FRAME, phase=24 * 0.02 + 0.007, blocks=70
    )
    assert line.feed.counters.concealed_s == 0
    assert line.feed.counters.lost == 0
    assert level_dbfs(later[: 20 * FRAME, 0]) < -50
    assert strength(sound[3 * FRAME : 18 * FRAME], 440) > -21
    assert strength(later[30 * FRAME : 60 * FRAME], 440) > -21


def test_a_source_that_stops_fades_and_ends() -> None:
    line = Line()
    line.play(packets_of(tone(440, SECOND)))
    rest = line.play([None] * 20)
    assert line.came[-14:] == [False] * 14
    assert not rest[-14 * FRAME :].any()
    assert np.abs(np.diff(rest[:, 0])).max() < 0.01, "no click at the end"


@pytest.mark.parametrize("change", [{"ssrc": 2}, {"sequence": 9_000, "timestamp": 123_456_789}])
def test_a_source_that_starts_afresh_is_heard_at_once(change: dict[str, int]) -> None:
    line = Line()
    line.play(packets_of(tone(440, SECOND)))
    sound = line.play(packets_of(tone(1700, SECOND)), **change)
    assert strength(sound[5 * FRAME : 45 * FRAME], 1700) > -21


def test_counters_wrap() -> None:
    line = Line()
    sound = line.play(packets_of(tone(440, SECOND)), sequence=65_520, timestamp=0xFFFF_FFFF - 10 * FRAME)
    assert abs(played(sound) + 20) < 0.2
    assert line.feed.counters.concealed_s == 0


def test_what_is_no_opus_is_counted_and_concealed() -> None:
    packets: list[bytes | None] = list(packets_of(tone(440, SECOND)))
    packets[20] = b"\x03\x00"  # code 3 with no frame
    packets[30] = bytes([packets[30][0]]) + bytes(300)  # type: ignore[index]
    line = Line()
    sound = line.play(packets)
    assert line.feed.unusable >= 1
    assert all(line.came[1:])
    assert strength(sound[35 * FRAME :], 440) > -21


def test_more_than_anybody_sends_is_let_go_of() -> None:
    line = Line()
    packets = packets_of(tone(440, SECOND)) * 20
    line.play(packets, delay=lambda i: -0.02 * i, blocks=5)
    assert line.buffered[-1] < 0.5
    assert line.feed.unusable > 700


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF), st.binary(max_size=40)
        ),
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_nothing_raises(
    packets: list[tuple[int, int, int, bytes]], dice: random.Random
) -> None:
    line = Line()
    good = packets_of(tone(440, 5))
    out = np.zeros((2, FRAME), np.float32)
    for number, (ssrc, sequence, timestamp, payload) in enumerate(packets):
        line.feed.push(ssrc, sequence, timestamp, payload, line.moment.now)
        line.feed.push(1, number, number * FRAME, good[number % 5], line.moment.now)
        if dice.random() < 0.5:
            line.moment.now += 0.02
            line.feed.read(out)
            assert np.isfinite(out).all()
