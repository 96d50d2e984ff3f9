"""aiortc as publisher and listener: an independent implementation of everything we speak."""

from __future__ import annotations

import asyncio
import fractions
from collections.abc import Mapping
from types import MappingProxyType

import httpx
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

RATE = 48_000
FRAME = 960


class ToneTrack(MediaStreamTrack):
    """A tone at the pace of the clock."""

    kind = "audio"

    def __init__(self, hz: float) -> None:
        super().__init__()
        self.hz = hz
        self._noise = np.random.default_rng(1)  # so that no two packets are alike
        self._position = 0
        self._start: float | None = None

    async def recv(self) -> AudioFrame:
        """The next 20 ms."""
        loop = asyncio.get_running_loop()
        if self._start is None:
            self._start = loop.time()
        due = self._start + self._position / RATE
        await asyncio.sleep(max(0.0, due - loop.time()))
        t = (self._position + np.arange(FRAME)) / RATE
        sound = 0.3 * np.sin(2 * np.pi * self.hz * t) + self._noise.normal(0, 0.01, FRAME)
        samples = (32767 * sound).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.pts = self._position
        frame.time_base = fractions.Fraction(1, RATE)
        self._position += FRAME
        return frame


async def exchange(
    connection: RTCPeerConnection,
    url: str,
    token: str | None,
    extra: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """POST the offer with `extra` header fields, take the answer; returns the session's address."""
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Content-Type": "application/sdp", **extra}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient() as client:
        response = await client.post(url, content=connection.localDescription.sdp, headers=headers)
    assert response.status_code == 201, response.text
    await connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
    return str(httpx.URL(url).join(response.headers["Location"]))


async def publish(
    url: str, token: str, hz: float, extra: Mapping[str, str] = MappingProxyType({})
) -> RTCPeerConnection:
    """An aiortc publisher of a tone."""
    connection = RTCPeerConnection()
    connection.addTrack(ToneTrack(hz))
    await exchange(connection, url, token, extra)
    return connection


class Ear:
    """An aiortc listener that keeps what it decodes."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection()
        self.connection.addTransceiver("audio", direction="recvonly")
        self.samples: list[npt.NDArray[np.float64]] = []
        self.ended = asyncio.Event()
        self._heard = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.connection.on("track", self._on_track)

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._task = asyncio.ensure_future(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                block = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0] / 32768
                async with self._heard:
                    self.samples.append(block)
                    self._heard.notify_all()
        except MediaStreamError:
            self.ended.set()

    async def connect(self, url: str, token: str | None = None) -> str:
        """Join; returns the session's address."""
        return await exchange(self.connection, url, token)

    async def hear(self, seconds: float, patience: float = 20.0) -> npt.NDArray[np.float64]:
        """The next `seconds` of sound."""
        mark = len(self.samples)
        async with asyncio.timeout(patience), self._heard:
            await self._heard.wait_for(lambda: sum(map(len, self.samples[mark:])) >= seconds * RATE)
        return np.concatenate(self.samples[mark:])

    async def close(self) -> None:
        """Leave."""
        await self.connection.close()
        if self._task is not None:
            self._task.cancel()
