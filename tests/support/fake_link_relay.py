"""A small relay for the control link: the shared codec over a real WebSocket server on this machine."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from loacodecs.control import (
    CLOSE_REFUSED,
    PATH,
    PROTOCOL,
    Challenge,
    Clock,
    ClockAnswer,
    Command,
    CommandBody,
    Hello,
    Message,
    Receipt,
    ReceiptOk,
    Refused,
    Result,
    Telemetry,
    Welcome,
    decode,
    encode,
)
from loacodecs.signing import is_genuine, public_octets, relay_name, sign_command
from loacodecs.strict_json import to_base64url
from loaedge.control.identity import Enrolment, Identity

DEVICE = "dev-1"
RELAY_TIME = 1_795_000_000.0

Kind = TypeVar("Kind")


class RelayKeys:
    """A relay's command key and a device enrolled with it."""

    def __init__(self) -> None:
        self.command = Ed25519PrivateKey.generate()
        self.device = Ed25519PrivateKey.generate()
        self.public = public_octets(self.command)
        self.name = relay_name(self.public)

    def enrolment(self) -> Enrolment:
        return Enrolment(DEVICE, self.name, to_base64url(self.public), "commune-1")

    def identities(self) -> dict[str, Identity]:
        return {self.name: Identity(self.enrolment(), self.device)}

    def body(self, nonce: str, now: float = RELAY_TIME, **changes: Any) -> CommandBody:
        args = {"channel": "commune-1", "delay_ms": 700, "trim_ms": 0, "volume_db": -3.0, "muted": False}
        values = {
            "device": DEVICE,
            "nonce": nonce,
            "issued": now,
            "expires": now + 30.0,
            "verb": "settings",
            "args": args,
        }
        return CommandBody(**(values | changes))

    def command_for(self, nonce: str, now: float = RELAY_TIME, **changes: Any) -> Command:
        return sign_command(self.command, self.body(nonce, now, **changes))


@dataclass
class FakeRelay:
    """What it does can be set before a receiver comes; `heard` has all it was told, `greeted` counts the links."""

    keys: RelayKeys
    url: str = ""
    heard: list[Message] = field(default_factory=list)
    greeted: int = 0
    protocol: int = PROTOCOL
    name: str = ""
    refuse: str = ""
    answer_clock: bool = True
    acknowledge: bool = True
    at_welcome: list[Message | str] = field(default_factory=list)
    channel_on_air: bool = False
    telemetry_idle_s: float = 60.0
    link: ServerConnection | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message | str) -> None:
        assert self.link is not None
        await self.link.send(message if isinstance(message, str) else encode(message))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until what it heard fulfils `condition`."""
        async with asyncio.timeout(10.0):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def of(self, kind: type[Kind]) -> list[Kind]:
        """All messages of a kind, in order."""
        return [message for message in self.heard if isinstance(message, kind)]

    async def until_has(self, kind: type[Kind], count: int = 1) -> list[Kind]:
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    def now(self) -> float:
        return RELAY_TIME + asyncio.get_running_loop().time()

    async def serve_link(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        assert socket.request.path == PATH
        self.link = socket
        nonce = to_base64url(os.urandom(32))
        name = self.name or self.keys.name
        await self.send(Challenge(self.protocol, name, nonce, self.now()))
        try:
            async for text in socket:
                assert isinstance(text, str)
                message = decode(text)
                self.heard.append(message)
                await self.answer(message, nonce, socket)
                self.changed.set()
        except ConnectionClosed:
            pass
        finally:
            self.changed.set()

    async def answer(self, message: Message, nonce: str, socket: ServerConnection) -> None:
        match message:
            case Hello():
                genuine = is_genuine(
                    message,
                    relay=self.keys.name,
                    nonce=nonce,
                    public_key=public_octets(self.keys.device),
                )
                refusal = self.refuse or ("" if genuine else "signature")
                if refusal:
                    await self.send(Refused(refusal, "not you"))
                    await socket.close(CLOSE_REFUSED)
                    return
                self.greeted += 1
                await self.send(
                    Welcome(10.0, self.telemetry_idle_s, "jwt", self.now() + 3600, self.channel_on_air)
                )
                for extra in self.at_welcome:
                    await self.send(extra)
            case Clock(sent) if self.answer_clock:
                await self.send(ClockAnswer(sent, self.now(), self.now()))
            case Telemetry(sent=sent) if self.answer_clock:
                await self.send(ClockAnswer(sent, self.now(), self.now()))
            case Receipt(id) if self.acknowledge:
                await self.send(ReceiptOk(id))
            case Result():
                pass
            case _:
                pass


@asynccontextmanager
async def fake_relay(
    keys: RelayKeys, tls: ssl.SSLContext | None = None, **more: Any
) -> AsyncIterator[FakeRelay]:
    """A relay that runs as long as the block."""
    relay = FakeRelay(keys, **more)
    async with serve(
        relay.serve_link, "127.0.0.1", 0, ssl=tls, compression=None, ping_interval=None
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        relay.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
        yield relay
