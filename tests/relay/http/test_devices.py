"""The administration of receivers: who may, what is refused, what is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.config import ChannelConfig, ChannelsConfig
from relay.http.app import create_app
from tests.support.edge_link import EdgeRelay

BASE = "/api/v1/devices"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[EdgeRelay]:
    made = EdgeRelay(tmp_path)
    yield made
    made.database.close()


@asynccontextmanager
async def client(
    relay: EdgeRelay, *channels: str, token: str | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token of scope admin on `channels` (all, if not said), without sockets."""
    app = create_app(relay.core, relay.config, relay.tokens, desk=relay.desk, folder=relay.folder)
    headers = relay.bearer(*channels) if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 40000), raise_app_exceptions=True)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://192.0.2.1", headers=headers if token != "" else {}
    ) as opened:
        yield opened


async def enrol(relay: EdgeRelay, channel: str, name: str = "", key: bytes = b"k") -> str:
    issued = await relay.desk.issue_code(name=name, channel=channel, ttl=60, subject="operator")
    return (await relay.desk.enrol(issued.code, public_key=key * 32, name="")).device


ROUTES = [
    ("POST", "/codes", {"channel": "xa"}),
    ("GET", "", None),
    ("GET", "/{device}", None),
    ("PATCH", "/{device}", {"muted": True}),
    ("DELETE", "/{device}", None),
    ("POST", "/{device}/restart", None),
    ("GET", "/{device}/receipts", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_nobody_administers_without_a_token_for_it(
    relay: EdgeRelay, method: str, path: str, body: Any, detail: Callable[[httpx.Response], str]
) -> None:
    device = await enrol(relay, "xa")
    url = BASE + path.format(device=device)
    publisher = relay.tokens.mint(subject="s", scopes=["publish", "listen"], channels=["*"], ttl=60)
    for token, status in (("", 401), (publisher, 403), ("forged", 401)):
        async with client(relay, token=token) as somebody:
            answer = await somebody.request(method, url, json=body)
        assert answer.status_code == status
        assert detail(answer)
    async with client(relay, "huyen") as neighbour:
        answer = await neighbour.request(method, url, json=body)
    assert answer.status_code == (200 if path == "" else 403)
    if path == "":
        assert answer.json() == {"devices": []}
    view = await relay.desk.device(device)
    assert (view.revoked, view.settings.muted) == (None, False)


async def test_a_token_of_one_channel_administers_its_own_devices(relay: EdgeRelay) -> None:
    own, other = await enrol(relay, "xa", "Chợ"), await enrol(relay, "huyen", key=b"o")
    nowhere = await enrol(relay, "", key=b"n")
    async with client(relay, "xa") as officer:
        assert [item["id"] for item in (await officer.get(BASE)).json()["devices"]] == [own]
        assert (await officer.get(f"{BASE}/{own}")).json()["name"] == "Chợ"
        assert (await officer.get(f"{BASE}/{other}")).status_code == 403
        assert (await officer.get(f"{BASE}/{nowhere}")).status_code == 403
        moved = await officer.patch(f"{BASE}/{own}", json={"channel": "huyen"})
        assert moved.status_code == 403, "nobody gives a device to a channel that is not theirs"
        assert (await officer.post(f"{BASE}/codes", json={})).status_code == 403
    async with client(relay) as operator:
        assert len((await operator.get(BASE)).json()["devices"]) == 3


async def test_a_device_is_shown_with_all_that_is_wanted_and_known(relay: EdgeRelay) -> None:
    device = await enrol(relay, "xa", "Chợ")
    async with client(relay) as operator:
        shown = (await operator.get(f"{BASE}/{device}")).json()
    assert shown.pop("enrolled") > 1.7e9
    assert shown == {
        "id": device,
        "name": "Chợ",
        "channel": "xa",
        "delay_ms": 700,
        "trim_ms": 0,
        "volume_db": 0.0,
        "muted": False,
        "revoked": None,
        "seen": None,
        "connected": False,
        "since": None,
        "version": None,
        "capabilities": [],
        "settings_state": "pending",
        "settings_detail": "",
        "telemetry": None,
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"delay_ms": 149}, "delay_ms: "),
        ({"delay_ms": 3001}, "delay_ms: "),
        ({"trim_ms": -1}, "trim_ms: "),
        ({"volume_db": 20.5}, "volume_db: "),
        ({"muted": "perhaps"}, "muted: "),
        ({"name": "two\nlines"}, "name: a name is one line"),
        ({"name": "x" * 101}, "name: "),
        ({"channel": "xaa"}, "the configuration has no channel 'xaa' (did you mean xa?)"),
        ({"colour": "red"}, "colour: "),
        ([], ""),
    ],
)
async def test_impossible_changes_are_refused_by_name(
    relay: EdgeRelay, change: Any, sentence: str, detail: Callable[[httpx.Response], str]
) -> None:
    device = await enrol(relay, "xa")
    async with client(relay) as operator:
        answer = await operator.patch(f"{BASE}/{device}", json=change)
    assert answer.status_code == 422
    assert detail(answer).startswith(sentence)
    assert (await relay.desk.device(device)).settings.delay_ms == 700


async def test_changes_are_kept(relay: EdgeRelay) -> None:
    device = await enrol(relay, "xa")
    change = {
        "name": "Đình", "channel": "huyen", "delay_ms": 150, "trim_ms": 1000, "volume_db": -60, "muted": True
    }  # fmt: skip
    async with client(relay) as operator:
        answer = await operator.patch(f"{BASE}/{device}", json=change)
        assert answer.json() == (await operator.get(f"{BASE}/{device}")).json()
        assert {key: answer.json()[key] for key in change} == change
        assert (await operator.patch(f"{BASE}/{device}", json={"channel": ""})).json()["channel"] == ""


async def test_a_revoked_device_stays_in_the_books(relay: EdgeRelay) -> None:
    device = await enrol(relay, "xa")
    async with client(relay) as operator:
        revoked = (await operator.delete(f"{BASE}/{device}")).json()["revoked"]
        assert revoked > 1.7e9
        assert (await operator.delete(f"{BASE}/{device}")).json()["revoked"] == revoked
        assert (await operator.get(BASE)).json()["devices"][0]["revoked"] == revoked


@pytest.mark.parametrize("device", ["rx-000000000000", "x" * 300, "%00", "..%2f..", "đ"])
async def test_devices_that_are_not_there(
    relay: EdgeRelay, device: str, detail: Callable[[httpx.Response], str]
) -> None:
    async with client(relay) as operator:
        for method, path in (
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/restart"),
            ("GET", "/receipts"),
        ):
            answer = await operator.request(method, f"{BASE}/{device}{path}", json={"muted": True})
            assert answer.status_code in {404, 405}, (method, path)
            assert detail(answer)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=nan", "before=inf", "before="])
async def test_queries_out_of_bounds(relay: EdgeRelay, query: str) -> None:
    device = await enrol(relay, "xa")
    async with client(relay) as operator:
        assert (await operator.get(f"{BASE}/{device}/receipts?{query}")).status_code == 422
        assert (await operator.get(f"{BASE}/{device}/receipts?limit=1&before=1e9")).json() == {"receipts": []}


@pytest.mark.parametrize(
    ("body", "status"), [({"ttl_s": 59}, 422), ({"ttl_s": 1e99}, 422), ({"channel": "nix"}, 422)]
)
async def test_codes_out_of_bounds(relay: EdgeRelay, body: Any, status: int) -> None:
    async with client(relay) as operator:
        assert (await operator.post(f"{BASE}/codes", json=body)).status_code == status


async def test_no_code_is_ever_kept_or_logged(
    relay: EdgeRelay, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with client(relay) as operator:
        code = (await operator.post(f"{BASE}/codes", json={"channel": "xa"})).json()["code"]
    relay.database.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("loa.sqlite3*"))  # noqa: ASYNC240
    for spelling in (code, code.replace("-", "")):
        assert spelling.encode() not in kept
        assert spelling not in caplog.text


async def test_openapi_tells_the_whole_of_it(relay: EdgeRelay) -> None:
    async with client(relay) as operator:
        described = (await operator.get("/api/openapi.json")).json()
    paths = described["paths"]
    for method, path, body in ROUTES:
        operation = paths[BASE + path][method.lower()]
        assert ("requestBody" in operation) == (body is not None)
    change = paths[f"{BASE}/{{device}}"]["patch"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(change["properties"]) == {"name", "channel", "delay_ms", "trim_ms", "volume_db", "muted"}
    receipts = paths[f"{BASE}/{{device}}/receipts"]["get"]["parameters"]
    assert {each["name"]: each["in"] for each in receipts} == {
        "device": "path",
        "limit": "query",
        "before": "query",
    }
    assert "post" in paths["/api/v1/edge/enrol"]
    assert {"Device", "DeviceList", "ReceiptList", "Code"} <= set(described["components"]["schemas"])


async def test_metrics_count_without_naming_a_device(relay: EdgeRelay) -> None:
    device = await enrol(relay, "xa")
    token = relay.tokens.mint(subject="p", scopes=["metrics"], channels=["*"], ttl=60)
    async with client(relay, token=token) as prometheus:
        text = (await prometheus.get("/metrics")).text
    assert "loa_devices_connected 0.0" in text
    assert "loa_store_errors_total 0.0" in text
    assert device not in text


async def test_a_relay_without_a_desk_has_none_of_it(relay: EdgeRelay) -> None:
    app = create_app(relay.core, relay.config, relay.tokens, folder=relay.folder)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://192.0.2.1", headers=relay.bearer()
    ) as operator:
        assert (await operator.get(BASE)).status_code == 404


@pytest.mark.parametrize("public", [False, True])
async def test_the_tokens_of_a_revoked_device_open_nothing_not_even_a_public_channel(
    relay: EdgeRelay, public: bool, detail: Callable[[httpx.Response], str]
) -> None:
    named = {"xa": ChannelConfig(public=public)}
    relay.config = relay.config.model_copy(update={"channels": ChannelsConfig(named=named)})
    device, other = await enrol(relay, "xa"), await enrol(relay, "xa", key=b"o")
    tokens = {
        who: relay.tokens.mint(subject=f"device:{who}", scopes=["listen"], channels=["xa"], ttl=60)
        for who in (device, other)
    }

    async def listen(who: str) -> httpx.Response:
        async with client(relay, token=tokens[who]) as receiver:
            sdp = {"Content-Type": "application/sdp"}
            return await receiver.post("/xa/whep", content="v=0\r\n", headers=sdp)

    assert (await listen(device)).status_code == 201
    async with client(relay) as operator:
        await operator.delete(f"{BASE}/{device}")
    assert ("bar", f"device:{device}") in relay.core.calls
    refused = await listen(device)
    assert refused.status_code == 401
    assert "revoked" in detail(refused)
    assert (await listen(other)).status_code == 201
    for _ in range(30):  # a board on a pole keeps trying, and its commune stands behind the same address
        assert (await listen(device)).status_code == 401
