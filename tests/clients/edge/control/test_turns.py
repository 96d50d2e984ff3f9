"""Which relay is tried next, and how long a receiver waits for it."""

from __future__ import annotations

import pytest

from loaedge.control.turns import Attempt, Turns

AWAY = Attempt(False, 0.1, "no network")
REVOKED = Attempt(False, 0.1, "revoked", 4403)


def busy(retry_after: float | None) -> Attempt:
    return Attempt(False, 0.1, "busy", retry_after=retry_after)


def latest(count: int) -> bytes:
    return b"\xff" * count


def test_a_relay_without_room_is_asked_again_when_it_said() -> None:
    turns = Turns(1, bytes)
    assert turns.after(busy(20.0)) == 20.0
    assert turns.after(busy(None)) == 1.0, "the second pause of one that says nothing"
    assert Turns(1, latest).after(busy(20.0)) == pytest.approx(22.0), "spread, so that not all return at once"


def test_a_relay_without_room_is_not_left_for_an_hour() -> None:
    assert Turns(1, bytes).after(busy(3600.0)) == 300.0


def test_a_relay_that_asks_for_no_pause_gets_one_all_the_same() -> None:
    turns = Turns(1, bytes)
    assert [turns.after(busy(0.0)) for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_every_relay_has_its_turn_before_there_is_a_pause() -> None:
    turns = Turns(3, bytes)
    tried = []
    for attempt in (AWAY, REVOKED, busy(20.0), AWAY):
        tried.append((turns.relay, turns.after(attempt)))
    assert tried == [(0, 0.0), (1, 0.0), (2, 0.5), (0, 0.0)]


def test_the_mildest_of_those_that_have_a_reason_counts() -> None:
    turns = Turns(2, bytes)
    assert turns.after(REVOKED) == 0.0
    assert turns.after(busy(20.0)) == 20.0


def test_after_a_link_that_stood_the_best_relay_comes_next_and_soon() -> None:
    turns = Turns(2, bytes)
    for _ in range(9):
        turns.after(AWAY)
    assert turns.relay == 1
    assert turns.after(Attempt(True, 31.0, "closed", 1012)) == 0.5
    assert turns.relay == 0


def test_a_link_that_does_not_last_makes_no_short_pause() -> None:
    turns = Turns(1, bytes)
    pauses = [turns.after(Attempt(True, 5.0, "closed", 1012)) for _ in range(3)]
    assert pauses == [0.5, 1.0, 2.0]
    assert turns.after(Attempt(True, 5.0, "closed", 4409)) == 60.0
