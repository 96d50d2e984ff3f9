"""A relay's HTTP surface with edge receivers on real sockets, and a receiver that says what the test has it say."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from loacodecs.control import (
    PATH,
    Challenge,
    Command,
    Hello,
    Message,
    Refused,
    Result,
    Telemetry,
    Welcome,
    decode,
    decode_body,
    encode,
)
from loacodecs.signing import private_key, public_octets, sign_hello
from loacodecs.strict_json import to_base64url
from relay.config import ChannelConfig, ChannelsConfig, Config
from relay.devices.keys import Commander
from relay.devices.service import DeviceService
from relay.devices.serving import LinkSettings
from relay.http.app import create_app
from relay.http.server import HttpServer, bind
from relay.ports import ChannelState
from relay.store.database import Database
from relay.tokens import Secret, Tokens
from tests.support.fake_core import FakeCore
from tests.support.revoking import HandRevocations

PATIENCE_S = 10.0
_M = TypeVar("_M")


@dataclass
class EdgeRelay:
    """A relay in this event loop. `on_air` holds the channels on air; look at `commander` to verify commands."""

    folder: Path
    settings: LinkSettings = field(default_factory=LinkSettings)
    on_air: set[str] = field(default_factory=set)
    core: FakeCore = field(default_factory=FakeCore)
    port: int = 0
    key: bytes = b"r" * 32
    revocations: HandRevocations = field(default_factory=HandRevocations)

    def __post_init__(self) -> None:
        named = {"xa": ChannelConfig(), "huyen": ChannelConfig()}
        self.config = Config(channels=ChannelsConfig(named=named), state_dir=self.folder)
        self.core.states = [_state(name) for name in named]
        self.tokens = Tokens(Secret(b"s" * 32))
        self.database = Database(self.folder / "loa.sqlite3")
        self.commander = Commander(private_key(self.key), wall=time.time)
        self.desk = DeviceService(
            self.database,
            self.commander,
            self.tokens,
            settings=self.settings,
            receipts_keep_s=400 * 86_400.0,
            on_air=self.on_air.__contains__,
            draining=lambda: self.core.draining,
            bar=self.core.bar,
        )

    def bearer(self, *channels: str) -> dict[str, str]:
        token = self.tokens.mint(subject="đài", scopes=["admin"], channels=channels or ["*"], ttl=3600)
        return {"Authorization": f"Bearer {token}"}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=self.bearer())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[EdgeRelay]:
        app = create_app(
            self.core,
            self.config,
            self.tokens,
            desk=self.desk,
            revocations=self.revocations,
            folder=self.folder,
        )
        http = HttpServer(app, bind(f"127.0.0.1:{self.port}"), grace=1)
        serving, tending = asyncio.create_task(http.run()), asyncio.create_task(self.desk.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await http.started.wait()
            self.port = http.addresses[0][1]
            yield self
        finally:
            tending.cancel()
            http.stop(force=True)
            async with asyncio.timeout(PATIENCE_S):
                await serving
                await self.desk.close()

    async def enrol(self, channel: str = "xa") -> Receiver:
        """A receiver that has enrolled as technicians do it."""
        async with self.client() as client:
            made = await client.post("/api/v1/devices/codes", json={"channel": channel, "name": "Cụm 1"})
            assert made.status_code == 201, made.text
            key = private_key(os.urandom(32))
            body = {"code": made.json()["code"], "public_key": to_base64url(public_octets(key))}
            enrolled = await client.post("/api/v1/edge/enrol", json=body)
            assert enrolled.status_code == 201, enrolled.text
        told = enrolled.json()
        return Receiver(self.port, told["device"], told["relay"], key)


def _state(name: str) -> ChannelState:
    return ChannelState(name, "", False, False, False, 0, None, "")


@dataclass
class Receiver:
    """One device; `async with receiver.link() as link` connects and says hello."""

    port: int
    device: str
    relay: str
    key: Ed25519PrivateKey

    def hello(self, challenge: Challenge, **changes: Any) -> Hello:
        signature = sign_hello(self.key, relay=self.relay, nonce=challenge.nonce, device=self.device)
        return dataclasses.replace(Hello(self.device, "0.1.0", 1, ("red",), signature), **changes)

    def link(self, answer: Callable[[Challenge], Hello] | None = None) -> ReceiverLink:
        return ReceiverLink(self, answer or self.hello)


class ReceiverLink:
    """A link after its hello; `welcome` is what the relay said."""

    welcome: Welcome | Refused

    def __init__(self, receiver: Receiver, answer: Callable[[Challenge], Hello]) -> None:
        self._receiver = receiver
        self._answer = answer
        self.socket: ClientConnection
        self._waiting: list[Message] = []

    async def __aenter__(self) -> ReceiverLink:
        self.socket = await open_socket(self._receiver.port)
        challenge = await self.receive(Challenge)
        await self.send(self._answer(challenge))
        first = await self._next()
        assert isinstance(first, Welcome | Refused)
        self.welcome = first
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def send(self, message: Message) -> None:
        await self.socket.send(encode(message))

    async def receive(self, kind: type[_M]) -> _M:
        """The next message of a kind; others wait for their turn."""
        for position, message in enumerate(self._waiting):
            if isinstance(message, kind):
                del self._waiting[position]
                return message
        while not isinstance(message := await self._next(), kind):
            self._waiting.append(message)
        return message

    async def obey(self, *, ok: bool = True, detail: str = "") -> Command:
        """Take the next command and say what became of it."""
        command = await self.receive(Command)
        await self.send(Result(decode_body(command.body).nonce, ok, detail))
        return command

    async def closed(self) -> tuple[int, str]:
        """How the relay closed the link."""
        try:
            while True:
                self._waiting.append(await self._next())
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")

    async def _next(self) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            text = await self.socket.recv()
        assert isinstance(text, str)
        return decode(text)


async def open_socket(port: int) -> ClientConnection:
    return await connect(
        f"ws://127.0.0.1:{port}{PATH}", compression=None, ping_interval=None, max_size=16_384
    )


def idle(number: int = 1, **changes: Any) -> Telemetry:
    plain = Telemetry(
        number=number,
        sent=123_456.789012,
        on_air=False,
        temperature_c=41.5,
        link="lte -91 dBm",
        clock_error_ms=1.23,
        state="idle",
    )
    return dataclasses.replace(plain, **changes)
