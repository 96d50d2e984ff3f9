"""The meeting's WebSocket on real sockets, and WHIP and WHEP of its participants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from relay.config import Config
from relay.http.app import create_app
from relay.http.server import HttpServer, bind
from relay.live.meetings import Meetings
from relay.tokens import MeetingRole, Secret, Tokens
from tests.support.fake_core import SESSION, FakeCore
from tests.support.mixing import MixWorld
from tests.support.revoking import HandRevocations

PATIENCE_S = 10.0
SDP = {"Content-Type": "application/sdp"}
CONFIG = Config.model_validate(
    {"channels": {"named": {"xa": {"mode": "mix", "meeting": {"cap": "2h"}}, "studio": {"mode": "mix"}, "plain": {}}}}
)  # fmt: skip


class Page:
    """A participant's page."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome: dict[str, Any] = {}
        self.levels: dict[str, Any] = {}
        self.state: dict[str, Any] = {}

    async def say(self, type: str, **fields: object) -> None:  # noqa: A002 - the message's own word
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def until(self, type: str, **wanted: object) -> dict[str, Any]:  # noqa: A002
        """The next message of that type with those fields."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["type"] in ("welcome", "state", "levels"):
                    setattr(self, message["type"], message)
                if message["type"] == type and all(message[key] == value for key, value in wanted.items()):
                    return message

    async def people(self, count: int) -> dict[str, dict[str, Any]]:
        """By name, once there are so many."""
        while len(self.state.get("people", ())) != count:
            await self.until("state")
        return {each["name"]: each for each in self.state["people"]}

    async def ended(self) -> int:
        """The close code."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed:
                assert self.socket.close_code is not None
                return self.socket.close_code


class MeetingRelay:
    """A relay's HTTP surface in this event loop, over a fake core and a real studio that nobody ticks."""

    def __init__(self, folder: Path, world: MixWorld) -> None:
        self.core = FakeCore()
        self.tokens = Tokens(Secret(b"s" * 32))
        self.meetings = Meetings(world.studio.channels)
        self.revocations = HandRevocations()
        app = create_app(
            self.core,
            CONFIG,
            self.tokens,
            meetings=self.meetings,
            revocations=self.revocations,
            folder=folder,
        )
        self.http = HttpServer(app, bind("127.0.0.1:0"), grace=1)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.http.addresses[0][1]}"

    def token(self, role: MeetingRole | None, channel: str = "xa", ttl: float = 3600) -> str:
        scope = "publish" if role is not None else "listen"
        return self.tokens.mint(subject="xã", scopes=[scope], channels=[channel], ttl=ttl, role=role)

    def socket(self, channel: str = "xa") -> connect:
        return connect(f"ws://{self.place}/api/v1/channels/{channel}/meeting")

    @asynccontextmanager
    async def page(
        self, role: MeetingRole, name: str = "", secret: str = "", token: str = ""
    ) -> AsyncIterator[Page]:
        async with self.socket() as socket:
            page = Page(socket)
            await page.say("join", token=token or self.token(role), name=name, secret=secret)
            page.welcome = await page.until("welcome")
            await page.until("state")
            yield page

    async def whip(self, token: str, secret: str = "") -> httpx.Response:
        headers = SDP | {"Authorization": f"Bearer {token}"}
        headers |= {"X-Loa-Participant": secret} if secret else {}
        async with httpx.AsyncClient() as client:
            return await client.post(f"http://{self.place}/xa/whip", content="v=0\r\n", headers=headers)

    async def whep(self, session: str, method: str = "POST", resource: str = "") -> httpx.Response:
        url = f"http://{self.place}/xa/whep{resource}?without={session}"
        async with httpx.AsyncClient() as client:
            return await client.request(method, url, content="v=0\r\n", headers=SDP)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[MeetingRelay]:
    with MixWorld(CONFIG) as world:
        running = MeetingRelay(tmp_path, world)
        serving = asyncio.create_task(running.http.run())
        async with asyncio.timeout(PATIENCE_S):
            await running.http.started.wait()
        yield running
        running.http.stop(force=True)
        async with asyncio.timeout(PATIENCE_S):
            await serving


async def test_a_chair_lets_a_speaker_in_and_both_see_it(relay: MeetingRelay) -> None:
    async with relay.page("chair", "Chủ trì") as chair, relay.page("speaker", "Chị Lan") as lan:
        assert (chair.welcome["role"], lan.welcome["role"]) == ("chair", "speaker")
        assert not (await chair.people(2))["Chị Lan"]["admitted"]
        await chair.say("open")
        await lan.until("state", phase="open")
        await chair.say("admit", person=lan.welcome["person"])
        while not (await lan.people(2))["Chị Lan"]["admitted"]:
            await lan.until("state")
        levels = await lan.until("levels")
        assert 7190 < levels["remaining_s"] <= 7200


async def test_a_speaker_is_told_what_is_not_his(relay: MeetingRelay) -> None:
    async with relay.page("chair") as chair, relay.page("speaker") as lan:
        for order in (
            {"type": "open"},
            {"type": "mute", "person": chair.welcome["person"], "muted": True},
            {"type": "invite", "page": "https://loa.vn/xa/publish"},
        ):
            await lan.socket.send(json.dumps(order))
            refusal = await lan.until("refused", order=order["type"])
            assert (refusal["status"], "chair" in refusal["detail"]) == (403, True)
        assert chair.state["phase"] == "closed"


async def test_a_page_comes_back_as_who_it_was(relay: MeetingRelay) -> None:
    async with relay.page("speaker", "Lan") as before:
        pass
    async with relay.page("speaker", "", before.welcome["secret"]) as after:
        assert after.welcome == before.welcome
        assert "Lan" in await after.people(1)


async def test_an_invitation_lets_its_bearer_speak_on_this_channel_and_no_more(relay: MeetingRelay) -> None:
    async with relay.page("chair") as chair:
        await chair.say("invite", page="https://loa.vn/xa/publish")
        told = await chair.until("invitation")
    link, _, token = told["link"].partition("#token=")
    assert link == "https://loa.vn/xa/publish"
    grant = relay.tokens.verify(token)
    assert (grant.scopes, grant.channels, grant.role) == ({"publish"}, ("xa",), "speaker")
    assert (
        grant.expires <= relay.tokens.verify(relay.token("chair")).expires + 1
    )  # no longer than the chair's own
    assert told["qr"]["size"] >= 21
    assert told["qr"]["path"].startswith("M0 0h7v1h-7z")  # the finder pattern's edge


@pytest.mark.parametrize("by_subject", [False, True])
async def test_a_chair_who_is_revoked_leaves_and_so_do_those_he_invited(
    relay: MeetingRelay, by_subject: bool
) -> None:
    def minted(subject: str, role: MeetingRole) -> str:
        return relay.tokens.mint(subject=subject, scopes=["publish"], channels=["xa"], ttl=3600, role=role)

    leaked, other = minted("chủ tịch", "chair"), minted("phó chủ tịch", "chair")
    async with relay.page("chair", token=other) as chair, relay.page("chair", token=leaked) as thief:
        await thief.say("invite", page="https://loa.vn/xa/publish")
        invitation = (await thief.until("invitation"))["link"].partition("#token=")[2]
        await chair.say("invite", page="https://loa.vn/xa/publish")
        honest = (await chair.until("invitation"))["link"].partition("#token=")[2]
        async with relay.page("speaker", token=invitation) as guest:
            if by_subject:
                await relay.revocations.revoke_subject("chủ tịch", by="tỉnh")
            else:
                relay.revocations.revoke(relay.tokens.verify(leaked))
            for page in (thief, guest):
                told = await page.until("refused", order="join")
                assert (told["status"], "has been revoked" in told["detail"]) == (401, True)
                assert await page.ended() == 4403
        for token in (leaked, invitation):
            assert (await relay.whip(token)).status_code == 401
        assert (await relay.whip(honest)).status_code == 201
        begun = relay.core.grants[-1]
        assert begun is not None
        assert begun.parent == relay.tokens.verify(other).id, "by which his microphone goes, too"
        await chair.say("open")
        await chair.until("state", phase="open")


@pytest.mark.parametrize(("token", "status"), [("", 401), ("rubbish", 401), ("listen", 403), ("other", 403)])
async def test_a_token_must_allow_to_publish(relay: MeetingRelay, token: str, status: int) -> None:
    tokens = {"listen": relay.token(None), "other": relay.token("chair", "studio")}
    async with relay.socket() as socket:
        page = Page(socket)
        await page.say("join", token=tokens.get(token, token))
        assert (await page.until("refused", order="join"))["status"] == status
        assert await page.ended() == 4403


async def test_who_finds_no_room_is_told_so_and_not_that_his_token_is_wrong(
    relay: MeetingRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.live.meeting.PEOPLE_MAX", 1)
    async with relay.page("chair"), relay.socket() as socket:
        page = Page(socket)
        await page.say("join", token=relay.token("speaker"), name="Lan", secret="")
        assert (await page.until("refused", order="join"))["status"] == 409
        assert await page.ended() == 1013
        assert (await relay.whip(relay.token("speaker"))).status_code == 409


@pytest.mark.parametrize("first", ["", "[]", "{}", '{"type":"open"}', '{"type":"join","token":1}', b"\0"])
async def test_what_is_no_join_ends_the_socket(relay: MeetingRelay, first: str | bytes) -> None:
    async with relay.socket() as socket:
        await socket.send(first)
        assert await Page(socket).ended() == 4400


@pytest.mark.parametrize(
    "order",
    [
        "", "null", '{"type":"dance"}', '{"type":"admit"}', '{"type":"mute","person":"p1","muted":1}',
        '{"type":"invite","page":"javascript:alert(1)"}', '{"type":"rename","name":"' + "x" * 300 + '"}', b"\xff",
    ],
)  # fmt: skip
async def test_what_is_no_order_ends_the_socket(relay: MeetingRelay, order: str | bytes) -> None:
    async with relay.page("chair") as chair:
        await chair.socket.send(order)
        assert await chair.ended() == 4400
    async with relay.page("chair"):  # nobody else is the worse for it
        pass


async def test_a_flood_of_orders_ends_the_socket(relay: MeetingRelay) -> None:
    async with relay.page("speaker") as lan:
        with suppress(ConnectionClosed):
            for _ in range(100):
                await lan.say("hand", person=lan.welcome["person"], raised=True)
        assert await lan.ended() == 1008


@pytest.mark.parametrize("channel", ["plain", "studio", "nowhere"])
async def test_channels_without_meetings_have_no_socket(relay: MeetingRelay, channel: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with relay.socket(channel):
            pass
    assert refused.value.response.status_code == 404


async def test_microphones_are_those_of_participants(relay: MeetingRelay) -> None:
    async with relay.page("chair") as chair, relay.page("speaker", "Lan") as lan:
        response = await relay.whip(relay.token("speaker"), lan.welcome["secret"])
        assert response.status_code == 201
        kind, channel, _, replace, subject, _ = relay.core.calls[0]
        # Two who were invited by one link have one subject: each replaces himself only.
        assert (kind, channel, replace, subject) == ("publish", "xa", True, f"xã/{lan.welcome['person']}")
        while not (await chair.people(2))["Lan"]["connected"]:
            await chair.until("state")
        assert (await relay.whip(relay.token("speaker"), "forgotten")).status_code == 503
        await chair.say("remove", person=lan.welcome["person"])
        await lan.until("state", removed=True)
        assert (await relay.whip(relay.token("speaker"), lan.welcome["secret"])).status_code == 403


async def test_who_is_let_in_hears_the_others_by_the_secret_of_his_session(relay: MeetingRelay) -> None:
    relay.core.talking.add(("xa", SESSION))
    async with relay.page("chair") as chair, relay.page("speaker") as lan:
        published = await relay.whip(relay.token("speaker"), lan.welcome["secret"])
        link = f'</xa/whep?without={SESSION}>; rel="urn:x-loa:mix-minus"'
        assert link in published.headers.get_list("link")
        assert (await relay.whep(SESSION)).status_code == 403
        await chair.say("open")
        await chair.say("admit", person=lan.welcome["person"])
        await lan.until("state", phase="open")
        while not all(each["admitted"] for each in lan.state["people"]):
            await lan.until("state")
        heard = await relay.whep(SESSION)
        assert heard.status_code == 201
        assert relay.core.calls[-1][-1] == SESSION
        assert heard.headers["location"] == f"/xa/whep/{SESSION}?without={SESSION}"
        assert (await relay.whep(SESSION, "DELETE", f"/{SESSION}")).status_code == 200
        assert (await relay.whep("guessed-secret-of-24-octets")).status_code == 404


async def test_prometheus_is_told_who_is_there(relay: MeetingRelay) -> None:
    async def told() -> dict[str, float]:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://{relay.place}/metrics")).text
        lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("loa_meeting_"))
        return {name.removeprefix("loa_meeting_"): float(value) for name, _, value in lines}

    def people(state: str) -> str:
        return f'people{{channel="xa",state="{state}"}}'

    silent = {people(state): 0.0 for state in ("waiting", "listening", "muted", "on_air")}
    assert await told() == silent | {'open{channel="xa"}': 0.0}
    async with relay.page("chair", "Chủ trì") as chair, relay.page("speaker", "Chị Lan"):
        await chair.say("open")
        await chair.until("state", phase="open")
        assert await told() == silent | {
            'open{channel="xa"}': 1.0, people("waiting"): 1.0, people("listening"): 1.0,
        }  # fmt: skip
