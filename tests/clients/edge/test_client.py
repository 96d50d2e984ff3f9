"""The session's shell against a relay that misbehaves."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from dataclasses import replace

import pytest

from loacodecs.errors import LoaError, SdpError, TransportError
from loaedge.client import ClientSettings, State, WebRtcClient
from loaedge.urls import endpoint
from tests.support.loopback_relay import LoopbackRelay, Session
from tests.support.whip_server import Reply, Request, WhipServer, created


def settings(url: str, *, patience_s: float = 10.0) -> ClientSettings:
    return ClientSettings(endpoint(url, "whip"), "sendonly", connect_timeout_s=patience_s)


async def refused(server: WhipServer, *, patience_s: float = 10.0) -> LoaError:
    with pytest.raises(LoaError) as caught:
        async with WebRtcClient(settings(f"{server.url}/a", patience_s=patience_s)) as client:
            await client.connect()
    return caught.value


async def test_states_go_from_signalling_to_closed() -> None:
    states: list[State] = []
    async with LoopbackRelay() as relay:
        client = WebRtcClient(settings(relay.url), on_state=states.append)
        async with client:
            await client.connect()
            assert not client.closed.done()
        assert client.closed.done()
        await client.close()
    assert states == ["signalling", "connecting", "connected", "closed"]


async def test_media_that_does_not_get_through_names_the_address_and_the_session_is_deleted() -> None:
    sessions: list[Session] = []

    async def respond(request: Request) -> Reply:
        if request.method != "POST":
            return Reply(200)
        session = Session(request.body, "recvonly", ())
        sessions.append(session)
        answer = await session.open()
        session.vanish()
        return created(answer)

    async with WhipServer(respond) as server:
        error = await refused(server, patience_s=0.3)
        assert re.search(
            r"no media gets through to UDP 127\.0\.0\.1:\d+: is a firewall between\?", str(error)
        )
        assert isinstance(error, TransportError)
        assert [r.method for r in server.requests] == ["POST", "DELETE"]


@pytest.mark.parametrize(
    "answer", ["", "hello", "v=0\r\n", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 50]
)
async def test_an_answer_that_is_no_sdp_is_one_error_and_the_session_is_deleted(answer: str) -> None:
    async with WhipServer(lambda _request: created(answer)) as server:
        error = await refused(server)
        assert isinstance(error, SdpError) or "audio" in str(error)
        assert server.requests[-1].method == "DELETE"


async def test_a_relay_with_another_certificate_is_not_talked_to() -> None:
    sessions: list[Session] = []

    async def respond(request: Request) -> Reply:
        if request.method != "POST":
            return Reply(200)
        sessions.append(Session(request.body, "recvonly", ()))
        other = ":".join(["AB"] * 32)
        answer = await sessions[0].open()
        return created(re.sub(r"(a=fingerprint:sha-256 )[^\r]*", rf"\g<1>{other}", answer))

    async with WhipServer(respond) as server:
        error = await refused(server)
        sessions[0].close()
        assert str(error).startswith("no session could be set up: ")
        assert "certificate is not the one" in str(error)
        assert sessions[0].packets == []


async def test_hostile_datagrams_do_not_disturb_a_session() -> None:
    async with LoopbackRelay() as relay, WebRtcClient(settings(relay.url)) as client:
        await client.connect()
        session = await relay.session()
        noise = random.Random(7)
        offered = re.search(
            r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host", relay.requests[0].body, re.I
        )
        assert offered is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(3000):
                junk = bytes([noise.choice((0, 1, 20, 22, 63, 128, 144, 255))]) + noise.randbytes(
                    noise.randrange(200)
                )
                stranger.sendto(junk, ("127.0.0.1", int(offered[1])))
                await asyncio.sleep(0)
        header = bytes.fromhex("806f000100000001") + client.ssrc.to_bytes(4, "big")
        client.send_rtp(header + b"still here")
        await session.until(lambda: len(session.packets) == 1)
        assert session.packets[0].payload == b"still here"
        assert client.state == "connected"


async def test_giving_up_in_the_middle_leaves_nothing_behind() -> None:
    async with LoopbackRelay() as relay:
        client = WebRtcClient(settings(relay.url))
        async with client:
            connecting = asyncio.create_task(client.connect())
            await asyncio.sleep(0)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
        assert client.state == "closed"
        client.send_rtp(b"nobody hears this")
        with pytest.raises(TransportError, match="no session yet"):
            _ = client.answer


async def test_names_that_are_looked_up_for_ever_do_not_hold_a_session_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    never = loop.create_future()

    async def lookup(*_args: object, **_more: object) -> None:
        await never

    monkeypatch.setattr(loop, "getaddrinfo", lookup)
    hasty = replace(settings("http://relay.example/a"), signalling_timeout_s=0.1)
    async with asyncio.timeout(5), WebRtcClient(hasty) as client:
        with pytest.raises(TransportError, match=r"relay\.example has not answered within 0\.1 s"):
            await client.connect()
