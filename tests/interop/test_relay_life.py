"""How a relay ends, as its process manager and its clients see it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from loacodecs import rtcp
from loaedge.client import ClientSettings, WebRtcClient
from loaedge.urls import Token, endpoint
from tests.support.aiortc_peers import Ear, publish
from tests.support.relay_process import RelayProcess
from tests.support.waiting import until


async def test_sigterm_says_goodbye_answers_503_and_leaves(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, {"xa": []}) as relay:
        token = relay.token("publish", "listen")
        voice = await publish(f"{relay.base}/xa/whip", token, 440.0)
        ear = Ear()
        await ear.connect(f"{relay.base}/xa/whep", token)
        await ear.hear(0.3)
        goodbyes: list[rtcp.Goodbye] = []

        def on_rtcp(data: bytes, now: float) -> None:
            goodbyes.extend(packet for packet in rtcp.parse(data) if isinstance(packet, rtcp.Goodbye))

        settings = ClientSettings(endpoint(f"{relay.base}/xa", "whep"), "recvonly", token=Token(token))
        async with WebRtcClient(settings, on_rtcp=on_rtcp) as client:
            await client.connect()
            relay.terminate()
            async with asyncio.timeout(5):
                await client.closed
            async with httpx.AsyncClient() as http:
                headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
                offer = (
                    Path(__file__).parent.parent / "codecs" / "offers" / "chromium_listen.sdp"
                ).read_text()
                refused = await http.post(f"{relay.base}/xa/whep", content=offer, headers=headers)
                ready = await http.get(f"{relay.base}/readyz")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert ready.status_code == 503
        assert len(goodbyes) == 1
        assert await asyncio.to_thread(relay.process_wait, 10)
        assert relay.process is not None
        assert relay.process.returncode == 0
        assert "Traceback" not in relay.log.read_text()
        await voice.close()
        await ear.close()


async def test_a_second_signal_forces(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, {"xa": []}) as relay:
        relay.terminate()
        await asyncio.to_thread(until, lambda: "draining" in relay.log.read_text())
        relay.terminate()
        assert await asyncio.to_thread(relay.process_wait, 10)
        assert relay.process is not None
        assert relay.process.returncode == 1


@pytest.mark.parametrize("taken", ["http", "media"])
async def test_a_taken_port_is_one_line_and_exit_code_1(tmp_path: Path, taken: str) -> None:
    with RelayProcess(tmp_path / "first", {"xa": []}) as first:
        second = RelayProcess(tmp_path / "second", {"xa": []})
        text = second.config.read_text()
        if taken == "http":
            text = text.replace(f":{second.http_port}", f":{first.http_port}")
        else:
            text = text.replace(f":{second.media_port}", f":{first.media_port}")
        second.config.write_text(text)
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "loaedge", "serve", "--config", str(second.config)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 1
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1
    assert "is in use" in lines[0]
