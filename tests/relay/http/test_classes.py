"""Who may declare an emergency, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.http.app import create_app
from relay.tokens import Scope
from tests.support.edge_link import EdgeRelay

URL = "/api/v1/channels/xa/class"
EMERGENCY = {"class": "emergency"}


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[EdgeRelay]:
    made = EdgeRelay(tmp_path)
    yield made
    made.database.close()


@asynccontextmanager
async def client(relay: EdgeRelay, *scopes: Scope, channel: str = "xa") -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with a token of these scopes on `channel`; without scopes, without a token."""
    app = create_app(relay.core, relay.config, relay.tokens, desk=relay.desk, folder=relay.folder)
    headers = {}
    if scopes:
        token = relay.tokens.mint(subject="tỉnh", scopes=scopes, channels=[channel], ttl=60)
        headers["Authorization"] = f"Bearer {token}"
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://192.0.2.1", headers=headers) as opened:
        yield opened


async def test_only_a_token_for_emergencies_on_that_channel_declares_one(
    relay: EdgeRelay, detail: Callable[[httpx.Response], str]
) -> None:
    strangers: list[tuple[tuple[Scope, ...], str, int]] = [
        ((), "xa", 401),
        (("publish", "listen", "metrics"), "xa", 403),
        (("emergency",), "huyen", 403),
    ]
    for scopes, channel, status in strangers:
        async with client(relay, *scopes, channel=channel) as somebody:
            for method, body in (("PUT", EMERGENCY), ("DELETE", None)):
                answer = await somebody.request(method, URL, json=body)
                assert answer.status_code == status
                assert detail(answer)
    assert relay.desk.declared("xa") is None
    for scope in ("emergency", "admin"):
        async with client(relay, scope) as operator:
            answer = await operator.put(URL, json={"class": "emergency", "ttl_s": 600})
            assert answer.status_code == 200
            assert answer.json()["class"] == "emergency"
            assert answer.json()["declared_by"] == "tỉnh"
            assert (await operator.delete(URL)).json()["class"] == "normal"


async def test_who_may_hear_or_publish_may_see_it(relay: EdgeRelay) -> None:
    async with client(relay, "emergency") as operator:
        told = (await operator.put(URL, json=EMERGENCY)).json()
    assert (told["receivers"], told["receivers_too_old"]) == (0, 0)
    for scope in ("publish", "listen", "emergency"):
        async with client(relay, scope) as somebody:
            shown = (await somebody.get(URL)).json()
        assert shown == {**told, "receivers": None, "receivers_too_old": None}
    async with client(relay, "listen", channel="huyen") as neighbour:
        assert (await neighbour.get(URL)).status_code == 403
    async with client(relay) as stranger:
        assert (await stranger.get(URL)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"class": "doom"},
        {"class": "priority"},
        {"class": "emergency", "ttl_s": 9},
        {"class": "emergency", "ttl_s": 3601},
        {"class": "emergency", "until": 1},
    ],
)
async def test_what_is_no_declaration(relay: EdgeRelay, body: Any) -> None:
    async with client(relay, "emergency") as operator:
        assert (await operator.put(URL, json=body)).status_code == 422
    assert relay.desk.declared("xa") is None


async def test_a_channel_that_is_not_there(relay: EdgeRelay) -> None:
    async with client(relay, "emergency", channel="*") as operator:
        for name in ("nowhere", "x" * 300, "%00"):
            answer = await operator.put(f"/api/v1/channels/{name}/class", json=EMERGENCY)
            assert answer.status_code == 404


async def test_openapi_and_metrics_tell_of_it(relay: EdgeRelay) -> None:
    async with client(relay, "admin", channel="*") as operator:
        await operator.put(URL, json=EMERGENCY)
        described = (await operator.get("/api/openapi.json")).json()["paths"]
        text = (await operator.get("/metrics")).text
    assert set(described["/api/v1/channels/{channel}/class"]) == {"get", "put", "delete"}
    assert "loa_emergencies 1.0" in text
