"""A relay's HTTP surface with one mixed channel, `xa`, over the hand mixer: sources are arrays, time moves by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from fastapi import FastAPI

from loamedia.policy import Policy
from loamedia.spec import parse_spec
from relay.automation.service import AutomationService
from relay.automation.settings import AutomationConfig
from relay.config import Config
from relay.errors import ChannelNotFound, NotMixed
from relay.http.app import create_app
from relay.ports import ChannelState
from relay.store.automation import AutomationStore
from relay.store.database import Database
from relay.tokens import Scope, Secret, Tokens
from tests.support.fake_core import FakeCore
from tests.support.hand_mixer import HandMixer, HandSource, Sound, endless
from tests.support.revoking import HandRevocations

AUTOMATION = {"sources": [{"source": "tone:500", "name": "music"}], "queue_max": 8, "fade": "100ms"}


@dataclass
class LiveRelay:
    """`run` lets time pass."""

    folder: Path
    now: float = 1_800_000_000.0
    origins: Sequence[str] = ("*",)
    core: FakeCore = field(default_factory=FakeCore)
    mixer: HandMixer = field(default_factory=HandMixer)
    revocations: HandRevocations = field(default_factory=HandRevocations)

    def __post_init__(self) -> None:
        channels = {"xa": {"mode": "mix", "title": "Xã Một", "automation": AUTOMATION}, "plain": {}}
        self.config = Config.model_validate(
            {"channels": {"named": channels}, "http": {"cors_origins": self.origins}}
        )
        self.tokens = Tokens(Secret(b"s" * 32), clock=lambda: self.now)
        self.database = Database(self.folder / "loa.sqlite3")
        self.desk = AutomationService(
            {"xa": AutomationConfig.model_validate(AUTOMATION)},
            self._mixer_of,
            lambda name: ChannelState(name, "Xã Một", False, True, False, 3, None, ""),
            self._open,
            Policy(),
            AutomationStore(self.database),
            monotonic=lambda: self.now,
            wall=lambda: self.now,
        )

    def app(self) -> FastAPI:
        return create_app(
            self.core,
            self.config,
            self.tokens,
            automation=self.desk,
            revocations=self.revocations,
            folder=self.folder,
            clock=lambda: self.now,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LiveRelay]:
        """With its music on air."""
        await self.desk.begin()
        try:
            self.run(1.0)
            yield self
        finally:
            await self.desk.close()
            self.database.close()

    def run(self, seconds: float) -> Sound:
        """Let time pass; what is heard meanwhile."""
        sound = self.mixer.hear(0)
        for _ in range(round(seconds * 10)):
            sound = self.mixer.hear(5)
            self.now += 0.1
            self.desk.step()
        return sound

    def token(self, *scopes: Scope, channels: Sequence[str] = ("xa",), ttl: float = 3600) -> str:
        return self.tokens.mint(subject="đài xã", scopes=scopes, channels=channels, ttl=ttl)

    def client(self, *scopes: Scope, channels: Sequence[str] = ("xa",)) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token(*scopes, channels=channels)}"} if scopes else {}
        transport = httpx.ASGITransport(self.app(), client=("198.51.100.7", 40000))
        return httpx.AsyncClient(transport=transport, base_url="http://192.0.2.1:8889", headers=headers)

    def _mixer_of(self, channel: str) -> HandMixer:
        if channel == "plain":
            raise NotMixed(
                'channel plain passes its source on; only a mixed channel, mode = "mix", has inputs'
            )
        if channel != "xa":
            raise ChannelNotFound(f"channel {channel} is not configured on this relay")
        return self.mixer

    def _open(self, source: str, *, trusted: bool, loop: bool, reconnect: bool, start_s: float) -> HandSource:
        if source.startswith("http"):
            return HandSource(state="opening")
        return HandSource(
            generate=endless(float(parse_spec(source).target)), position=round(start_s * 48_000)
        )
