"""Which packets are asked for again, and when."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from loaedge.playout.repair import MAX_MISSING, MAX_TRIES, PROBE_EVERY, Repair, RoundTrip

RATE = 48000


def at(delay: float) -> Callable[[int], float | None]:
    """Frames are wanted `delay` after their media time."""
    return lambda media: media / RATE + delay


def nowhere(begin: int, _end: int) -> int | None:
    return begin


def asks(repair: Repair, until: float, delay: float = 0.7) -> list[tuple[float, list[int]]]:
    """All requests up to `until`, at the times `next_deadline` names."""
    out = []
    while (now := repair.next_deadline()) is not None and now <= until:
        asked, _, _ = repair.due(now, at(delay), nowhere)
        if asked:
            out.append((now, asked))
    return out


def measured(seconds: float) -> RoundTrip:
    trip = RoundTrip()
    for _ in range(50):
        trip.add(seconds)
    return trip


def test_requests_are_repeated_while_an_answer_can_come() -> None:
    repair = Repair(measured(0.1))
    repair.notice(5, 0, 960, 1, 0.05)
    times = [now for now, asked in asks(repair, 1.0) if asked == [5]]
    assert times[0] == pytest.approx(0.058)
    assert len(times) == MAX_TRIES or times[-1] > 0.5
    assert max(times) <= 0.7 - 0.1 + 0.01
    assert min(b - a for a, b in pairwise(times)) >= 0.05
    assert len(repair) == 0


def test_little_time_means_fewer_requests() -> None:
    repair = Repair(measured(0.3))
    repair.notice(5, 0, 960, 1, 0.3)
    assert len(asks(repair, 1.0)) == 1


def test_without_enough_time_only_probes_are_sent() -> None:
    repair = Repair(measured(0.6))
    asked = 0
    for number in range(10 * PROBE_EVERY):
        media = number * 4800
        now = media / RATE + 0.3
        repair.notice(number, media, media + 960, 1, now)
        asked += len(asks(repair, now + 0.05))
    assert asked == 10


def test_what_another_source_brought_is_not_asked_for() -> None:
    repair = Repair(measured(0.1))
    repair.notice(5, 0, 1920, 2, 0.0)
    assert repair.due(0.1, at(0.7), lambda begin, _end: begin or None) == ([6], 0, 1)
    assert 5 not in repair
    assert 6 in repair


def test_what_another_source_brought_in_part_is_asked_for_by_the_time_the_rest_is_wanted() -> None:
    """Relays cut the sound into packets at places of their own."""
    repair = Repair(measured(0.3))
    repair.notice(5, 0, 2880, 1, 0.0)
    repair.notice(6, 2880, 5760, 1, 0.0)
    assert repair.due(0.42, at(0.7), lambda begin, end: begin + 1920 if end <= 2880 else None) == ([5], 0, 1)
    assert 5 in repair


def test_what_did_not_come_in_time_is_counted_once() -> None:
    repair = Repair(measured(0.1))
    repair.notice(5, 0, 960, 1, 0.0)
    assert repair.due(0.71, at(0.7), nowhere) == ([], 1, 0)
    assert repair.next_deadline() is None


def test_without_requests_losses_are_counted_all_the_same() -> None:
    repair = Repair(measured(0.1))
    repair.notice(5, 0, 2880, 3, 0.0)
    assert repair.due(0.1, at(0.7), nowhere, ask=False) == ([], 0, 0)
    assert repair.due(0.8, at(0.7), nowhere, ask=False) == ([], 3, 0)


def test_answers_tell_the_round_trip_even_when_late() -> None:
    trip = RoundTrip()
    repair = Repair(trip)
    for number in range(40):
        media = number * 48_000
        now = media / RATE
        repair.notice(number, media, media + 960, 1, now)
        asks(repair, now + 0.79)
        repair.arrived(number, now + 0.8 + 0.008)
    assert trip.smoothed == pytest.approx(0.8, abs=0.05)


def test_what_was_only_overtaken_was_not_asked_for() -> None:
    repair = Repair(RoundTrip())
    repair.notice(5, 0, 960, 1, 0.0)
    assert not repair.arrived(5, 0.001)
    assert len(repair) == 0
    assert not repair.arrived(77, 0.001)


def test_at_most_so_many_are_waited_for() -> None:
    repair = Repair(RoundTrip())
    assert repair.notice(0, 0, 3_000 * 960, 3_000, 0.0) == 3_000 - MAX_MISSING
    assert len(repair) == MAX_MISSING
    assert 2999 in repair
    assert repair.notice(4000, 3_001 * 960, 3_002 * 960, 1, 0.0) == 1
    assert len(repair) == MAX_MISSING
