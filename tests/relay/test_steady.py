"""What fails in the background begins again, and the relay it belongs to goes on."""

from __future__ import annotations

import asyncio
import logging

import pytest

from relay.steady import PAUSE_S, steady


async def test_what_fails_is_logged_with_its_trace_and_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    began, pauses = 0, list[float]()

    async def stumbles() -> None:
        nonlocal began
        began += 1
        if began < 3:
            raise RuntimeError("dictionary changed size during iteration")

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with caplog.at_level(logging.ERROR):
        async with asyncio.TaskGroup() as group:
            group.create_task(steady("meetings", stumbles, sleep))
    assert (began, pauses) == (3, [PAUSE_S] * 2)
    assert [record.getMessage() for record in caplog.records] == [
        "meetings failed; it begins again in 1 s"
    ] * 2
    assert "dictionary changed size" in caplog.text


async def test_who_is_told_to_end_ends() -> None:
    started = asyncio.Event()

    async def waits() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(steady("meetings", waits))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
