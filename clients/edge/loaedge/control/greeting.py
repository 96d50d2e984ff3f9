"""One look at the control link, for `loa edge doctor`: the relay's welcome, or why there is none.

Nothing is obeyed, kept or acknowledged. A running receiver's own link is closed by it, since a device has one link; it
comes back after a minute.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

from loacodecs.clocksync import Exchange
from loacodecs.control import Receipt, Telemetry, Welcome
from loacodecs.errors import LoaError

from .enrol import relay_url
from .identity import Identity
from .link import CAPABILITIES, LINK_ERRORS, link_connection, why_ended
from .session import Ended, LinkSession

GREETING_S: Final = 15.0


class NotWelcomeError(LoaError):
    """The relay gives no link; `word` is that of `session.Ended`."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.detail)
        self.word = ended.word


class _NoClock:
    def add(self, exchange: Exchange) -> bool:
        """Not wanted."""
        return False

    def pause_s(self, on_air: bool) -> float:
        """Never."""
        return GREETING_S


async def greet(
    relay: str, identities: Mapping[str, Identity], version: str, tls: ssl.SSLContext | None
) -> Welcome:
    """Say hello to `relay` (a base address) and hang up. Raises NotWelcomeError, ConfigurationError."""
    url = relay_url(relay)
    loop = asyncio.get_running_loop()
    session = LinkSession(
        identities,
        _NoClock(),
        version=version,
        capabilities=CAPABILITIES,
        telemetry=_nothing_to_tell,
        on_air=lambda: False,
        receipt=_no_receipt,
        now=loop.time(),
    )
    try:
        async with (
            asyncio.timeout(GREETING_S),
            link_connection(url, tls if url.startswith("wss:") else None, GREETING_S) as socket,
        ):
            async for text in socket:
                session.receive(text, loop.time())
                if isinstance(welcome := session.next_event(), Welcome):
                    return welcome
                if session.ended is not None:
                    raise NotWelcomeError(session.ended)
                while (answer := session.poll(loop.time())) is not None:
                    await socket.send(answer)
    except LINK_ERRORS as error:
        raise NotWelcomeError(session.ended or why_ended(error)[1]) from error
    raise NotWelcomeError(Ended("closed", "the relay closed the link"))


def _no_receipt() -> Receipt | None:
    return None


def _nothing_to_tell(number: int, now: float) -> Telemetry:
    raise AssertionError(f"message {number} at {now} is never asked for: the link ends with its welcome")
