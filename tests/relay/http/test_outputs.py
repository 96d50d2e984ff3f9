"""The Ogg stream, recordings and RTP descriptions over a real server's sockets; the desk behind them is a fake."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.config import ChannelConfig, ChannelsConfig
from relay.device_ports import DeviceStats
from relay.errors import ChannelNotFound
from relay.http.app import create_app
from relay.http.server import HttpServer, bind
from relay.output_ports import OutputStats, PageStream, Recording, RecordingStats, RtpStats
from relay.ports import ChannelState
from relay.tokens import Scope
from tests.relay.http.conftest import Surface
from tests.support.revoking import HandRevocations

WAIT = 10.0
NAME = "xa_2026-11-26_07-00-00+0700.opus"
XA = ChannelState("xa", "Xã Một", False, True, True, 0, None, "")


@dataclass
class FakeStream:
    title: str = "Xã Một\r\nicy-evil: 1"
    coming: bytes = b"page"
    ended: bool = False

    def welcome(self) -> bytes:
        return b"welcome"

    def turn(self, now: float) -> bytes:
        return self.coming

    def farewell(self) -> bytes:
        return b"farewell"

    def close(self) -> bytes:
        self.ended = True
        return b"end"


@dataclass
class FakeOutputs:
    folder: Path
    streams: list[FakeStream] = field(default_factory=list)
    open: int = 0

    async def open_stream(self, channel: str) -> PageStream:
        if channel not in ("xa", "open"):
            raise ChannelNotFound("no such channel")
        self.open += 1
        self.streams.append(FakeStream())
        return self.streams[-1]

    async def close_stream(self, channel: str, stream: PageStream) -> None:
        self.open -= 1

    def recordings(self, channel: str, since: float, until: float, limit: int) -> Sequence[Recording]:
        every = [self._item(name, 1_795_651_200.0 + 3600 * n) for n, name in enumerate((NAME, "later.opus"))]
        return [each for each in reversed(every) if since <= each.started < until][:limit]

    def recording(self, channel: str, name: str) -> Recording | None:
        return self._item(name, 0.0) if name == NAME else None

    def sdp(self, channel: str, number: int, origin: str) -> str | None:
        return f"v=0 {origin}" if number == 0 else None

    def stats(self) -> OutputStats:
        recording = RecordingStats("full", "the disk is full", 5, 1.5, 0.5, 1, 1, {"no_room": 3})
        return OutputStats({"xa": recording}, {"xa": [RtpStats("239.1.1.1:5004", 7, 1)]}, 2)

    def _item(self, name: str, started: float) -> Recording:
        path = self.folder / f"{name}.part"
        return Recording(name, path, started, "2026-11-26T07:00:00+07:00", 12.5, 10, name != NAME)


@pytest.fixture
def outputs(surface: Surface) -> FakeOutputs:
    (surface.folder / f"{NAME}.part").write_bytes(b"0123456789")
    surface.core.states = [XA]
    return FakeOutputs(surface.folder)


class RevokingDesk:
    """Of what a relay knows of receivers, who was revoked."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    def is_revoked(self, subject: str) -> bool:
        return subject in self.revoked

    def stats(self) -> DeviceStats:
        return DeviceStats()


@asynccontextmanager
async def serving(
    surface: Surface,
    outputs: FakeOutputs,
    desk: RevokingDesk | None = None,
    revocations: HandRevocations | None = None,
) -> AsyncIterator[int]:
    known: Any = desk
    app = create_app(
        surface.core, surface.config, surface.tokens, desk=known, outputs=outputs, revocations=revocations,
        folder=surface.folder,
    )  # fmt: skip
    http = HttpServer(app, bind("127.0.0.1:0"), grace=1)
    task = asyncio.create_task(http.run())
    try:
        async with asyncio.timeout(WAIT):
            await http.started.wait()
            yield http.addresses[0][1]
    finally:
        http.stop(force=True)
        async with asyncio.timeout(WAIT):
            await task


async def ask(port: int, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n")
    return reader, writer


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT):
        while not condition():  # noqa: ASYNC110 - it happens in the server
            await asyncio.sleep(0.01)


async def test_an_old_icecast_client_gets_pages_and_nothing_between(
    surface: Surface, outputs: FakeOutputs
) -> None:
    async with serving(surface, outputs) as port:
        reader, writer = await ask(port, "GET /open.opus HTTP/1.0\nIcy-MetaData: 1\nUser-Agent: old\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"content-type: audio/ogg\r\n" in head
        assert "icy-name: Xã Một icy-evil: 1\r\n".encode() in head
        assert b"icy-pub: 1\r\n" in head
        for absent in (b"chunked", b"content-length", b"icy-metaint", b"\r\nicy-evil"):
            assert absent not in head
        assert await reader.readexactly(15) == b"welcomepagepage"
        writer.close()
        await eventually(lambda: outputs.open == 0)
        assert outputs.streams[0].ended


async def test_one_stream_serves_all_and_ends_with_the_last(surface: Surface, outputs: FakeOutputs) -> None:
    async with serving(surface, outputs) as port:
        clients = [await ask(port, "GET /open.opus HTTP/1.1\nHost: x\n") for _ in range(3)]
        for reader, _ in clients:
            await reader.readuntil(b"welcomepage")
        assert len(outputs.streams) == 1
        metrics = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}")
        assert 'loa_stream_clients{channel="open"} 3.0' in (await metrics.get("/metrics")).text
        for _, writer in clients:
            writer.close()
        await eventually(lambda: outputs.open == 0)
        again, writer = await ask(port, "GET /open.opus HTTP/1.1\nHost: x\n")
        await again.readuntil(b"welcomepage")
        text = (await metrics.get("/metrics")).text
        assert 'loa_stream_joins_total{channel="open"} 4.0' in text
        writer.close()
        await metrics.aclose()


async def test_who_does_not_keep_up_is_cut_off_and_the_others_hear_on(
    surface: Surface, outputs: FakeOutputs
) -> None:
    async with serving(surface, outputs) as port:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", port))
            slow.sendall(b"GET /open.opus HTTP/1.0\r\n\r\n")
            quick, quick_writer = await ask(port, "GET /open.opus HTTP/1.1\nHost: x\n")
            await quick.readuntil(b"welcomepage")
            outputs.streams[0].coming = bytes(60_000)
            async with (
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
                asyncio.timeout(WAIT),
            ):
                while 'loa_stream_clients{channel="open"} 2.0' in (await client.get("/metrics")).text:
                    await quick.readexactly(60_000)
                outputs.streams[0].coming = b"page"
                text = (await client.get("/metrics")).text
                assert 'loa_stream_clients{channel="open"} 1.0' in text
                assert 'loa_stream_cut_off_total{channel="open"} 1.0' in text
                while b"page" not in await quick.read(1 << 16):
                    pass
            quick_writer.close()


async def test_a_relay_that_ends_ends_its_streams(surface: Surface, outputs: FakeOutputs) -> None:
    async with serving(surface, outputs) as port:
        reader, writer = await ask(port, "GET /open.opus HTTP/1.1\nHost: x\n")
        await reader.readuntil(b"welcomepage")
        surface.core.is_draining = True
        async with asyncio.timeout(WAIT):
            assert (await reader.read()).endswith(b"end")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/open.opus")).status_code == 503
        writer.close()


async def test_a_stream_ends_when_its_token_expires(surface: Surface, outputs: FakeOutputs) -> None:
    async with serving(surface, outputs) as port:
        short, long = (surface.token("listen", ttl=ttl) for ttl in (60, 120))
        reader, writer = await ask(port, f"GET /xa.opus?token={short} HTTP/1.1\nHost: x\n")
        other, other_writer = await ask(port, f"GET /xa.opus?token={long} HTTP/1.1\nHost: x\n")
        everybody, public_writer = await ask(port, f"GET /open.opus?token={short} HTTP/1.1\nHost: x\n")
        surface.unix += 59
        await reader.readuntil(b"welcomepagepagepage")
        surface.unix += 1
        async with asyncio.timeout(WAIT):
            assert (await reader.read()).endswith(b"pagefarewell"), "and then the connection is closed"
            await other.readuntil(b"pagepagepage")
            await everybody.readuntil(b"pagepagepage")
        assert not outputs.streams[0].ended, "who may listen hears on"
        for each in (writer, other_writer, public_writer):
            each.close()


@pytest.mark.parametrize("channel", ["xa", "open"])
async def test_a_stream_ends_when_its_receiver_is_revoked(
    surface: Surface, outputs: FakeOutputs, channel: str
) -> None:
    desk = RevokingDesk()
    async with serving(surface, outputs, desk) as port:
        token = surface.token("listen", channels=["*"])
        reader, writer = await ask(port, f"GET /{channel}.opus?token={token} HTTP/1.1\nHost: x\n")
        await reader.readuntil(b"welcomepagepage")
        desk.revoked.add("đài xã")
        async with asyncio.timeout(WAIT):
            assert (await reader.read()).endswith(b"farewell")
        writer.close()
        again, writer = await ask(port, f"GET /{channel}.opus?token={token} HTTP/1.1\nHost: x\n")
        assert b" 401 " in await again.readline()
        writer.close()


@pytest.mark.parametrize("channel", ["xa", "open"])
async def test_a_stream_ends_when_its_token_is_revoked_and_no_other(
    surface: Surface, outputs: FakeOutputs, channel: str
) -> None:
    desk = HandRevocations()
    async with serving(surface, outputs, revocations=desk) as port:
        leaked, good = (surface.token("listen", channels=["*"]) for _ in range(2))
        reader, writer = await ask(port, f"GET /{channel}.opus?token={leaked} HTTP/1.1\nHost: x\n")
        other, other_writer = await ask(port, f"GET /{channel}.opus?token={good} HTTP/1.1\nHost: x\n")
        await reader.readuntil(b"welcomepagepage")
        desk.revoke(surface.tokens.verify(leaked))
        async with asyncio.timeout(WAIT):
            assert (await reader.read()).endswith(b"farewell")
            await other.readuntil(b"pagepagepage")
        again, again_writer = await ask(port, f"GET /{channel}.opus?token={leaked} HTTP/1.1\nHost: x\n")
        assert b" 401 " in await again.readline()
        for each in (writer, other_writer, again_writer):
            each.close()


async def test_a_download_breaks_off_when_its_token_is_revoked(
    surface: Surface, outputs: FakeOutputs, caplog: pytest.LogCaptureFixture
) -> None:
    size = 64 << 20
    with (surface.folder / f"{NAME}.part").open("wb") as file:
        file.truncate(size)
    desk = HandRevocations()
    async with serving(surface, outputs, revocations=desk) as port:
        token = surface.token("recordings")
        path = f"/api/v1/channels/xa/recordings/{NAME}?token={token}"
        reader, writer = await ask(port, f"GET {path} HTTP/1.1\nHost: x\n")
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(1 << 20)
        desk.revoke(surface.tokens.verify(token))
        more = 0
        async with asyncio.timeout(WAIT):
            with suppress(ConnectionResetError):
                while block := await reader.read(1 << 20):
                    more += len(block)
        assert more < size // 2, "what was on its way, and no more"
        writer.close()
        again, again_writer = await ask(port, f"GET {path} HTTP/1.1\nHost: x\n")
        assert b" 401 " in await again.readline()
        again_writer.close()
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


async def test_a_private_channel_needs_a_token_that_players_can_send(
    surface: Surface, outputs: FakeOutputs, detail: Callable[[httpx.Response], str]
) -> None:
    async with (
        serving(surface, outputs) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        token = surface.token("listen")
        assert (await client.head("/xa.opus")).status_code == 401
        assert "scope listen" in detail(await client.get("/xa.opus"))
        assert (await client.head("/xa.opus", params={"token": surface.token("publish")})).status_code == 403
        assert (await client.head("/xa.opus", params={"token": "rubbish"})).status_code == 401
        for request in ({"params": {"token": token}}, {"headers": surface.bearer("listen")}):
            response = await client.head("/xa.opus", **request)  # type: ignore[arg-type]
            assert response.status_code == 200
            assert response.headers["content-type"] == "audio/ogg"
        assert (await client.get("/xa/whep", params={"token": token})).status_code == 204, (
            "only where it is said"
        )
        assert (await client.post("/xa/whep", params={"token": token})).status_code == 401
        everything = {"token": surface.token("listen", channels=["*"])}
        assert "no such channel" in detail(await client.get("/nowhere.opus", params=everything))


async def test_a_channel_is_said_to_have_its_stream_to_who_may_hear_it(
    surface: Surface, outputs: FakeOutputs
) -> None:
    silent = ChannelState("mute", "", True, False, False, 0, None, "")
    surface.core.states = [XA, ChannelState("open", "", True, False, False, 0, None, ""), silent]
    named = surface.config.channels.named | {"mute": ChannelConfig(public=True, stream=False)}
    surface.configure(channels=ChannelsConfig(named=named))
    async with (
        serving(surface, outputs) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):

        async def streams(scope: Scope) -> dict[str, bool]:
            answer = await client.get("/api/v1/channels", headers=surface.bearer(scope))
            return {each["name"]: each["stream"] for each in answer.json()["channels"]}

        assert await streams("listen") == {"xa": True, "open": True, "mute": False}
        assert await streams("publish") == {"xa": False, "open": True, "mute": False}


async def test_no_token_of_a_stream_is_logged(
    surface: Surface, outputs: FakeOutputs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(surface, outputs) as port:
        token = surface.token("listen", ttl=60)
        reader, writer = await ask(port, f"GET /xa.opus?token={token} HTTP/1.1\nHost: x\n")
        await reader.readuntil(b"welcomepage")
        surface.unix += 60
        async with asyncio.timeout(WAIT):
            await reader.read()
        writer.close()
    assert token not in caplog.text
    assert token[-20:] not in caplog.text


async def test_recordings_are_listed_and_fetched_in_ranges(
    surface: Surface, outputs: FakeOutputs, detail: Callable[[httpx.Response], str]
) -> None:
    path = "/api/v1/channels/xa/recordings"
    bearer = {"headers": surface.bearer("recordings")}
    async with (
        serving(surface, outputs) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=surface.bearer("listen"))).status_code == 403
        listed = (await client.get(path, **bearer)).json()["recordings"]  # type: ignore[arg-type]
        assert [each["name"] for each in listed] == ["later.opus", NAME]
        assert listed[1] == {
            "name": NAME, "started": "2026-11-26T07:00:00+07:00", "seconds": 12.5, "bytes": 10, "finished": False,
            "url": f"{path}/{NAME}",
        }  # fmt: skip
        ever = {"since": "0001-01-01T00:00:00", "until": "9999-12-31T23:59:59"}
        assert len((await client.get(path, params=ever, **bearer)).json()["recordings"]) == 2  # type: ignore[arg-type]
        since = {"since": "2026-11-26T07:30:00+07:00"}
        assert len((await client.get(path, params=since, **bearer)).json()["recordings"]) == 1  # type: ignore[arg-type]
        assert (await client.get(path, params={"limit": 0}, **bearer)).status_code == 422  # type: ignore[arg-type]
        token = {"token": surface.token("recordings")}
        whole = await client.get(listed[1]["url"], params=token)
        assert whole.content == b"0123456789"
        assert whole.headers["content-type"] == "audio/ogg"
        part = await client.get(listed[1]["url"], params=token, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"234")
        assert part.headers["content-range"] == "bytes 2-4/10"
        assert (await client.head(listed[1]["url"], params=token)).headers["content-length"] == "10"
        for name in ("other.opus", f"{NAME}.part"):
            assert "no recording of that name" in detail(await client.get(f"{path}/{name}", params=token))


async def test_the_state_and_the_metrics_of_all_outputs(surface: Surface, outputs: FakeOutputs) -> None:
    async with (
        serving(surface, outputs) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        state = (await client.get("/api/v1/channels/xa/outputs", headers=surface.bearer("admin"))).json()
        assert state == {
            "recording": {
                "activity": "full", "fault": "the disk is full", "seconds": 1.5, "bytes": 5, "missing_seconds": 0.5,
                "dropped": 3,
            },
            "stream_clients": 0,
            "rtp": [{"target": "239.1.1.1:5004", "packets": 7, "errors": 1, "sdp": "/xa.sdp?output=0"}],
        }  # fmt: skip
        described = await client.get("/xa.sdp", params={"token": surface.token("listen")})
        assert described.text == "v=0 127.0.0.1"
        assert described.headers["content-type"] == "application/sdp"
        for number in ("1", "-1", "x", "9" * 5000):
            answer = await client.get("/xa.sdp", params={"token": surface.token("listen"), "output": number})
            assert answer.status_code == 404
        text = (await client.get("/metrics")).text
        for line in (
            'loa_recording_failed{channel="xa"} 1.0',
            'loa_recording_packets_dropped_total{channel="xa",reason="no_room"} 3.0',
            'loa_rtp_out_errors_total{channel="xa",output="0"} 1.0',
            "loa_recordings_deleted_total 2.0",
        ):
            assert line in text
        assert "239.1.1.1" not in text


async def test_what_is_described_names_no_operation_twice(surface: Surface, outputs: FakeOutputs) -> None:
    async with (
        serving(surface, outputs) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        paths = (await client.get("/api/openapi.json")).json()["paths"]
    names = [
        each["operationId"] for path in paths.values() for each in path.values() if "operationId" in each
    ]
    assert {"/{channel}.opus", "/{channel}.sdp", "/api/v1/channels/{channel}/recordings/{name}"} <= set(paths)
    assert sorted(names) == sorted(set(names))
