"""A crowd is let in evenly, by a hand-driven clock."""

from __future__ import annotations

import pytest

from relay.errors import Unavailable
from relay.pace import Pace


async def test_a_crowd_is_spread_and_a_single_caller_does_not_wait() -> None:
    now = 100.0
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    pace = Pace(0.25, clock=lambda: now, sleep=sleep)
    for _ in range(4):
        await pace.turn()
    assert waits == [0.25, 0.5, 0.75]
    now = 101.0
    await pace.turn()
    assert waits == [0.25, 0.5, 0.75]
    now = 101.1
    await pace.turn()
    assert [round(wait, 6) for wait in waits[3:]] == [0.15]


async def test_who_would_wait_too_long_is_told_when_to_come_back_and_takes_nobodys_turn() -> None:
    """Of 5,000 who came at once half gave up after 10 s, and the relay made 6,000 sessions that nobody had."""
    now = 100.0
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    pace = Pace(0.25, clock=lambda: now, sleep=sleep, longest=1.0)
    for _ in range(5):
        await pace.turn()
    for _ in range(1_000):
        with pytest.raises(Unavailable) as refused:
            await pace.turn()
        assert refused.value.retry_after == 2
    assert waits == [0.25, 0.5, 0.75, 1.0]
    now = 100.5
    for _ in range(2):
        await pace.turn()
    with pytest.raises(Unavailable):
        await pace.turn()
