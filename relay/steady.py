"""Work in the background that a mistake of ours interrupts, and does not end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

log = logging.getLogger("loa.relay")

PAUSE_S: Final = 1.0
"""From a failure until it begins again."""


async def steady(
    name: str,
    run: Callable[[], Awaitable[None]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run `run`, and again a second after each failure, which is logged with its trace, until it returns.

    In a task group an exception ends all the others: a relay would go off air because its house-keeping stumbled.
    """
    while True:
        try:
            return await run()
        except Exception:  # whatever it is, the sound goes on
            log.exception("%s failed; it begins again in %g s", name, PAUSE_S)
        await sleep(PAUSE_S)
