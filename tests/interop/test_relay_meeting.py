"""A meeting whose relay is killed: it goes on with the next one, by real sessions and by its sound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from relay.tokens import MeetingRole
from tests.support.aiortc_peers import Ear, publish
from tests.support.mixing import strength
from tests.support.relay_process import RelayProcess

PATIENCE_S = 30.0
LAN, HOA = 1100.0, 1700.0
CHANNEL = [
    "public = true", 'mode = "mix"', "leveller = false", "bitrate = 64000", "[channels.xa.meeting]",
    'cap = "1h"',
]  # fmt: skip


@dataclass
class Participant:
    """What a tab keeps: a token, and the secret that the relay gave."""

    name: str
    token: str
    secret: str = ""
    person: str = ""
    socket: ClientConnection | None = None

    @property
    def header(self) -> dict[str, str]:
        """What says whose microphone comes."""
        return {"X-Loa-Participant": self.secret}

    async def say(self, type: str, **fields: object) -> None:  # noqa: A002 - the message's own word
        assert self.socket is not None
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def told(self, type: str, **wanted: object) -> dict[str, Any]:  # noqa: A002
        """The next message of that type with those fields."""
        assert self.socket is not None
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["type"] == type and all(message[key] == value for key, value in wanted.items()):
                    return message


class Village(AsyncExitStack):
    """Who has come to the meeting of one run of the relay; all go on exit."""

    def __init__(self, relay: RelayProcess) -> None:
        super().__init__()
        self.relay = relay
        self.ear = Ear()

    async def enter(self, who: Participant) -> None:
        """His page, with the secret if he has one."""
        address = f"ws://127.0.0.1:{self.relay.http_port}/api/v1/channels/xa/meeting"
        # Whatever is not read waits here, else the socket's end would wait behind it.
        socket = connect(address, proxy=None, max_queue=None, close_timeout=1)
        who.socket = await self.enter_async_context(socket)
        await who.say("join", token=who.token, name=who.name, secret=who.secret)
        welcome = await who.told("welcome")
        who.person, who.secret = welcome["person"], welcome["secret"]

    async def speak(self, who: Participant, hz: float) -> None:
        """His microphone."""
        connection = await publish(f"{self.relay.base}/xa/whip", who.token, hz, who.header)
        self.push_async_callback(connection.close)

    async def refused(self, who: Participant) -> str:
        """Why his microphone may not come."""
        headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {who.token}", **who.header}
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{self.relay.base}/xa/whip", content="v=0\r\n", headers=headers)
        assert answer.status_code == 403, answer.text
        return answer.text

    async def hear(self) -> None:
        """A horn."""
        await self.ear.connect(f"{self.relay.base}/xa/whep")
        self.push_async_callback(self.ear.close)

    async def sounds(self) -> tuple[bool, bool]:
        """Whether Lan, and whether Hoa, is in the next second of sound."""
        sound = (await self.ear.hear(1.0, PATIENCE_S))[-40_000:]
        return strength(sound, LAN) > -35, strength(sound, HOA) > -50

    async def until(self, lan: bool, hoa: bool) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.sounds() != (lan, hoa):
                pass


def participant(relay: RelayProcess, name: str, role: MeetingRole = "speaker") -> Participant:
    return Participant(
        name, relay.tokens.mint(subject=name, scopes=["publish"], channels=["xa"], ttl=3600, role=role)
    )


@asynccontextmanager
async def running(relay: RelayProcess) -> AsyncIterator[Village]:
    with relay:
        async with Village(relay) as village:
            yield village


async def test_a_meeting_goes_on_after_its_relay_was_killed(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, {"xa": CHANNEL})
    chair, lan, hoa = (
        participant(relay, "chair", "chair"),
        participant(relay, "lan"),
        participant(relay, "hoa"),
    )
    async with running(relay) as village:
        for each in (chair, lan, hoa):
            await village.enter(each)
        await chair.say("open")
        await chair.told("state", phase="open")
        for who, hz in ((lan, LAN), (hoa, HOA)):
            await chair.say("admit", person=who.person)
            await village.speak(who, hz)
        await village.hear()
        await village.until(True, True)
        await chair.say("remove", person=hoa.person)
        await village.until(True, False)
        remaining = (await chair.told("levels"))["remaining_s"]
        # What was decided is on the disk in a quarter of that.
        await asyncio.to_thread(relay.process_wait, 1.0)
        relay.kill()

    known = lan.secret, hoa.secret
    async with running(relay) as village:  # the chair does not come back
        for each in (lan, hoa):
            await village.enter(each)
        assert (lan.secret, hoa.secret) == known
        assert (await hoa.told("state"))["removed"]
        assert (await lan.told("state"))["phase"] == "open"
        assert remaining - 120 < (await lan.told("levels"))["remaining_s"] < remaining
        assert "removed this participant" in await village.refused(hoa)
        await village.speak(Participant("hoa again", hoa.token), HOA)  # with the same token: she waits
        await village.speak(lan, LAN)
        await village.hear()
        await village.until(True, False)
        for _ in range(3):
            assert await village.sounds() == (True, False)
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"{relay.base}/metrics")).text.splitlines()
        assert 'loa_meeting_people{channel="xa",state="waiting"} 1.0' in metrics
    assert "Traceback" not in relay.log.read_text()
