"""The control of mixed channels over HTTP: who may, what is answered, what OpenAPI says of it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.live_desk import LiveRelay

BASE = "/api/v1/channels/xa"
_Detail = Callable[[httpx.Response], str]


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[LiveRelay]:
    async with LiveRelay(tmp_path).open() as running:
        yield running


async def test_a_look_at_the_state(relay: LiveRelay) -> None:
    async with relay.client("control") as client:
        answer = await client.get(f"{BASE}/state")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    state = answer.json()
    assert (state["channel"], state["title"], state["inputs_max"]) == ("xa", "Xã Một", 8)
    assert (state["chime"], state["inputs"][0]["awaits_chime"]) == (False, False)
    assert state["automation"]["on_air"] == "music"
    assert [each["name"] for each in state["automation"]["sources"]] == ["queue", "music"]
    assert state["levels"]["inputs"]["music"]["sounding"]
    assert state["levels"]["inputs"]["music"]["rms_dbfs"] == pytest.approx(-15, abs=1)
    assert state["counters"]["music"]["missing"] == 0


async def test_every_command_and_what_it_brings_about(relay: LiveRelay) -> None:
    async with relay.client("control") as client:
        added = await client.post(
            f"{BASE}/queue",
            json={"items": [{"source": "tone:800", "title": "Bản tin"}, {"source": "tone:900"}]},
        )
        assert added.status_code == 201
        first, second = (item["id"] for item in added.json()["queue"])
        relay.run(0.5)
        state = (await client.get(f"{BASE}/state")).json()
        assert state["automation"]["on_air"] == "queue"
        assert state["automation"]["queue"][0]["title"] == "Bản tin"
        assert state["automation"]["queue"][0]["added_by"] == "đài xã"
        assert state["levels"]["position_s"] == pytest.approx(0.5, abs=0.15)

        moved = await client.patch(f"{BASE}/queue/{second}", json={"place": 0})
        assert [item["id"] for item in moved.json()["automation"]["queue"]] == [second, first]
        played = await client.post(f"{BASE}/play", json={"item": first})
        assert [item["id"] for item in played.json()["automation"]["queue"]] == [first, second]
        skipped = await client.post(f"{BASE}/skip")
        assert skipped.json()["automation"]["past"][0]["outcome"] == "skipped"
        assert (await client.get(f"{BASE}/queue")).json()["queue"][0]["id"] == second
        removed = await client.delete(f"{BASE}/queue/{second}")
        assert removed.json()["automation"]["queue_length"] == 0
        await client.post(f"{BASE}/queue", json={"items": [{"source": "tone:800"}] * 3, "place": 0})
        cleared = await client.delete(f"{BASE}/queue")
        assert cleared.json()["automation"]["queue_length"] == 0

        pinned = await client.post(f"{BASE}/play", json={"source": "music"})
        assert pinned.json()["automation"]["pinned"] == "music"
        stopped = await client.post(f"{BASE}/stop", json={"fade_s": 0.2})
        assert stopped.json()["automation"]["stopped"]
        going = (await client.post(f"{BASE}/play")).json()["automation"]
        assert (going["stopped"], going["pinned"], going["on_air"]) == (False, None, "music")
        assert (await client.post(f"{BASE}/duck", json={"held": True})).json()["automation"]["ducked"]
        assert relay.mixer.held

        await client.post(f"{BASE}/fade", json={"input": "music", "gain_db": -9, "seconds": 2})
        changed = await client.patch(f"{BASE}/inputs/music", json={"muted": True, "pan": 0.5})
        music = changed.json()["inputs"][0]
        assert (music["gain_db"], music["muted"]) == (-9, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("POST", "queue", {"items": [{"source": "/etc/passwd"}]}, 403, "files are not allowed"),
        ("POST", "queue", {"items": [{"source": "alsa:hw:0"}]}, 403, "allow_devices"),
        ("POST", "queue", {"items": [{"source": "gopher://x"}]}, 422, "no kind of source"),
        ("POST", "queue", {"items": []}, 422, "items"),
        ("POST", "queue", {"items": [{"source": "tone:5", "gain_db": "x"}]}, 422, "items.0.gain_db"),
        ("POST", "queue", {"items": [{"source": "tone:500"}] * 9}, 409, "the queue takes 8 items"),
        ("POST", "play", {"source": "radio"}, 404, "the list has no source radio"),
        ("POST", "play", {"item": "nothing"}, 404, "no item nothing"),
        ("POST", "play", {"sauce": "x"}, 422, "sauce"),
        ("POST", "skip", None, 404, "the queue is empty"),
        ("POST", "fade", {"input": "nobody", "gain_db": 0}, 404, "no input nobody"),
        ("POST", "fade", {"input": "music", "gain_db": 99}, 422, "gain_db"),
        ("PATCH", "inputs/music", {"pan": 2}, 422, "pan"),
        ("PATCH", "queue/nothing", {"place": 0}, 404, "no item nothing"),
        ("DELETE", "queue/nothing", None, 404, "no item nothing"),
        ("GET", "stop", None, 405, "use POST"),
    ],
)
async def test_refusals(
    relay: LiveRelay, detail: _Detail, method: str, path: str, body: Any, status: int, sentence: str
) -> None:
    async with relay.client("control") as client:
        answer = await client.request(method, f"{BASE}/{path}", json=body)
    assert answer.status_code == status
    assert sentence in detail(answer)


async def test_a_body_that_is_no_json_and_channels_that_are_not_mixed(
    relay: LiveRelay, detail: _Detail
) -> None:
    async with relay.client("control", channels=["*"]) as client:
        assert (await client.post(f"{BASE}/duck", content=b"x")).status_code == 415
        no_json = await client.post(
            f"{BASE}/stop", content=b"{", headers={"Content-Type": "application/json"}
        )
        assert no_json.status_code == 422
        assert "mixed" in detail(await client.get("/api/v1/channels/plain/state"))
        assert (await client.get("/api/v1/channels/plain/state")).status_code == 409
        assert (await client.get("/api/v1/channels/nowhere/state")).status_code == 404


async def test_who_may(relay: LiveRelay, detail: _Detail) -> None:
    async with relay.client() as client:
        assert (await client.get(f"{BASE}/state")).status_code == 401
    async with relay.client("publish", "listen") as client:
        refused = await client.post(f"{BASE}/stop")
        assert refused.status_code == 403
        assert "does not allow control on channel xa" in detail(refused)
    async with relay.client("control", channels=["huyen"]) as client:
        assert (await client.get(f"{BASE}/state")).status_code == 403
    async with relay.client("admin") as client:
        assert (await client.get(f"{BASE}/state")).status_code == 200


async def test_haste_is_slowed_down(relay: LiveRelay) -> None:
    async with relay.client("control") as client:
        for _ in range(50):
            assert (await client.get(f"{BASE}/state")).status_code == 200
        refused = await client.get(f"{BASE}/state")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        relay.now += 1
        assert (await client.get(f"{BASE}/state")).status_code == 200


async def test_who_looks_too_often_can_still_stop_the_sound(relay: LiveRelay) -> None:
    """A panel that asked for the state twelve times a second was refused for ever, and so was all of its subject."""
    async with relay.client("control") as client:
        answers = []
        for _ in range(200):
            answers.append((await client.get(f"{BASE}/state")).status_code)
            relay.now += 1 / 12
        for _ in range(200):
            answers.append((await client.get(f"{BASE}/state")).status_code)
        assert answers.count(429) > 100
        relay.now += 0.2
        assert (await client.post(f"{BASE}/stop")).status_code == 200


async def test_the_log_says_who_did_what(relay: LiveRelay, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "relay.http.live")
    async with relay.client("control") as client:
        await client.post(
            f"{BASE}/queue", json={"items": [{"source": "https://user:secret@radio.example.vn/x.mp3"}]}
        )
        await client.post(f"{BASE}/stop", json={"fade_s": 3})
    lines = [record for record in caplog.records if record.getMessage() == "channel command"]
    assert [(line.command, line.subject, line.channel) for line in lines] == [  # type: ignore[attr-defined]
        ("enqueue", "đài xã", "xa"),
        ("stop", "đài xã", "xa"),
    ]
    assert lines[0].to_sources == "https://radio.example.vn/x.mp3"  # type: ignore[attr-defined]
    assert lines[1].to_fade_s == 3  # type: ignore[attr-defined]


async def test_as_many_items_as_are_taken_may_have_the_longest_sources(relay: LiveRelay) -> None:
    host = "https://radio.example.vn/"
    items = [{"source": host + "a" * (2048 - len(host)), "title": "Bản tin"} for _ in range(8)]
    async with relay.client("control") as client:
        answer = await client.post(f"{BASE}/queue", json={"items": items})
        assert answer.status_code == 201, answer.text
        hundred = await client.post(f"{BASE}/queue", json={"items": [*items] * 12 + items[:4]})
        assert hundred.status_code == 409, "the queue of this channel has eight places"


async def test_openapi_tells_of_everything(relay: LiveRelay) -> None:
    async with relay.client() as client:
        paths = (await client.get("/api/openapi.json")).json()["paths"]
    base = "/api/v1/channels/{channel}"
    assert set(paths[f"{base}/queue"]) == {"get", "post", "delete"}
    body = paths[f"{base}/queue"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["items"]["items"]["properties"]["source"]["maxLength"] == 2048
    assert "$ref" not in json.dumps(body)
    needed = {
        name: paths[f"{base}/{name}"]["post"]["requestBody"]["required"] for name in ("play", "stop", "fade")
    }
    assert needed == {"play": False, "stop": False, "fade": True}
    answers = paths[f"{base}/play"]["post"]["responses"]
    assert answers["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/StateNow")
    assert {"401", "403", "404", "409", "422", "429"} <= set(answers)


async def test_metrics(relay: LiveRelay) -> None:
    async with relay.client("metrics") as client:
        text = (await client.get("/metrics")).text
    assert 'loa_automation_on_air{channel="xa",source="music"} 1.0' in text
    assert 'loa_automation_source_heard{channel="xa",source="queue"} 0.0' in text
    assert 'loa_automation_queue_items{channel="xa"} 0.0' in text
    assert "loa_live_viewers 0.0" in text
