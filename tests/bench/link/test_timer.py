from __future__ import annotations

import asyncio
import time

from bench.link.timer import PreciseTimer


async def test_it_wakes_on_time_and_only_once() -> None:
    woken: asyncio.Queue[float] = asyncio.Queue()
    timer = PreciseTimer(lambda: woken.put_nowait(time.monotonic()))
    try:
        lateness = []
        for _ in range(20):
            at = time.monotonic() + 0.0031
            timer.set(at)
            lateness.append(await asyncio.wait_for(woken.get(), 5) - at)
        assert min(lateness) >= 0
        assert sorted(lateness)[10] < 0.002  # a loop's own timers may sleep a millisecond too long
        assert woken.empty()
    finally:
        timer.close()
        timer.close()


async def test_a_time_that_has_passed_wakes_at_once_and_none_wakes_never() -> None:
    woken = asyncio.Event()
    timer = PreciseTimer(woken.set)
    try:
        past = time.monotonic() - 10
        for _ in range(2):
            timer.set(past)
            await asyncio.wait_for(woken.wait(), 5)
            woken.clear()
        timer.set(time.monotonic() + 0.01)
        timer.set(None)
        other = asyncio.Event()
        later = PreciseTimer(other.set)
        later.set(time.monotonic() + 0.05)
        await asyncio.wait_for(other.wait(), 5)
        later.close()
        assert not woken.is_set()
    finally:
        timer.close()
