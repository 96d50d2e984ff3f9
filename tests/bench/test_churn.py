from __future__ import annotations

import pytest

from bench.churn import REST_S, STAY_S, Pool, Turnstile


def test_swaps_fall_due_at_the_rate_by_any_look() -> None:
    turnstile = Turnstile(20)
    turnstile.resume(100.0)
    looks = [100 + step * 0.007 for step in range(1, 1430)]
    assert sum(turnstile.due(now) for now in looks) == pytest.approx(20 * 10, abs=1)


def test_a_late_look_catches_up_at_once() -> None:
    turnstile = Turnstile(10)
    turnstile.resume(0.0)
    assert turnstile.due(0.09) == 0
    assert turnstile.due(0.55) == 5
    assert turnstile.due(0.56) == 0
    assert turnstile.due(0.61) == 1


def test_nothing_is_due_in_a_pause_and_nothing_piles_up() -> None:
    turnstile = Turnstile(10)
    assert turnstile.due(5.0) == 0
    turnstile.resume(10.0)
    turnstile.pause()
    assert turnstile.due(20.0) == 0
    turnstile.resume(30.0)
    assert turnstile.due(30.05) == 0
    assert turnstile.due(30.11) == 1


def test_the_pool_lasts_for_a_stay_and_a_rest() -> None:
    pool = Pool.of(20)
    assert pool.inside >= 20 * STAY_S
    assert pool.resting > 20 * REST_S
    assert pool.sockets == pool.inside + pool.resting
    assert Pool.of(0).sockets == 0
