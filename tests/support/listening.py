"""A listener by our own client that notes, for each packet of sound, when the relay says it was captured."""

from __future__ import annotations

import asyncio
from types import TracebackType

from loacodecs import rtp
from loaedge.client import ClientSettings, WebRtcClient
from loaedge.urls import Token, endpoint
from tests.support.relay_process import RelayProcess


class Listening:
    """`async with` it; `capture_times` waits for enough of them."""

    def __init__(self, relay: RelayProcess, channel: str) -> None:
        settings = ClientSettings(
            endpoint(f"{relay.base}/{channel}", "whep"),
            "recvonly",
            token=Token(relay.token("listen", channels=[channel])),
        )
        self._client = WebRtcClient(settings, on_rtp=self._on_rtp)
        self._packets: dict[bytes, int] = {}
        self._repeated: set[bytes] = set()
        self._anchor: tuple[int, int] | None = None
        self._enough = asyncio.Event()

    async def __aenter__(self) -> Listening:
        await self._client.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    def _on_rtp(self, data: bytes, now: float) -> None:
        packet = rtp.parse(data)
        extension = self._client.answer.extensions.get(rtp.ABS_CAPTURE_TIME_URI, 0)
        value = packet.extension_value(extension)
        captured = rtp.capture_time(value) if value else None
        if captured is not None:
            self._anchor = (packet.timestamp, captured)
        if packet.payload in self._packets:
            self._repeated.add(packet.payload)
        self._packets[packet.payload] = packet.timestamp
        if self._anchor is not None and len(self._packets) >= 100:
            self._enough.set()

    async def capture_times(self, patience: float = 20.0) -> dict[bytes, float]:
        """Unix capture time of every packet heard so far, by its payload; once two seconds were heard."""
        async with asyncio.timeout(patience):
            await self._enough.wait()
        assert self._anchor is not None
        timestamp, captured = self._anchor
        return {
            payload: rtp.unix_from_ntp(captured) + rtp.timestamp_delta(at, timestamp) / 48_000
            for payload, at in self._packets.items()
            if payload not in self._repeated
        }
