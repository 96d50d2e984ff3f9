"""Live state over a real WebSocket: who gets in, what is said, and what slow and rude viewers cost (nothing)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from relay.http.live_socket import Broadcast, Viewer
from relay.http.server import HttpServer, bind
from relay.tokens import Grant
from tests.support.live_desk import LiveRelay

PATIENCE_S = 10.0


class Served:
    """A relay on a real port."""

    def __init__(self, relay: LiveRelay, port: int) -> None:
        self.relay = relay
        self.port = port

    def url(self, channel: str = "xa") -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/channels/{channel}/live"

    def open(self, *scopes: Any, channel: str = "xa", origin: str | None = None) -> connect:
        headers = {"Authorization": f"Bearer {self.relay.token(*scopes)}"} if scopes else {}
        return connect(self.url(channel), additional_headers=headers, origin=origin, proxy=None)  # type: ignore[arg-type]


@asynccontextmanager
async def served(relay: LiveRelay) -> AsyncIterator[Served]:
    async with relay.open():
        http = HttpServer(relay.app(), bind("127.0.0.1:0"), grace=1)
        serving = asyncio.create_task(http.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await http.started.wait()
            yield Served(relay, http.addresses[0][1])
        finally:
            http.stop(force=True)
            async with asyncio.timeout(PATIENCE_S):
                await serving


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(LiveRelay(tmp_path)) as running:
        yield running


async def until(socket: ClientConnection, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first message that is `wanted`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if wanted(message):
                return message


def is_state(message: dict[str, Any]) -> bool:
    return message["type"] == "state"


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """Code and reason."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE_S):
            async for _ in socket:
                pass
    return socket.close_code or 0, socket.close_reason or ""


async def test_state_first_then_levels_and_state_again_when_something_changed(relay: Served) -> None:
    async with relay.open("control") as socket:
        first = json.loads(await socket.recv())
        assert (first["type"], first["channel"]) == ("state", "xa")
        assert first["automation"]["on_air"] == "music"
        levels = json.loads(await socket.recv())
        assert levels["type"] == "levels"
        assert levels["inputs"]["music"]["rms_dbfs"] == pytest.approx(-15, abs=1)
        for _ in range(3):
            assert json.loads(await socket.recv())["type"] == "levels", "nothing has changed"
        async with relay.relay.client("control") as client:
            await client.post("/api/v1/channels/xa/stop")
        assert (await until(socket, is_state))["automation"]["stopped"]


async def test_levels_come_ten_times_a_second(relay: Served) -> None:
    async with relay.open("control") as socket:
        loop = asyncio.get_running_loop()
        await until(socket, lambda message: message["type"] == "levels")
        began = loop.time()
        for _ in range(10):
            await until(socket, lambda message: message["type"] == "levels")
        assert loop.time() - began == pytest.approx(1.0, abs=0.4)


async def test_a_browser_says_its_token_first(relay: Served) -> None:
    async with relay.open(origin="https://studio.example.vn") as socket:
        await socket.send(json.dumps({"token": relay.relay.token("control")}))
        assert (await until(socket, is_state))["channel"] == "xa"


@pytest.mark.parametrize(
    ("first", "sentence"),
    [
        ('{"token": "nonsense"}', "cannot be read"),
        ("[1]", "the first message must be"),
        ("no json", "the first message must be"),
        ("[" * 5000, "the first message must be"),
        (b"\x00", "the first message must be"),
    ],
)
async def test_strangers_are_told_why_not(relay: Served, first: str | bytes, sentence: str) -> None:
    async with relay.open() as socket:
        await socket.send(first)
        code, reason = await closed(socket)
    assert code == 4403
    assert sentence in reason


async def test_who_sends_a_header_field_is_told_by_a_status(relay: Served) -> None:
    for socket, status in (
        (relay.open("listen"), 403),
        (relay.open("control", channel="plain"), 403),
        (connect(relay.url(), additional_headers={"Authorization": "Bearer x"}, proxy=None), 401),
    ):
        with pytest.raises(InvalidStatus) as raised:
            async with socket:
                pass
        assert raised.value.response.status_code == status
        assert b"application/problem+json" in raised.value.response.headers["content-type"].encode()


async def test_pages_of_other_sites_stay_outside_where_origins_are_named(tmp_path: Path) -> None:
    async with served(LiveRelay(tmp_path, origins=["https://studio.example.vn"])) as relay:
        with pytest.raises(InvalidStatus) as raised:
            async with relay.open("control", origin="https://evil.example"):
                pass
        assert raised.value.response.status_code == 403
        for origin in ("https://studio.example.vn", f"http://127.0.0.1:{relay.port}"):
            async with relay.open("control", origin=origin) as socket:
                assert is_state(json.loads(await socket.recv()))


async def test_a_token_that_runs_out_ends_it(tmp_path: Path) -> None:
    async with served(LiveRelay(tmp_path, now=time.time())) as relay:
        relay.relay.run(0.1)
        async with relay.open() as socket:
            await socket.send(json.dumps({"token": relay.relay.token("control", ttl=1)}))
            assert await closed(socket) == (4403, "the token has expired")


async def test_a_token_that_is_revoked_ends_it_and_opens_it_no_more(relay: Served) -> None:
    token = relay.relay.token("control")
    async with relay.open() as socket, relay.open("control") as other:
        await socket.send(json.dumps({"token": token}))
        await until(socket, is_state)
        relay.relay.revocations.revoke(relay.relay.tokens.verify(token))
        code, reason = await closed(socket)
        assert (code, reason) == (4403, "the token has been revoked; ask the relay's operator for a new one")
        await until(other, is_state)
    async with relay.open() as again:
        await again.send(json.dumps({"token": token}))
        assert (await closed(again))[1] == reason


async def test_a_relay_that_drains_ends_it(relay: Served) -> None:
    async with relay.open("control") as socket:
        await socket.recv()
        relay.relay.core.is_draining = True
        assert (await closed(socket))[0] == 1001
    with pytest.raises(InvalidStatus) as raised:
        async with relay.open("control"):
            pass
    assert raised.value.response.status_code == 503


async def test_a_viewer_who_talks_is_sent_away(relay: Served) -> None:
    async with relay.open("control") as socket:
        for _ in range(20):
            await socket.send("hello")
        assert (await closed(socket))[0] == 1008


async def test_what_is_told_is_made_once_for_all_and_not_at_all_for_nobody(tmp_path: Path) -> None:
    class Counting:
        looks = 0

        def view(self, channel: str) -> Any:
            self.looks += 1
            return relay.desk.view(channel)

    relay, counting = LiveRelay(tmp_path), Counting()
    async with relay.open():
        broadcast = Broadcast(counting, lambda: False, lambda: relay.now)  # type: ignore[arg-type]
        viewers = [Viewer(Grant("x", frozenset({"control"}), ("*",), relay.now + 60, "")) for _ in range(100)]
        for viewer in viewers:
            broadcast.add("xa", viewer)
        counting.looks = 0
        broadcast.tick()
        assert counting.looks == 1
        for viewer in viewers:
            broadcast.remove("xa", viewer)
        broadcast.tick()
        assert counting.looks == 1


async def test_a_viewer_who_does_not_read_gets_the_latest_and_keeps_no_memory(tmp_path: Path) -> None:
    relay = LiveRelay(tmp_path)
    async with relay.open():
        broadcast = Broadcast(relay.desk, lambda: False, lambda: relay.now)
        slow = Viewer(Grant("x", frozenset({"control"}), ("*",), relay.now + 600, ""))
        broadcast.add("xa", slow)
        for number in range(50):
            await relay.desk.duck("xa", bool(number % 2))
            relay.run(0.1)
            broadcast.tick()
        state, levels = await slow.next()
        assert json.loads(state)["automation"]["ducked"]
        assert json.loads(levels)["at"] == pytest.approx(relay.now, abs=0.01)
        assert slow.skipped == 50
        assert broadcast.counts().skipped == 50
        broadcast.remove("xa", slow)
