"""Automation as a station has it: a relay in a process of its own, commanded, watched by WebSocket, and heard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from loacodecs import rtp
from loacodecs.opus import OpusDecoder
from loaedge.client import ClientSettings, WebRtcClient
from loaedge.urls import Token, endpoint
from tests.support.media_files import tone_file
from tests.support.relay_process import RelayProcess
from tests.support.tones import dominant_frequency, level_dbfs

PATIENCE_S = 30.0
CHANNEL = ['mode = "mix"', "leveller = false", "bitrate = 64000"]
AUTOMATION = """
[sources]
allow_files = ["files"]
[channels.xa.automation]
fade = "100ms"
sources = [{source = "stream.flac", name = "tinh"}, {source = "tone:800", name = "music"}]
"""


def relay_in(folder: Path, extra: str = AUTOMATION) -> RelayProcess:
    """Its tables come before the channel's own in the file."""
    return RelayProcess(folder, {"xa": CHANNEL}, extra=extra)


class Hearing:
    """A listener; `tone` waits until a frequency is what is heard."""

    def __init__(self, relay: RelayProcess) -> None:
        token = Token(relay.token("listen"))
        self._client = WebRtcClient(
            ClientSettings(endpoint(f"{relay.base}/xa", "whep"), "recvonly", token=token), on_rtp=self._on_rtp
        )
        self._decoder = OpusDecoder(1)
        self._sound: list[np.ndarray] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> Hearing:
        await self._client.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.close()

    def _on_rtp(self, data: bytes, now: float) -> None:
        self._sound = [*self._sound[-24:], self._decoder.decode(rtp.parse(data).payload)[:, 0]]
        self._news.set()

    async def tone(self, hertz: float) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await self._news.wait()
                self._news.clear()
                last = np.concatenate(self._sound[-15:])
                if (
                    len(last) == 15 * 960
                    and level_dbfs(last) > -30
                    and abs(dominant_frequency(last) - hertz) < 5
                ):
                    return


async def until(socket: ClientConnection, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first state that is `wanted`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == "state" and wanted(message["automation"]):
                found: dict[str, Any] = message["automation"]
                return found


def live(relay: RelayProcess) -> connect:
    return connect(
        f"ws://127.0.0.1:{relay.http_port}/api/v1/channels/xa/live",
        additional_headers={"Authorization": f"Bearer {relay.token('control')}"},
        proxy=None,
    )


def client(relay: RelayProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"{relay.base}/api/v1/channels/xa",
        headers={"Authorization": f"Bearer {relay.token('control')}"},
        timeout=PATIENCE_S,
    )


async def test_fall_back_queue_and_a_kill(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    tone_file(files / "long.flac", 120.0, 1200.0)
    tone_file(files / "next.wav", 2.0, 1500.0, rate=22_050)
    (files / "damaged.mp3").write_bytes(b"no sound at all" * 1000)
    relay = relay_in(tmp_path)
    with relay:  # the province's stream is a file that is not there yet
        async with client(relay) as api, Hearing(relay) as ear, live(relay) as socket:
            told = await until(socket, lambda automation: automation["on_air"] == "music")
            tinh = next(each for each in told["sources"] if each["name"] == "tinh")
            assert tinh["verdict"] == "absent"
            assert "stream.flac" in tinh["fault"]
            await ear.tone(800)
            metrics = (await api.get(f"{relay.base}/metrics")).text
            assert 'loa_automation_source_faulty{channel="xa",source="tinh"} 1.0' in metrics

            items = [{"source": name} for name in ("damaged.mp3", "long.flac", "next.wav")]
            added = await api.post("/queue", json={"items": items})
            assert added.status_code == 201, added.text
            await ear.tone(1200)
            told = await until(socket, lambda automation: automation["on_air"] == "queue")
            told = await until(socket, lambda automation: bool(automation["past"]))
            assert told["past"][0]["outcome"] == "failed"
            assert "damaged.mp3" in told["past"][0]["fault"]
            assert (await api.post("/queue", json={"items": [{"source": "/etc/passwd"}]})).status_code == 422
            await asyncio.to_thread(relay.process_wait, 6.0)  # a position is kept every five seconds
        relay.kill()

    with relay:
        async with client(relay) as api, Hearing(relay) as ear:
            await ear.tone(1200)
            state = (await api.get("/state")).json()
            queue = state["automation"]["queue"]
            assert [item["source"] for item in queue] == ["long.flac", "next.wav"]
            assert state["levels"]["position_s"] > 4
            await api.post("/skip")
            await ear.tone(1500)
            await ear.tone(800)
            assert (await api.post("/stop", json={"fade_s": 0.1})).json()["automation"]["stopped"]
            assert "Traceback" not in relay.log.read_text()


async def test_what_never_answers_and_what_is_internal(tmp_path: Path) -> None:
    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    automation = f"""
[channels.xa.automation]
sources = [{{source = "http://127.0.0.1:{port}/live", name = "tinh"}}, {{source = "tone:800", name = "music"}}]
"""
    with relay_in(tmp_path, automation) as relay:
        async with client(relay) as api, Hearing(relay) as ear, live(relay) as socket:
            await ear.tone(800)
            await api.post("/queue", json={"items": [{"source": f"http://127.0.0.1:{port}/x.mp3"}]})
            told = await until(socket, lambda automation: bool(automation["past"]))
            assert "internal address" in told["past"][0]["fault"]
            told = await until(
                socket, lambda automation: "does not answer" in automation["sources"][1]["fault"]
            )
            assert told["on_air"] == "music"
            await ear.tone(800)
    server.close()
