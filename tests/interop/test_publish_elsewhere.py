"""`loa publish` to a WHIP server that is not ours: aiortc behind a few lines of HTTP."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from aiortc import RTCSessionDescription

from loaedge.level import StatusLine
from loaedge.publish import Publisher, PublishSettings
from loaedge.sources import open_source
from loaedge.urls import Token, endpoint
from tests.support.aiortc_peers import Ear
from tests.support.media_files import tone_file
from tests.support.tones import dominant_frequency
from tests.support.whip_server import Reply, Request, WhipServer, created


async def test_a_file_is_heard_by_another_server(tmp_path: Path) -> None:
    path = tone_file(tmp_path / "a.m4a", 2.5)
    ear = Ear()

    async def respond(request: Request) -> Reply:
        if request.method != "POST":
            return Reply(200)
        await ear.connection.setRemoteDescription(RTCSessionDescription(request.body, "offer"))
        await ear.connection.setLocalDescription(await ear.connection.createAnswer())
        return created(ear.connection.localDescription.sdp, "/resource/7")

    async with WhipServer(respond) as server:
        address = f"whip+{server.url}/webRTC/publish?key=1"
        settings = PublishSettings(endpoint(address, "whip"), str(path), lambda: Token("s3cret"))
        stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        publisher = Publisher(settings, StatusLine(io.StringIO()), stop, open_source(str(path)))
        sending = asyncio.create_task(publisher.run())
        sound = await ear.hear(1.5)
        await sending
        assert [(asked.method, asked.path) for asked in server.requests] == [
            ("POST", "/webRTC/publish?key=1"),
            ("DELETE", "/resource/7"),
        ]
        assert server.requests[0].headers["authorization"] == "Bearer s3cret"
    await ear.close()
    assert dominant_frequency(sound[-48_000:]) == pytest.approx(440, abs=1)
    assert publisher.packets == pytest.approx(126, abs=2)
