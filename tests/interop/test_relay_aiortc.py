"""aiortc publishes to and listens from a real relay; what was said is recognised by its tone."""

from __future__ import annotations

import httpx
import numpy as np

from tests.support.aiortc_peers import Ear, publish
from tests.support.relay_process import RelayProcess
from tests.support.tones import dominant_frequency, level_dbfs


async def test_aiortc_hears_what_aiortc_says_and_the_next_publisher_without_renegotiation(
    relay: RelayProcess,
) -> None:
    token = relay.token("publish", "listen", channels=["xa"])
    voice = await publish(f"{relay.base}/xa/whip", token, 440.0)
    ear, late = Ear(), Ear()
    await ear.connect(f"{relay.base}/xa/whep", token)
    try:
        sound = (await ear.hear(1.5))[-48_000:]
        assert abs(dominant_frequency(sound) - 440) < 3
        assert level_dbfs(sound) > -20
        await voice.close()
        voice = await publish(f"{relay.base}/xa/whip", token, 880.0)
        await ear.hear(1.0)
        sound = (await ear.hear(1.0))[-40_000:]
        assert abs(dominant_frequency(sound) - 880) < 3
        assert not ear.ended.is_set()
        await late.connect(f"{relay.base}/xa/whep", token)
        await late.hear(0.5)
        assert abs(dominant_frequency((await late.hear(1.0))[-40_000:]) - 880) < 3
    finally:
        await voice.close()
        await ear.close()
        await late.close()


async def test_a_second_publisher_is_told_409_and_may_replace(relay: RelayProcess) -> None:
    token = relay.token("publish", "listen", channels=["tinh"])
    first = await publish(f"{relay.base}/tinh/whip", token, 300.0)
    ear = Ear()
    await ear.connect(f"{relay.base}/tinh/whep", token)
    await ear.hear(0.5)
    offer = first.localDescription.sdp
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient() as client:
        refused = await client.post(f"{relay.base}/tinh/whip", content=offer, headers=headers)
        assert refused.status_code == 409
    second = await publish(f"{relay.base}/tinh/whip?replace=1", token, 700.0)
    try:
        await ear.hear(1.5)
        sound = np.asarray(await ear.hear(1.0))[-40_000:]
        assert abs(dominant_frequency(sound) - 700) < 3
    finally:
        for connection in (first, second):
            await connection.close()
        await ear.close()


async def test_a_public_channel_is_heard_without_a_token(relay: RelayProcess) -> None:
    voice = await publish(f"{relay.base}/open/whip", relay.token("publish"), 500.0)
    ear = Ear()
    await ear.connect(f"{relay.base}/open/whep")
    try:
        await ear.hear(0.5)
        assert abs(dominant_frequency((await ear.hear(1.0))[-40_000:]) - 500) < 3
    finally:
        await voice.close()
        await ear.close()
