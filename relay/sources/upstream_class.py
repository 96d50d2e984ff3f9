"""The class of a pulled channel's live programme, as the relay it is pulled from states it.

It is believed for the signature of that relay's command key and for nothing else: neither TLS nor an address makes an
emergency. Which key that is says the configuration, by the relay's name.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Final

import httpx

from loacodecs.backoff import Backoff
from loacodecs.control import CLASS_SECONDS_MAX, Command, LiveClass, parse_class
from loacodecs.errors import LoaError, MalformedError, TransportError
from loacodecs.signing import CommandGuard, SeenNonces, relay_name
from loacodecs.strict_json import from_base64url, load_object
from relay.device_ports import RELAYS
from relay.sources.upstream import BACKOFF_FIRST_S, BACKOFF_MAX_S, HTTP_TIMEOUT_S, STEADY_S, endpoint

log = logging.getLogger("loa.upstream")

SILENT_S: Final = 60.0
"""A relay states its class anew every 20 s; one that says nothing for so long is asked again."""
EVENT_MAX: Final = 16_384


class UpstreamClass:
    """Follows the class of the channel that `source` names, by the word of the relay `trusted`, and has it taken for
    `channel`: `take(stated, relay)`."""

    def __init__(
        self, channel: str, source: str, trusted: str, read_token: Callable[[], str | None],
        take: Callable[[LiveClass, str], Awaitable[None]], *, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._channel = channel
        base, _, name = endpoint(source).removesuffix("/whep").rpartition("/")
        self._theirs = name
        self._url = f"{base}/api/v1/channels/{name}/class/events"
        self._trusted = trusted
        self._read_token = read_token
        self._take = take
        self._wall = wall
        self._nonces = SeenNonces()

    async def run(self) -> None:
        """Follow until cancelled. What was stated holds while the relay cannot be asked, until its time is over."""
        backoff = Backoff(os.urandom, first_s=BACKOFF_FIRST_S, limit_s=BACKOFF_MAX_S)
        timeout = httpx.Timeout(HTTP_TIMEOUT_S, read=SILENT_S)
        async with httpx.AsyncClient(timeout=timeout) as client:
            while True:
                began = time.monotonic()
                try:
                    await self._follow(client)
                    reason = "it ended the stream"
                except (httpx.HTTPError, LoaError, OSError) as error:
                    reason = str(error) or type(error).__name__
                if time.monotonic() - began >= STEADY_S:
                    backoff.reset()
                wait = backoff.next_pause()
                log.warning(
                    "channel %s: its class cannot be told (%s); again in %.1f s", self._channel, reason, wait
                )
                await asyncio.sleep(wait)

    async def _follow(self, client: httpx.AsyncClient) -> None:
        token = self._read_token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with client.stream("GET", self._url, headers=headers) as answer:
            if answer.status_code != 200:
                raise TransportError(f"upstream answered {answer.status_code}")
            async for data in _events(answer.aiter_bytes()):
                await self.hear(data)

    async def hear(self, data: str) -> None:
        """Take one statement. Raises TransportError and MalformedError for what is not to be believed."""
        told = load_object(data, EVENT_MAX)
        key, body, signature = (told.get(field) for field in ("command_key", "body", "signature"))
        if not (isinstance(key, str) and isinstance(body, str) and isinstance(signature, str)):
            raise MalformedError("a statement has command_key, body and signature")
        try:
            public_key = from_base64url(key)
        except ValueError:
            raise MalformedError("command_key is no base64url") from None
        if relay_name(public_key) != self._trusted:
            raise TransportError(f"upstream is {relay_name(public_key)}, not {self._trusted} of class_from")
        verdict = CommandGuard(RELAYS, public_key, self._nonces).check(Command(body, signature), self._wall())
        if verdict.body is None:
            raise TransportError(f"its statement is refused: {verdict.refusal}")
        if verdict.body.verb != "class":
            raise MalformedError(f"a statement is a class, not a {verdict.body.verb}")
        stated = parse_class(verdict.body.args)
        if stated.channel != self._theirs:
            raise TransportError("its statement is of another channel")
        if stated.kind != "normal" and stated.until - verdict.body.issued > CLASS_SECONDS_MAX:
            raise TransportError("its statement is for too long")
        await self._take(replace(stated, channel=self._channel), self._trusted)


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of events that have one line of it. Raises TransportError for a line without end."""
    waiting = b""
    async for chunk in chunks:
        *lines, waiting = (waiting + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                yield line[6:].decode("utf-8", "replace").rstrip("\r")
        if len(waiting) > EVENT_MAX:
            raise TransportError("its statement is too long")
