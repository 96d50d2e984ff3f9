"""The relay's side of edge receivers by a hand clock, and receivers that say what the test has them say."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from loacodecs.control import Challenge, Hello, Message, Welcome, decode, encode
from loacodecs.errors import MalformedError
from loacodecs.signing import private_key, public_octets, sign_hello
from relay.device_ports import LinkClosed
from relay.devices.keys import Commander
from relay.devices.service import DeviceService
from relay.devices.serving import LinkSettings
from relay.store.database import Database
from relay.tokens import Secret, Tokens

NOW = 1_800_000_000.0
DAY = 86_400.0
PATIENCE_S = 10.0
_COMMAND_KEY = private_key(b"r" * 32)


class World:
    """A service, its clock, and the channels on air."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.on_air: set[str] = set()
        self.barred: list[str] = []
        self.tokens = Tokens(Secret(b"s" * 32), clock=lambda: self.now)
        self.database = Database(folder / "loa.sqlite3", clock=lambda: self.now)
        self.public_key = public_octets(_COMMAND_KEY)
        self.service = self.start()

    async def bar(self, subject: str) -> None:
        self.barred.append(subject)

    def start(self) -> DeviceService:
        return DeviceService(
            self.database,
            Commander(_COMMAND_KEY, wall=lambda: self.now),
            self.tokens,
            settings=LinkSettings(),
            receipts_keep_s=400 * DAY,
            on_air=self.on_air.__contains__,
            draining=lambda: False,
            bar=self.bar,
            wall=lambda: self.now,
            monotonic=lambda: self.now,
        )


class Pipe:
    """A LinkSocket without a network: the test is the receiver. `reading` cleared, sends wait."""

    address = "198.51.100.7"

    def __init__(self, world: World) -> None:
        self.closed_with: int | None = None
        self.reading = asyncio.Event()
        self.reading.set()
        self._world = world
        self._in: asyncio.Queue[str | None] = asyncio.Queue()
        self._out: asyncio.Queue[str] = asyncio.Queue()

    async def accept(self) -> None:
        pass

    async def receive(self) -> tuple[str, float]:
        text = await self._in.get()
        if text is None:
            raise LinkClosed("gone")
        if not text.isprintable():
            raise MalformedError("binary messages are not used here")
        return text, self._world.now

    async def send(self, text: str) -> None:
        await self.reading.wait()
        if self.closed_with is not None:
            raise LinkClosed("gone")
        self._out.put_nowait(text)

    async def close(self, code: int, reason: str) -> None:
        self.closed_with = code if self.closed_with is None else self.closed_with
        self._in.put_nowait(None)

    def say(self, message: Message) -> None:
        self._in.put_nowait(encode(message))

    def hang_up(self) -> None:
        self._in.put_nowait(None)

    async def hear(self) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            return decode(await self._out.get())

    def heard(self) -> list[type[Message]]:
        """The types of what waits to be heard."""
        return [type(decode(self._out.get_nowait())) for _ in range(self._out.qsize())]


async def connect(
    world: World, channel: str = "xa", *capabilities: str
) -> tuple[str, Pipe, asyncio.Task[None]]:
    """An enrolled receiver that has been welcomed; its device, its end, and the relay's task."""
    service = world.service
    issued = await service.issue_code(name="Chợ", channel=channel, ttl=DAY, subject="operator")
    key = private_key(os.urandom(32))
    enrolled = await service.enrol(issued.code, public_key=public_octets(key), name="")
    pipe = Pipe(world)
    assert service.reserve_link(pipe.address)
    serving = asyncio.create_task(service.serve_link(pipe))
    challenge = await pipe.hear()
    assert isinstance(challenge, Challenge)
    signature = sign_hello(key, relay=enrolled.relay, nonce=challenge.nonce, device=enrolled.device)
    pipe.say(Hello(enrolled.device, "0.1.0", 1, capabilities, signature))
    assert isinstance(await pipe.hear(), Welcome)
    await pipe.hear()  # settings
    return enrolled.device, pipe, serving


async def ended(serving: asyncio.Task[None]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await serving
