"""What Prometheus reads, and who may read it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send

from relay.config import AuthConfig, MetricsConfig
from relay.http.app import Edge
from relay.http.metrics import HttpMetrics
from relay.ports import ChannelStats, Histogram, RelayStats, RenditionStats
from tests.relay.http.conftest import Surface
from tests.support.fake_core import FakeCore

LOCAL = {"client": "127.0.0.1", "base_url": "http://127.0.0.1:8889"}
STATS = RelayStats(
    channels={"xa": ChannelStats(listeners=3, on_air=True, packets_in=50, packets_out=150, lost_in=1)},
    sessions={"publish": 1, "listen": 3},
    joins={"publish": 4, "listen": 1},
    refused={"unchecked_address": 9},
    datagrams_in=77,
    batch_seconds=Histogram((0.001, 0.01), (5, 8), 0.05, 9),
)


async def samples(surface: Surface) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    async with surface.client(**LOCAL) as client:
        response = await client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_the_core_is_counted(surface: Surface) -> None:
    surface.core.statistics = STATS
    found = await samples(surface)
    xa = (("channel", "xa"),)
    assert found["loa_channel_listeners", xa] == 3
    assert found["loa_channel_on_air", xa] == 1
    assert found["loa_channel_packets_in_total", xa] == 50
    assert found["loa_channel_packets_out_total", xa] == 150
    assert found["loa_channel_packets_in_lost_total", xa] == 1
    assert found["loa_sessions", (("kind", "listen"),)] == 3
    assert found["loa_joins_total", (("kind", "listen"),)] == 1
    assert found["loa_datagrams_refused_total", (("reason", "unchecked_address"),)] == 9
    assert found["loa_datagrams_in_total", ()] == 77
    assert found["loa_batch_seconds_bucket", (("le", "0.001"),)] == 5
    assert found["loa_batch_seconds_bucket", (("le", "+Inf"),)] == 9
    assert found["loa_batch_seconds_count", ()] == 9
    assert found["loa_batch_seconds_sum", ()] == 0.05


async def test_every_counter_of_a_channel_is_shown(surface: Surface) -> None:
    counters = [name for name in ChannelStats.__slots__ if name != "renditions"]
    plain = ChannelStats(**{name: 1000 + i for i, name in enumerate(counters)})  # type: ignore[arg-type]  # bools
    channel = replace(plain, renditions={"60ms": RenditionStats(listeners=7, packets_out=700)})
    surface.core.statistics = RelayStats(channels={"xa": channel})
    found = await samples(surface)
    shown = {value for (_, labels), value in found.items() if labels == (("channel", "xa"),)}
    assert shown == {1000 + i for i in range(len(counters))}
    labels = (("channel", "xa"), ("rendition", "60ms"))
    assert found["loa_rendition_listeners", labels] == 7
    assert found["loa_rendition_packets_out_total", labels] == 700


async def test_requests_are_counted_by_route_never_by_address(surface: Surface) -> None:
    app = surface.app()
    from httpx import ASGITransport, AsyncClient

    transport = ASGITransport(app, client=("127.0.0.1", 1))
    async with AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        await client.get("/xa")
        await client.get("/open")
        await client.get("/static/js/listen.js")
        await client.post("/xa/whip", headers={"Authorization": "Bearer x"})
        await client.request("BREW", "/xa/whip")
        await client.get("/a/b/c/d")
        text = (await client.get("/metrics")).text
    counted = re.findall(r"^loa_http_requests_total\{(.*)\} (\S+)$", text, re.MULTILINE)
    assert ('method="GET",route="/{channel}",status="200"', "2.0") in counted
    assert ('method="POST",route="/{channel}/whip",status="401"', "1.0") in counted
    assert all('method="other"' in labels or "BREW" not in labels for labels, _ in counted)
    assert "/a/b/c/d" not in text
    assert "loa_http_bad_tokens_total 1.0" in text


async def test_names_are_ours_or_the_libraries(surface: Surface) -> None:
    surface.core.statistics = STATS
    for name, _ in await samples(surface):
        assert name.startswith(("loa_", "process_", "python_")), name


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        (LOCAL, {}, 200),
        (LOCAL, {"X-Forwarded-For": "203.0.113.9"}, 401),
        (LOCAL, {"Host": "rebound.example"}, 401),
        ({}, {}, 401),
    ],
)
async def test_metrics_are_for_this_machine(
    surface: Surface, client: dict[str, str], headers: dict[str, str], status: int
) -> None:
    async with surface.client(**client) as http:
        assert (await http.get("/metrics", headers=headers)).status_code == status


async def test_metrics_are_for_tokens_of_that_scope(surface: Surface) -> None:
    async with surface.client() as http:
        right = await http.get("/metrics", headers=surface.bearer("metrics", channels=[]))
        wrong = await http.get("/metrics", headers=surface.bearer("listen"))
    assert (right.status_code, wrong.status_code) == (200, 403)


async def test_metrics_may_be_public(surface: Surface) -> None:
    surface.configure(metrics=MetricsConfig(public=True))
    async with surface.client() as http:
        assert (await http.get("/metrics")).status_code == 200
    surface.configure(metrics=MetricsConfig(public=False), auth=AuthConfig(enabled=False))
    async with surface.client() as http:
        assert (await http.get("/metrics")).status_code == 200


async def test_the_time_to_an_answer_does_not_grow_with_what_is_listened_to() -> None:
    now = 1000.0

    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal now
        now += 0.25
        await send({"type": "http.response.start", "status": 200, "headers": []})
        now += 3600
        await send({"type": "http.response.body", "body": b""})

    async def ignore(_message: Message) -> None:
        pass

    async def nothing() -> Message:
        raise AssertionError

    counted = HttpMetrics(FakeCore(), "0")
    scope = {"type": "http", "method": "GET", "path": "/xa.opus"}
    await Edge(stream, counted, lambda: now)(scope, nothing, ignore)
    assert counted.registry.get_sample_value("loa_http_request_seconds_sum", {"route": "other"}) == 0.25
    answered = {"route": "other", "method": "GET", "status": "200"}
    assert counted.registry.get_sample_value("loa_http_requests_total", answered) == 1
