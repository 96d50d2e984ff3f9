"""Pauses between attempts grow, are spread, and respect what the relay asks."""

from __future__ import annotations

import os

from loacodecs.backoff import Backoff


def test_pauses_double_up_to_the_limit() -> None:
    latest = Backoff(lambda n: b"\xff" * n, first_s=0.5, limit_s=30)
    assert [latest.next_pause() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    earliest = Backoff(lambda n: bytes(n), first_s=0.5, limit_s=30)
    assert [earliest.next_pause() for _ in range(3)] == [0.25, 0.5, 1]


def test_a_good_session_begins_anew() -> None:
    backoff = Backoff(lambda n: b"\xff" * n)
    for _ in range(5):
        backoff.next_pause()
    backoff.reset()
    assert backoff.next_pause() == 0.5


def test_what_the_relay_asks_is_the_least() -> None:
    backoff = Backoff(os.urandom)
    assert 20 <= backoff.next_pause(20) <= 22


def test_many_do_not_come_back_together_and_for_ever_means_for_ever() -> None:
    pauses = []
    for _ in range(50):
        backoff = Backoff(os.urandom)
        for _ in range(2000):
            pause = backoff.next_pause()
        pauses.append(pause)
    assert 15 <= min(pauses) < max(pauses) <= 30
    assert len(set(pauses)) > 30
