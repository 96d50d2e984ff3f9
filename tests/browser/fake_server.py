"""The relay's real HTTP surface over a core made of aiortc peers, whose refusals and accidents a test commands.

For what a real relay does not show on demand: being busy, full, unreachable, silent, or gone in mid-session.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import aioice.ice
import numpy as np
import uvicorn
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from numpy.typing import NDArray

from relay.config import ChannelConfig, ChannelsConfig, Config, HttpConfig, IceServer
from relay.errors import ChannelBusy, SessionNotFound
from relay.http.app import create_app
from relay.http.server import bind
from relay.ports import ChannelState, Hearing, RelayStats, SessionCreated, SessionKind, TrickleResult
from relay.tokens import Grant, Scope, Secret, Tokens

RATE = 48_000
FRAME = 960
PATIENCE_S = 20.0

_T = TypeVar("_T")


class ToneTrack(MediaStreamTrack):
    """20 ms frames of a sine whose amplitude may change while it plays; none at all while `paused`."""

    kind = "audio"

    def __init__(self, frequency: float) -> None:
        super().__init__()
        self.frequency = frequency
        self.amplitude = 0.2
        self.resume = asyncio.Event()
        self.resume.set()
        self._sent = 0
        self._next = 0.0

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        await self.resume.wait()
        self._next = max(self._next + FRAME / RATE, loop.time() - 1)
        await asyncio.sleep(self._next - loop.time())
        times = (self._sent + np.arange(FRAME)) / RATE
        wave = self.amplitude * np.sin(2 * math.pi * self.frequency * times)
        frame = AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._sent, Fraction(1, RATE)
        self._sent += FRAME
        return frame


@dataclass
class Call:
    """What HTTP asked of the core."""

    action: str
    subject: str = ""
    offer: str = ""
    replace: bool = False
    session: str = ""
    fragment: str = ""
    at: float = field(default_factory=time.monotonic)


@dataclass
class _Session:
    kind: SessionKind
    peer: RTCPeerConnection
    tone: ToneTrack
    reader: asyncio.Task[None] | None = None


@dataclass
class AiortcCore:
    """A RelayCore of one channel. Everything runs in the server's loop; tests use `FakeServer`."""

    refusals: deque[Exception] = field(default_factory=deque)
    calls: list[Call] = field(default_factory=list)
    sessions: dict[str, _Session] = field(default_factory=dict)
    heard: deque[NDArray[np.float32]] = field(default_factory=lambda: deque(maxlen=50))
    tone_hz: float = 440.0
    sounding: bool = True
    sending: bool = True
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def draining(self) -> bool:
        return False

    def ready(self) -> tuple[bool, str]:
        return True, ""

    def stats(self) -> RelayStats:
        return RelayStats()

    def channels(self) -> Sequence[ChannelState]:
        on_air = any(session.kind == "publish" for session in self.sessions.values())
        listeners = sum(session.kind == "listen" for session in self.sessions.values())
        return [
            ChannelState("xa", "Xã Tân Phú", True, on_air, on_air, listeners, None, ""),
            ChannelState("kin", "Họp Uỷ ban", False, False, False, 0, None, ""),
        ]

    async def publish(
        self,
        channel: str,
        offer: str,
        *,
        replace: bool,
        subject: str,
        local_address: str | None,
        grant: Grant | None = None,
    ) -> SessionCreated:
        self._note(Call("publish", subject, offer, replace))
        if any(session.kind == "publish" for session in self.sessions.values()):
            if not replace:
                raise ChannelBusy("someone else is on air; ask with replace to take over")
            await self.drop("publish")
        return await self._answer("publish", offer)

    def talks(self, channel: str, session: str) -> bool:
        return False

    def hearing(self, channel: str, session: str) -> Hearing | None:
        return None

    async def listen(
        self,
        channel: str,
        offer: str,
        *,
        subject: str,
        local_address: str | None,
        without: str = "",
        grant: Grant | None = None,
    ) -> SessionCreated:
        self._note(Call("listen", subject, offer))
        return await self._answer("listen", offer)

    async def trickle(
        self, channel: str, kind: SessionKind, session: str, fragment: str, if_match: str | None
    ) -> TrickleResult:
        self._note(Call("trickle", session=session, fragment=fragment))
        return TrickleResult("tag")

    async def close(self, channel: str, kind: SessionKind, session: str) -> None:
        self._note(Call("close", session=session))
        if session not in self.sessions:
            raise SessionNotFound("there is no such session")
        await self._end(session)

    async def command(self, *, sounding: bool = True, sending: bool = True) -> None:
        """What listeners get from now on."""
        self.sounding, self.sending = sounding, sending
        for session in self.sessions.values():
            self._apply(session.tone)

    async def drop(self, kind: SessionKind) -> None:
        """End all sessions of a kind from this side, with the DTLS goodbye that a relay gives."""
        for name in [name for name, session in self.sessions.items() if session.kind == kind]:
            await self._end(name)

    def _apply(self, tone: ToneTrack) -> None:
        tone.amplitude = 0.2 if self.sounding else 0.0
        if self.sending:
            tone.resume.set()
        else:
            tone.resume.clear()

    async def _answer(self, kind: SessionKind, offer: str) -> SessionCreated:
        if self.refusals:
            raise self.refusals.popleft()
        session = _Session(kind, RTCPeerConnection(), ToneTrack(self.tone_hz))
        self._apply(session.tone)
        if kind == "listen":
            session.peer.addTrack(session.tone)
        else:
            session.peer.on("track", lambda track: self._read(session, track))
        await session.peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await session.peer.setLocalDescription(await session.peer.createAnswer())
        name = secrets.token_urlsafe(12)
        self.sessions[name] = session
        self._tell()
        return SessionCreated(name, session.peer.localDescription.sdp, "tag")

    def _read(self, session: _Session, track: MediaStreamTrack) -> None:
        async def read() -> None:
            while True:
                try:
                    frame = await track.recv()
                except MediaStreamError:
                    return
                assert isinstance(frame, AudioFrame)
                samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0]
                self.heard.append((samples / 32768).astype(np.float32))
                self._tell()

        session.reader = asyncio.get_running_loop().create_task(read())

    async def _end(self, name: str) -> None:
        session = self.sessions.pop(name)
        session.tone.resume.set()
        session.tone.stop()
        await session.peer.close()
        if session.reader is not None:
            session.reader.cancel()
        self._tell()

    def _note(self, call: Call) -> None:
        self.calls.append(call)
        self._tell()

    def _tell(self) -> None:
        with self.changed:
            self.changed.notify_all()


class FakeServer:
    """The pages and WHIP/WHEP on a loopback port, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.core = AiortcCore()
        self._secret = Secret(b"browser tests have no secrets at all")
        self.tokens = Tokens(self._secret)
        channels = {
            "xa": ChannelConfig(title="Xã Tân Phú", public=True),
            "kin": ChannelConfig(title="Họp Uỷ ban"),
        }
        # Nothing answers at discard, so gathering lasts longer than a page waits for it.
        http = HttpConfig(ice_servers=(IceServer(urls=("stun:127.0.0.1:9",)),))
        config = Config(http=http, channels=ChannelsConfig(named=channels))
        self._sockets = bind("127.0.0.1:0")
        self.url = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        app = create_app(self.core, config, self.tokens, folder=folder)
        settings = uvicorn.Config(
            app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake relay")

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.core.drop("publish"))
        self.run(self.core.drop("listen"))
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def token(self, scope: Scope, channel: str = "*", ttl: float = 3600) -> str:
        return self.tokens.mint(subject="test", scopes=[scope], channels=[channel], ttl=ttl)

    def expired_token(self, scope: Scope, channel: str) -> str:
        past = Tokens(self._secret, clock=lambda: time.time() - 3600)
        return past.mint(subject="test", scopes=[scope], channels=[channel], ttl=60)

    def wait(self, condition: Callable[[AiortcCore], bool], what: str) -> None:
        """Until the core is as wanted; AssertionError after twenty seconds."""
        with self.core.changed:
            assert self.core.changed.wait_for(lambda: condition(self.core), PATIENCE_S), what

    def calls(self, action: str) -> list[Call]:
        return [call for call in self.core.calls if call.action == action]

    def heard(self) -> NDArray[np.float32]:
        """The last second that a publisher sent, mono at 48 kHz."""
        return np.concatenate(list(self.core.heard))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        # aioice leaves 127.0.0.1 out, and these tests use nothing else; the tests after them need aioice as it is.
        with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"]):
            self._loop.run_until_complete(self._server.serve(sockets=self._sockets))
        self._loop.close()
