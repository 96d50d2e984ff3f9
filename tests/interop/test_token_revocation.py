"""A token is revoked while it is used: a real relay, WebRTC peers and a player, and the relay's sudden death."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import httpx
from aiortc import RTCPeerConnection

from tests.support.aiortc_peers import Ear, publish
from tests.support.relay_process import RelayProcess

CUT_S = 1.0
"""Within so long everything that a revoked token began has ended."""
CHANNELS = {"xa": [], "huyen": ['mode = "mix"', "leveller = false"]}
OFFER = Path(__file__).parent.parent / "codecs" / "offers" / "chromium_listen.sdp"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Operator:
    """Asks a relay with a token of scope admin; says what came of it."""

    def __init__(self, relay: RelayProcess) -> None:
        self.relay = relay
        self.client = httpx.AsyncClient(base_url=relay.base, headers=bearer(relay.token("admin")))

    async def __aenter__(self) -> Operator:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.client.aclose()

    async def revoke(self, **what: str) -> dict[str, Any]:
        answer = await self.client.post("/api/v1/tokens/revocations", json=what)
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def sessions(self) -> dict[str, int]:
        """How many there are, by kind."""
        lines = (await self.client.get("/metrics")).text.splitlines()
        return {
            kind: int(float(line.rpartition(" ")[2]))
            for kind in ("publish", "listen")
            for line in lines
            if line.startswith(f'loa_sessions{{kind="{kind}"}}')
        }


def closing(connection: RTCPeerConnection) -> asyncio.Event:
    """Set when the relay has ended the session."""
    closed = asyncio.Event()

    def look() -> None:
        if connection.connectionState == "closed":
            closed.set()

    connection.on("connectionstatechange", look)
    return closed


async def player(relay: RelayProcess, token: str, playing: asyncio.Event) -> None:
    """Plays `.opus` until it ends."""
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", f"{relay.base}/xa.opus", params={"token": token}) as answer,
    ):
        assert answer.status_code == 200
        async for _ in answer.aiter_raw():
            playing.set()


async def refused(relay: RelayProcess, token: str) -> None:
    """Nothing is open to `token`, and it is told why."""
    async with httpx.AsyncClient(base_url=relay.base, headers=bearer(token)) as client:
        sdp = {"Content-Type": "application/sdp"}
        for answer in (
            await client.post("/xa/whip", content=OFFER.read_text(), headers=sdp),
            await client.post("/xa/whep", content=OFFER.read_text(), headers=sdp),
            await client.post("/huyen/whip", content=OFFER.read_text(), headers=sdp),
            await client.get("/xa.opus", params={"token": token}),
            await client.get("/api/v1/channels"),
        ):
            assert answer.status_code == 401
            assert "the token has been revoked" in answer.json()["detail"]


async def first_answer(relay: RelayProcess, token: str) -> bytes:
    """The status line of the first answer that a relay gives, asked before it was there."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.http_port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.005)
            continue
        writer.write(
            f"GET /api/v1/channels HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        line = await reader.readline()
        writer.close()
        return line


async def test_a_listener_and_a_publisher_are_cut_and_stay_out_over_a_sigkill(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, CHANNELS)
    leaked, good = relay.token("publish", "listen"), relay.token("publish", "listen")
    thief, ear = Ear(), Ear()
    voices: list[RTCPeerConnection] = []
    with relay:
        async with Operator(relay) as operator:
            voices.append(await publish(f"{relay.base}/xa/whip", leaked, 440.0))
            voices.append(await publish(f"{relay.base}/huyen/whip", leaked, 880.0))
            await thief.connect(f"{relay.base}/xa/whep", leaked)
            await ear.connect(f"{relay.base}/xa/whep", good)
            playing = asyncio.Event()
            streaming = asyncio.create_task(player(relay, leaked, playing))
            await asyncio.gather(thief.hear(0.3), ear.hear(0.3), playing.wait())
            assert await operator.sessions() == {"publish": 2, "listen": 2}

            silenced = [closing(each) for each in voices]
            began = time.monotonic()
            done = await operator.revoke(token=leaked)
            assert (done["sessions"], done["kept"]) == (3, True)
            async with asyncio.timeout(began + CUT_S - time.monotonic()):
                await asyncio.gather(*(each.wait() for each in silenced), thief.ended.wait(), streaming)
            assert await operator.sessions() == {"listen": 1}
            await refused(relay, leaked)

            assert ear.connection.connectionState == "connected"
            voices.append(await publish(f"{relay.base}/xa/whip", good, 440.0))
            await ear.hear(0.3)
        relay.kill()
    assert leaked not in relay.log.read_text()
    asking = asyncio.create_task(first_answer(relay, leaked))
    with contextlib.ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, relay)
        assert b" 401 " in await asking
        await refused(relay, leaked)
        voices.append(await publish(f"{relay.base}/xa/whip", good, 440.0))
    for each in (*voices, thief.connection, ear.connection):
        await each.close()


async def test_all_tokens_of_a_subject_end_and_one_made_afterwards_is_good(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, CHANNELS) as relay:
        ear = Ear()

        def minted(subject: str) -> str:
            return relay.tokens.mint(subject=subject, scopes=["publish", "listen"], channels=["*"], ttl=3600)

        lost, other = minted("chủ tịch xã"), minted("đài huyện")
        async with Operator(relay) as operator:
            voice = await publish(f"{relay.base}/xa/whip", other, 440.0)
            await ear.connect(f"{relay.base}/xa/whep", lost)
            await ear.hear(0.3)
            done = await operator.revoke(subject="chủ tịch xã")
            assert done["sessions"] == 1
            async with asyncio.timeout(CUT_S):
                await ear.ended.wait()
            await refused(relay, lost)
            again = Ear()
            await again.connect(f"{relay.base}/xa/whep", minted("chủ tịch xã"))
            await again.hear(0.3)
            for each in (voice, ear.connection, again.connection):
                await each.close()
