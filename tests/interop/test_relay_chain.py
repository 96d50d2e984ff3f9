"""Relays in a row: district pulls province, commune pulls district; sound, capture time and reconnection."""

from __future__ import annotations

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
        finally:
            await voice.close()
            await ear.close()


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
