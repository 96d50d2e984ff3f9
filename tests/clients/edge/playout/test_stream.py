"""Counters of one run of packets: wraps, gaps, pauses, fresh starts."""

from __future__ import annotations

import pytest

from loaedge.playout.repair import RoundTrip
from loaedge.playout.stream import Stream

RATE = 48000


def begun(sequence: int = 100, timestamp: int = 5000, at: float = 0.0) -> Stream:
    stream = Stream(7, RoundTrip())
    take(stream, sequence, timestamp, at)
    return stream


def take(stream: Stream, sequence: int, timestamp: int, now: float) -> tuple[int, list[tuple[int, int]]]:
    assert stream.follows(sequence, timestamp, now)
    extended, media = stream.unwrap(sequence, timestamp, now)
    return stream.note(extended, media, media + 960, now)


def test_counters_go_on_over_their_wraps() -> None:
    stream = begun(65_535, 2**32 - 960)
    assert stream.unwrap(0, 0, 0.02) == (65_536, 2**32)
    take(stream, 0, 0, 0.02)
    assert stream.unwrap(65_535, 2**32 - 960, 0.03) == (65_535, 2**32 - 960)


@pytest.mark.parametrize("hours", [1, 13, 30, 100])
def test_timestamps_after_a_pause_are_taken_near_the_time_gone_by(hours: int) -> None:
    stream = begun()
    media = 5000 + hours * 3600 * RATE + 480
    assert stream.follows(101, media & 0xFFFFFFFF, hours * 3600.0)
    assert stream.unwrap(101, media & 0xFFFFFFFF, hours * 3600.0) == (101, media)


@pytest.mark.parametrize(
    ("sequence", "timestamp", "now", "follows"),
    [
        (101, 5960, 0.02, True),
        (99, 4040, 0.02, True),
        (101, 5000 + 9 * RATE, 0.02, True),
        (101, 5000 + 11 * RATE, 0.02, False),
        (101, 5000 + 11 * RATE, 11.0, True),
        (101, 5960, 60.0, True),  # held up on the way for a minute
        (101, 2**31, 0.02, False),
        (101 + 2900, 5000 + 60 * RATE, 60.0, True),
        (101 + 3100, 5000 + 62 * RATE, 62.0, False),
        (40_000, 5960, 0.02, False),
    ],
)
def test_what_belongs_to_a_run(sequence: int, timestamp: int, now: float, follows: bool) -> None:
    assert begun().follows(sequence, timestamp, now) is follows


def test_missing_packets_are_noticed_with_their_times() -> None:
    stream = begun()
    assert take(stream, 104, 5000 + 4 * 960, 0.08) == (0, [])
    assert [number in stream.repair for number in range(100, 105)] == [False, True, True, True, False]
    asked, _, elsewhere = stream.repair.due(
        1.0, lambda media: media / RATE + 2, lambda start, _end: None if start == 6920 else start
    )
    assert (asked, elsewhere) == ([101, 103], 1)


def test_a_pause_is_a_leap_of_the_timestamp_alone() -> None:
    stream = begun()
    assert take(stream, 101, 5000 + 20 * 960, 0.4) == (0, [(5960, 5000 + 20 * 960)])
    assert len(stream.repair) == 0


def test_a_pause_is_seen_even_when_the_packets_around_it_come_in_disorder() -> None:
    stream = begun()
    assert take(stream, 102, 5000 + 20 * 960, 0.4) == (0, [])
    assert 101 in stream.repair
    assert take(stream, 101, 5960, 0.41) == (0, [(5000 + 2 * 960, 5000 + 20 * 960)])


def test_no_more_losses_than_can_be_asked_for_are_remembered() -> None:
    stream = begun()
    given_up, _ = take(stream, 2100, 5000 + 2000 * 960, 40.0)
    assert given_up > 1700
    assert len(stream.repair) <= 256
