"""The channel list and the supervisor's questions."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from relay.config import AuthConfig
from relay.ports import ChannelState
from tests.relay.http.conftest import Surface

STATES = [
    ChannelState("open", "Mở", True, True, True, 3, -20.5, "", 0.04),
    ChannelState("xa", "Xã", False, False, False, 0, None, "whep+https://tinh.example/tinh/whep"),
    ChannelState("huyen", "Huyện", False, True, True, 7, None, ""),
]


async def names(surface: Surface, headers: dict[str, str]) -> list[str]:
    surface.core.states = STATES
    async with surface.client() as client:
        response = await client.get("/api/v1/channels", headers=headers)
    assert response.status_code == 200
    return [channel["name"] for channel in response.json()["channels"]]


async def test_without_token_public_channels_are_listed(surface: Surface) -> None:
    assert await names(surface, {}) == ["open"]


async def test_a_token_adds_its_channels(surface: Surface) -> None:
    assert await names(surface, surface.bearer("listen")) == ["open", "xa"]
    assert await names(surface, surface.bearer("publish", channels=["h*"])) == ["open", "huyen"]
    assert await names(surface, surface.bearer("metrics")) == ["open"]


async def test_a_bad_token_is_401(surface: Surface) -> None:
    async with surface.client() as client:
        response = await client.get("/api/v1/channels", headers={"Authorization": "Bearer x"})
    assert response.status_code == 401


async def test_a_channel_is_described(surface: Surface) -> None:
    surface.core.states = STATES
    async with surface.client() as client:
        listed = (await client.get("/api/v1/channels")).json()["channels"][0]
    assert listed == {
        "name": "open",
        "title": "Mở",
        "public": True,
        "on_air": True,
        "publisher": True,
        "listeners": 3,
        "level_dbov": -20.5,
        "capture_delay_s": 0.04,
        "stream": False,
    }


async def test_sources_are_for_administrators(surface: Surface) -> None:
    surface.core.states = STATES
    async with surface.client() as client:
        heard = (await client.get("/api/v1/channels", headers=surface.bearer("listen"))).text
        governed = (await client.get("/api/v1/channels", headers=surface.bearer("admin"))).text
    assert "tinh.example" not in heard
    assert "tinh.example" in governed


async def test_without_auth_all_channels_are_listed(surface: Surface) -> None:
    surface.configure(auth=AuthConfig(enabled=False))
    assert await names(surface, {}) == ["open", "xa", "huyen"]


async def test_health_and_readiness(surface: Surface, detail: Callable[[httpx.Response], str]) -> None:
    async with surface.client() as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        surface.core.readiness = (False, "the relay is draining")
        unready = await client.get("/readyz")
        assert (await client.get("/healthz")).status_code == 200
    assert unready.status_code == 503
    assert detail(unready) == "the relay is draining"
    assert int(unready.headers["retry-after"]) > 0


async def test_the_interface_is_described(surface: Surface) -> None:
    async with surface.client() as client:
        described = (await client.get("/api/openapi.json")).json()
    assert {"/{channel}/whip", "/{channel}/whep/{session}", "/api/v1/channels"} <= set(described["paths"])
    assert "application/sdp" in described["paths"]["/{channel}/whip"]["post"]["requestBody"]["content"]
