"""The deadlines of the mixer by a hand-driven clock: no drift, no bunches, nothing left behind."""

from __future__ import annotations

import itertools
import random

import pytest

from relay.live.tick import BEHIND_MAX_S, PERIOD_S, SPACING_S, Tick, TickClock


def begins(clock: TickClock, until: float, took: object = lambda tick: 0.002) -> list[Tick]:
    """Run the clock as its thread would, each tick taking so long; gives the ticks."""
    ticks, now = [], clock.next_at
    while now < until:
        tick = clock.begin(now)
        assert tick is not None
        ticks.append(tick)
        now = max(clock.next_at, now + took(tick))  # type: ignore[operator]
    return ticks


def test_an_hour_does_not_drift() -> None:
    dice = random.Random(1)
    clock = TickClock(100.0)
    now, last = 100.0, None
    for number in range(180_000):
        last = clock.begin(now + dice.uniform(0, 0.003))
        assert last is not None
        assert last.number == number
        now = clock.next_at
    assert last is not None
    assert last.deadline == pytest.approx(100 + 179_999 * 0.02, abs=1e-6)


def test_none_begins_before_its_time() -> None:
    clock = TickClock(5.0)
    assert clock.begin(4.999) is None
    assert clock.begin(5.0) is not None
    assert clock.begin(5.0199) is None
    assert clock.next_at == pytest.approx(5.02)


def test_an_overrun_is_counted_and_caught_up_on_without_a_bunch() -> None:
    clock = TickClock(0.0)
    ticks = begins(clock, 1.0, lambda tick: 0.09 if tick.number == 10 else 0.002)
    assert [tick.number for tick in ticks] == list(range(50)), "none is missing"
    starts = [tick.began for tick in ticks]
    apart = [after - before for before, after in itertools.pairwise(starts)]
    assert min(apart) >= SPACING_S - 1e-9
    assert sum(tick.overrun for tick in ticks) == 4
    assert ticks[20].late < 1e-9, "no delay stays"


def test_what_is_too_far_behind_is_passed_over() -> None:
    clock = TickClock(0.0)
    ticks = begins(clock, 3.0, lambda tick: 1.0 if tick.number == 10 else 0.002)
    late = ticks[11]
    assert late.skipped == pytest.approx(1.0 / PERIOD_S - 1, abs=1)
    assert late.late < PERIOD_S + 1e-9
    assert late.overrun
    assert sum(tick.skipped for tick in ticks) == late.skipped
    assert [tick.number for tick in ticks[11:]] == list(range(late.number, late.number + len(ticks) - 11))
    assert ticks[-1].late < 1e-9


def test_who_is_always_too_slow_stays_within_bounds() -> None:
    ticks = begins(TickClock(0.0), 60.0, lambda tick: 0.03)
    assert max(tick.late for tick in ticks) < BEHIND_MAX_S
    assert ticks[-1].deadline > 59.7


def test_a_rest_misses_nothing() -> None:
    clock = TickClock(0.0)
    assert clock.begin(0.0) is not None
    clock.resume(10.005)
    tick = clock.begin(clock.next_at)
    assert tick is not None
    assert (tick.number, tick.skipped, tick.overrun) == (501, 0, False)
    assert tick.deadline == pytest.approx(10.02)
