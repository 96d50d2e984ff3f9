"""Stop in good order: signals that end the work, and work that ends when told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def stop_signals() -> Iterator[asyncio.Future[None]]:
    """A future that SIGINT or SIGTERM resolves; a second signal ends the process as it would without us."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()
    signals = (signal.SIGINT, signal.SIGTERM)

    def restore() -> None:
        for number in signals:
            loop.remove_signal_handler(number)

    def on_signal() -> None:
        if not stop.done():
            stop.set_result(None)
        restore()

    for number in signals:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        restore()


async def run_until(
    work: Coroutine[Any, Any, T], *ends: asyncio.Future[Any], timeout_s: float | None = None
) -> T | None:
    """Run `work` to its result, or cancel it as soon as one of `ends` resolves or the time is over: then None."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, *ends}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
