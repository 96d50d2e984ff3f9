"""A crowd is let in evenly, by a hand-driven clock."""

from __future__ import annotations

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
