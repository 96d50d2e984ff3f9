"""Relays in a row: district pulls province, commune pulls district; sound, capture time and reconnection."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx

from tests.support.aiortc_peers import Ear, publish
from tests.support.listening import Listening
from tests.support.relay_process import RelayProcess
from tests.support.tones import dominant_frequency


def pulled(name: str, upstream: RelayProcess, token: str) -> dict[str, list[str]]:
    address = f"whep+http://127.0.0.1:{upstream.http_port}/{name}"
    return {name: [f'source = "{address}"', f'token = "{token}"']}


async def test_three_relays_in_a_row_carry_the_sound_and_its_capture_time(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "province", {"tinh": []}) as province:
        listen = province.token("listen", channels=["tinh"])
        with (
            RelayProcess(tmp_path / "district", pulled("tinh", province, listen)) as district,
            RelayProcess(
                tmp_path / "commune", pulled("tinh", district, district.token("listen", channels=["tinh"]))
            ) as commune,
        ):
            voice = await publish(f"{province.base}/tinh/whip", province.token("publish"), 440.0)
            ear = Ear()
            await ear.connect(f"{commune.base}/tinh/whep", commune.token("listen"))
            first, last = Listening(province, "tinh"), Listening(commune, "tinh")
            try:
                await ear.hear(1.0)
                assert abs(dominant_frequency((await ear.hear(1.0))[-40_000:]) - 440) < 3
                async with first, last:
                    # The same sound bears the same capture time at both ends of the chain.
                    at_last, at_first = await last.capture_times(), await first.capture_times()
                    common = set(at_first) & set(at_last)
                    assert len(common) > 50
                    assert max(abs(at_first[payload] - at_last[payload]) for payload in common) < 0.002
            finally:
                await voice.close()
                await ear.close()


async def test_a_pulled_channel_comes_back_when_its_upstream_does(tmp_path: Path) -> None:
    folder = tmp_path / "province"
    province = RelayProcess(folder, {"tinh": []})
    listen = province.token("listen", channels=["tinh"])
    with province, RelayProcess(tmp_path / "district", pulled("tinh", province, listen)) as district:
        voice = await publish(f"{province.base}/tinh/whip", province.token("publish"), 440.0)
        ear = Ear()
        await ear.connect(f"{district.base}/tinh/whep", district.token("listen"))
        try:
            await ear.hear(0.5)
            await voice.close()
            province.kill()
            again = RelayProcess(folder, {"tinh": []}, http_port=province.http_port)
            with again:
                voice = await publish(f"{again.base}/tinh/whip", again.token("publish"), 880.0)
                await ear.hear(1.0, patience=40)
                assert abs(dominant_frequency((await ear.hear(1.0))[-40_000:]) - 880) < 3
                assert not ear.ended.is_set()
                async with httpx.AsyncClient(base_url=district.base) as client:
                    lines = (await client.get("/metrics")).text.splitlines()
                told = dict(line.rsplit(" ", 1) for line in lines if line.startswith("loa_upstream_"))
                assert told['loa_upstream_connected{channel="tinh"}'] == "1.0"
                assert float(told['loa_upstream_reconnects_total{channel="tinh"}']) >= 1
                assert float(told['loa_upstream_silent_seconds{channel="tinh"}']) < 1
        finally:
            await voice.close()
            await ear.close()


async def test_an_emergency_at_the_first_relay_is_one_at_the_next_that_trusts_it(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "province", {"tinh": []}) as province:
        name = re.findall(r"know this relay as (loa-[\w-]{16})", province.log.read_text())[0]
        trusting = pulled("tinh", province, province.token("listen", channels=["tinh"]))
        trusting["tinh"].append(f'class_from = "{name}"')
        with RelayProcess(tmp_path / "district", trusting) as district:
            path = "/api/v1/channels/tinh/class"
            bearer = {"Authorization": f"Bearer {province.token('emergency')}"}
            async with httpx.AsyncClient() as client, asyncio.timeout(20):
                declared = {"class": "emergency", "ttl_s": 60}
                told = await client.put(province.base + path, json=declared, headers=bearer)
                assert told.status_code == 200
                bearer = {"Authorization": f"Bearer {district.token('listen')}"}
                events = client.stream("GET", f"{district.base}{path}/events", headers=bearer)
                async with events as answer:
                    async for line in answer.aiter_lines():
                        if "emergency" in line:
                            break
                shown = (await client.get(district.base + path, headers=bearer)).json()
        assert (shown["class"], shown["declared_by"]) == ("emergency", name)


async def test_a_pulled_channel_cannot_be_published_to(tmp_path: Path) -> None:
    channels = {"tinh": ['source = "whep+http://127.0.0.1:9/tinh"']}
    with RelayProcess(tmp_path, channels) as relay:
        headers = {"Authorization": f"Bearer {relay.token('publish')}", "Content-Type": "application/sdp"}
        offer = Path(__file__).parent.parent / "codecs" / "offers" / "chromium_publish.sdp"
        async with httpx.AsyncClient() as client:
            body = offer.read_text()
            response = await client.post(f"{relay.base}/tinh/whip", content=body, headers=headers)
        assert response.status_code == 409
        assert "pulled" in response.text
