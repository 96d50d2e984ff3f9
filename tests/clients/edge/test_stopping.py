"""Work ends when it is told, and only then."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from loaedge.stopping import run_until, stop_signals


async def test_work_that_finishes_gives_its_result() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert await run_until(work(), never) == "done"


async def test_an_end_cancels_the_work_and_lets_it_tidy_up() -> None:
    end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    tidied = False

    async def work() -> None:
        nonlocal tidied
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            tidied = True

    asyncio.get_running_loop().call_soon(end.set_result, None)
    await run_until(work(), end)
    assert tidied


async def test_time_over_is_an_end_too() -> None:
    assert await run_until(asyncio.Event().wait(), timeout_s=0.01) is None


async def test_what_the_work_raises_comes_out() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await run_until(work())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_resolves_the_future_and_the_next_is_not_ours(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_signals() as stop:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop, 5)
        assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    signal.signal(number, before)
