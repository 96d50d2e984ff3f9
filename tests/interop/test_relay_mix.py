"""A real relay mixes what aiortc publishers say, a file and a tone; aiortc hears all of it, and all but itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from tests.support.aiortc_peers import Ear, publish
from tests.support.mixing import strength
from tests.support.relay_process import RelayProcess

MIX = [
    'mode = "mix"',
    "leveller = false",
    'publishers = "talk"',
    "bitrate = 64000",
    "[[channels.xa.inputs]]",
    'name = "tone"',
    'source = "tone:3000"',
    "gain = -12",
]


async def told(relay: RelayProcess, *lines: str) -> None:
    """Wait until the metrics have all of `lines` at once: the voices come from this process, which may stutter."""
    async with httpx.AsyncClient() as client, asyncio.timeout(10):
        while True:
            metrics = (await client.get(f"{relay.base}/metrics")).text.splitlines()
            if set(lines) <= set(metrics):
                return
            await asyncio.sleep(0.1)


async def test_all_are_heard_at_once(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, {"xa": MIX}) as relay:
        token = relay.token("publish", "listen", channels=["xa"])
        voices = [await publish(f"{relay.base}/xa/whip", token, hz) for hz in (440.0, 1100.0)]
        ear = Ear()
        await ear.connect(f"{relay.base}/xa/whep", token)
        try:
            await ear.hear(1.5)
            sound = (await ear.hear(1.0))[-40_000:]
            levels = [strength(sound, hz) for hz in (440, 1100, 3000)]
            assert min(levels) > -35, levels
            await told(
                relay,
                'loa_source_playing{channel="xa",source="publishers"} 2.0',
                'loa_source_playing{channel="xa",source="tone"} 1.0',
            )
            await voices.pop().close()
            await ear.hear(1.0)
            sound = (await ear.hear(1.0))[-40_000:]
            assert strength(sound, 440) > -35
            assert strength(sound, 1100) < -50
        finally:
            for voice in voices:
                await voice.close()
            await ear.close()
        relay.terminate()
        assert relay.process_wait(15)
        assert relay.process is not None
        assert relay.process.returncode == 0, relay.log.read_text()
