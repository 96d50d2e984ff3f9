"""The control link over a real WebSocket: who gets in, what is said, and what hostile peers achieve (nothing)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from loacodecs.control import (
    PATH,
    Challenge,
    Clock,
    ClockAnswer,
    Command,
    Hello,
    OnAir,
    Receipt,
    ReceiptOk,
    Refused,
    Result,
    Settings,
    Token,
    Welcome,
    decode,
    decode_body,
    encode,
    parse_settings,
)
from loacodecs.signing import CommandGuard, SeenNonces, private_key, sign_hello
from loacodecs.strict_json import to_base64url
from relay.devices.serving import LinkSettings
from tests.support.edge_link import PATIENCE_S, EdgeRelay, Receiver, idle, open_socket

RECEIPT = Receipt("r-1", "Bản tin sáng", "xa", 1.8e9, 1.8e9 + 900, 0.999, 20.0, -18.5, "played")


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[EdgeRelay]:
    async with EdgeRelay(tmp_path).running() as running:
        yield running


async def device(relay: EdgeRelay, receiver: Receiver) -> dict[str, object]:
    async with relay.client() as client:
        response = await client.get(f"/api/v1/devices/{receiver.device}")
    assert response.status_code == 200, response.text
    shown: dict[str, object] = response.json()
    return shown


def refused(relay: EdgeRelay) -> dict[str, int]:
    return dict(relay.desk.stats().refused)


# Who gets in


async def test_a_receiver_is_welcomed_with_a_token_for_its_channel_and_told_its_settings(
    relay: EdgeRelay,
) -> None:
    receiver = await relay.enrol()
    relay.on_air.add("xa")
    async with receiver.link() as link:
        welcome = link.welcome
        assert isinstance(welcome, Welcome)
        assert (welcome.telemetry_on_air_s, welcome.telemetry_idle_s, welcome.channel_on_air) == (
            10,
            60,
            True,
        )
        grant = relay.tokens.verify(welcome.token)
        assert (grant.subject, grant.expires) == (f"device:{receiver.device}", welcome.token_expires)
        assert grant.allows("listen", "xa")
        assert not grant.allows("listen", "huyen")
        assert not grant.allows("publish", "xa")
        guard = CommandGuard(receiver.device, relay.commander.public_key, SeenNonces())
        verdict = guard.check(await link.obey(), time.time())
        assert verdict.body is not None
        assert verdict.body.verb == "settings"
        assert parse_settings(verdict.body.args) == Settings("xa", 700, 0, 0.0, False)
        shown = await device(relay, receiver)
        assert (shown["connected"], shown["version"], shown["capabilities"]) == (True, "0.1.0", ["red"])
        assert shown["settings_state"] == "applied"
    assert relay.desk.stats().links == 1


async def test_a_receiver_without_a_channel_gets_no_token(relay: EdgeRelay) -> None:
    receiver = await relay.enrol(channel="")
    async with receiver.link() as link:
        assert link.welcome == Welcome(10.0, 60.0, "", 0.0, False)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"device": "rx-unknown"}, "unknown"),
        ({"signature": to_base64url(bytes(64))}, "signature"),
        ({"protocol": 2}, "protocol"),
    ],
)
async def test_strangers_are_told_why_and_let_go(
    relay: EdgeRelay, changes: dict[str, object], code: str
) -> None:
    receiver = await relay.enrol()
    async with receiver.link(lambda challenge: receiver.hello(challenge, **changes)) as link:
        assert isinstance(link.welcome, Refused)
        assert link.welcome.code == code
        assert (await link.closed())[0] == 4403
    assert refused(relay) == {code: 1}
    assert relay.desk.stats().connected == 0


async def test_a_hello_that_was_overheard_is_good_for_nothing(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    overheard: list[Hello] = []

    def answer(challenge: Challenge) -> Hello:
        overheard.append(receiver.hello(challenge))
        return overheard[0]

    async with receiver.link(answer) as link:
        assert isinstance(link.welcome, Welcome)
    async with receiver.link(answer) as link:
        assert isinstance(link.welcome, Refused)
        assert link.welcome.code == "signature"


async def test_another_devices_key_does_not_do(relay: EdgeRelay) -> None:
    receiver, other = await relay.enrol(), await relay.enrol()
    thief = dataclasses.replace(receiver, key=other.key)
    async with thief.link() as link:
        assert isinstance(link.welcome, Refused)
        assert link.welcome.code == "signature"


async def test_a_signature_for_another_relay_does_not_do(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    elsewhere = dataclasses.replace(receiver, relay="loa-elsewhere")
    async with elsewhere.link() as link:
        assert isinstance(link.welcome, Refused)


async def test_revoking_ends_the_link_and_the_key(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link, relay.client() as client:
        assert (await client.delete(f"/api/v1/devices/{receiver.device}")).json()["revoked"]
        assert (await link.receive(Refused)).code == "revoked"
        assert (await link.closed())[0] == 4403
    async with receiver.link() as link:
        assert isinstance(link.welcome, Refused)
        assert link.welcome.code == "revoked"
    assert not (await device(relay, receiver))["connected"]


async def test_a_second_link_of_the_same_device_replaces_the_first(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as first, receiver.link() as second:
        assert (await first.closed())[0] == 4409
        await second.send(Clock(1.0))
        await second.receive(ClockAnswer)
        assert relay.desk.stats().connected == 1
        relay.on_air.add("xa")
        assert await second.receive(OnAir) == OnAir("xa", True)


async def test_who_says_nothing_is_let_go(tmp_path: Path) -> None:
    async with EdgeRelay(tmp_path, LinkSettings(hello_s=0.1)).running() as relay:
        socket = await open_socket(relay.port)
        await socket.recv()
        async with asyncio.timeout(PATIENCE_S):
            await socket.wait_closed()
        assert socket.close_code == 4408
        assert refused(relay) == {"hello_timeout": 1}


async def test_a_link_on_which_nothing_comes_is_let_go(tmp_path: Path) -> None:
    settings = LinkSettings(telemetry_on_air_s=0.1, telemetry_idle_s=0.1)
    async with EdgeRelay(tmp_path, settings).running() as relay:
        receiver = await relay.enrol()
        started = time.monotonic()
        async with receiver.link() as link:
            assert await link.closed() == (4408, "nothing has come for too long")
        assert 0.25 <= time.monotonic() - started < PATIENCE_S
        assert refused(relay) == {"silent": 1}


async def test_links_beyond_the_limit_are_told_to_come_later(tmp_path: Path) -> None:
    async with EdgeRelay(tmp_path, LinkSettings(links_max=1)).running() as relay:
        first, second = await relay.enrol(), await relay.enrol()
        async with first.link():
            with pytest.raises(ConnectionClosed) as closed:
                async with second.link():
                    pass
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
            async with first.link() as again:
                assert isinstance(again.welcome, Welcome), "a device that comes back is not one more"


async def test_strangers_are_bounded_and_those_inside_do_not_notice(tmp_path: Path) -> None:
    settings = LinkSettings(strangers_of_one_address=8)
    async with EdgeRelay(tmp_path, settings).running() as relay:
        await check_strangers(relay)


async def check_strangers(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link:
        sockets = []
        for _ in range(8):
            sockets.append(await open_socket(relay.port))
        with pytest.raises(InvalidStatus) as status:
            await open_socket(relay.port)
        assert status.value.response.status_code == 503
        assert 10 <= int(status.value.response.headers["Retry-After"]) <= 30
        assert json.loads(status.value.response.body or b"{}")["detail"].startswith("too many links")
        await link.send(Clock(1.0))
        await link.receive(ClockAnswer)
        await asyncio.gather(*(socket.close() for socket in sockets))
    async with receiver.link() as link:
        assert isinstance(link.welcome, Welcome), "room again"


async def test_a_relay_that_drains_takes_no_links(relay: EdgeRelay) -> None:
    relay.core.is_draining = True
    with pytest.raises(InvalidStatus) as status:
        await open_socket(relay.port)
    assert status.value.response.status_code == 503


# What is said


async def test_clock_and_telemetry_are_answered_with_the_relays_time(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link:
        for message in (Clock(12.25), idle(sent=12.25)):
            before = time.time()
            await link.send(message)
            answer = await link.receive(ClockAnswer)
            assert answer.sent == 12.25
            assert before - 0.001 <= answer.received <= answer.replied <= time.time() + 0.001


async def test_the_newest_telemetry_is_shown_and_outlives_the_link(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link:
        await link.send(idle(1))
        await link.send(idle(2, on_air=True, level_dbfs=-18.2, state="live", faults=("disk full",)))
        await link.receive(ClockAnswer)
        await link.receive(ClockAnswer)
        assert relay.desk.stats().sounding == 1
    shown = (await device(relay, receiver))["telemetry"]
    assert isinstance(shown, dict)
    assert (shown["number"], shown["level_dbfs"], shown["state"]) == (2, -18.2, "live")
    assert shown["faults"] == ["disk full"]
    assert abs(time.time() - shown["at"]) < PATIENCE_S


async def test_changed_settings_reach_the_receiver_at_once_and_its_word_comes_back(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link, relay.client() as client:
        await link.obey()
        patching = asyncio.create_task(
            client.patch(f"/api/v1/devices/{receiver.device}", json={"volume_db": -6.5, "muted": True})
        )
        command = await link.obey()
        assert parse_settings(decode_body(command.body).args) == Settings("xa", 700, 0, -6.5, True)
        answer = (await patching).json()
        assert (answer["volume_db"], answer["muted"], answer["settings_state"]) == (-6.5, True, "applied")
        patching = asyncio.create_task(
            client.patch(f"/api/v1/devices/{receiver.device}", json={"trim_ms": 900})
        )
        await link.obey(ok=False, detail="the buffer holds 800 ms")
        answer = (await patching).json()
        assert (answer["settings_state"], answer["settings_detail"]) == ("refused", "the buffer holds 800 ms")
    assert relay.desk.stats().results == {"ok": 2, "refused": 1}


async def test_a_change_while_the_receiver_is_away_waits_for_it(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with relay.client() as client:
        answer = (await client.patch(f"/api/v1/devices/{receiver.device}", json={"trim_ms": 40})).json()
        assert answer["settings_state"] == "pending"
    async with receiver.link() as link:
        command = await link.receive(Command)
        assert parse_settings(decode_body(command.body).args).trim_ms == 40


async def test_a_new_channel_brings_its_token_first_and_then_what_is_on_air(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    relay.on_air.add("huyen")
    async with receiver.link() as link, relay.client() as client:
        await link.obey()
        patching = asyncio.create_task(
            client.patch(f"/api/v1/devices/{receiver.device}", json={"channel": "huyen"})
        )
        kinds = []
        while len(kinds) < 3:
            async with asyncio.timeout(PATIENCE_S):
                message = decode(str(await link.socket.recv()))
            kinds.append(type(message))
            if isinstance(message, Token):
                assert relay.tokens.verify(message.token).allows("listen", "huyen")
            if isinstance(message, Command):
                await link.send(Result(decode_body(message.body).nonce, True))
            if isinstance(message, OnAir):
                assert message == OnAir("huyen", True)
        assert kinds == [Token, Command, OnAir]
        assert (await patching).json()["channel"] == "huyen"


async def test_on_air_reaches_the_channels_receivers_within_a_tenth_of_a_second(relay: EdgeRelay) -> None:
    receiver, other = await relay.enrol("xa"), await relay.enrol("huyen")
    async with receiver.link() as link, other.link() as elsewhere:
        delays = []
        for on_air in (True, False) * 5:
            started = time.monotonic()
            (relay.on_air.add if on_air else relay.on_air.discard)("xa")
            assert await link.receive(OnAir) == OnAir("xa", on_air)
            delays.append(time.monotonic() - started)
        assert sorted(delays)[len(delays) // 2] < 0.1
        await elsewhere.send(Clock(1.0))
        await elsewhere.receive(ClockAnswer)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await elsewhere.receive(OnAir)


async def test_a_restart_is_commanded_to_those_who_are_there(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    path = f"/api/v1/devices/{receiver.device}/restart"
    async with relay.client() as client:
        assert (await client.post(path)).status_code == 409
        async with receiver.link() as link:
            await link.obey()
            assert (await client.post(path)).status_code == 202
            command = await link.obey()
            assert decode_body(command.body).verb == "restart"


# Receipts


async def test_a_receipt_is_kept_once_however_often_it_comes(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link:
        for _ in range(3):
            await link.send(RECEIPT)
            assert await link.receive(ReceiptOk) == ReceiptOk("r-1")
    async with relay.client() as client:
        answer = await client.get(f"/api/v1/devices/{receiver.device}/receipts")
    (kept,) = answer.json()["receipts"]
    assert {key: kept[key] for key in ("id", "programme", "played_ratio", "outcome")} == {
        "id": "r-1",
        "programme": "Bản tin sáng",
        "played_ratio": 0.999,
        "outcome": "played",
    }
    assert relay.desk.stats().receipts == {"stored": 1, "repeated": 2}


async def test_a_backlog_of_days_drains_on_one_link(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link:
        names = {f"r-{number}" for number in range(110)}
        for name in sorted(names):
            await link.send(dataclasses.replace(RECEIPT, id=name))
        assert {(await link.receive(ReceiptOk)).id for _ in names} == names
        assert relay.desk.stats().throttled > 0


async def test_nothing_is_acknowledged_while_the_store_is_locked_and_the_link_stays_up(
    relay: EdgeRelay, tmp_path: Path
) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link:
        await link.obey()
        other = sqlite3.connect(tmp_path / "loa.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await link.send(RECEIPT)
        await link.send(Clock(1.0))
        await link.receive(ClockAnswer)
        async with asyncio.timeout(PATIENCE_S):
            while relay.desk.stats().receipts.get("refused") != 1:
                await link.send(Clock(1.0))
                await link.receive(ClockAnswer)
        other.execute("ROLLBACK")
        other.close()
        async with asyncio.timeout(PATIENCE_S):
            while not relay.desk.stats().receipts.get("stored"):
                await link.send(RECEIPT)
                await link.send(Clock(1.0))
                await link.receive(ClockAnswer)
        assert await link.receive(ReceiptOk) == ReceiptOk("r-1")


async def test_without_a_store_receivers_are_told_to_come_later(relay: EdgeRelay, tmp_path: Path) -> None:
    receiver = await relay.enrol()
    relay.database.close()
    with pytest.raises(ConnectionClosed) as closed:
        async with receiver.link():
            pass
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
    async with relay.client() as client:
        answer = await client.get("/api/v1/devices")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "10"
        assert (await client.get("/healthz")).status_code == 200


# What hostile peers achieve


def nested(depth: int) -> str:
    return '{"type":"clock","sent":' + "[" * depth + "]" * depth + "}"


HOSTILE: list[str | bytes] = [
    "",
    "hello",
    "{}",
    nested(7_000),
    "[" * 16_000,
    '{"type":"clock","sent":NaN}',
    '{"type":"clock","sent":1e999}',
    '{"type":"clock","sent":' + "9" * 6000 + "}",
    '{"type":"receipt","id":"' + "x" * 8000 + '"}',
    encode(Welcome(10.0, 60.0, "t", 1.0, True)),
    encode(Refused("unknown", "you")),
    encode(Challenge(1, "loa-x", to_base64url(bytes(32)), 0.0)),
    os.urandom(100),
    b"",
    "x" * 16_385,
    '{"type":"clock","sent":1,"x":"\u0000"}',
]


@pytest.mark.parametrize("known", [False, True], ids=["stranger", "enrolled"])
async def test_a_hostile_frame_ends_its_own_link_and_nothing_else(
    relay: EdgeRelay, known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    receiver, bystander = await relay.enrol(), await relay.enrol()
    async with bystander.link() as quiet:
        for frame in HOSTILE:
            code = await (end_of_link(receiver, frame) if known else end_of_stranger(relay, frame))
            assert code == (1009 if len(frame) > 16_384 else 4400), frame[:40]
            await quiet.send(Clock(1.0))
            await quiet.receive(ClockAnswer)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def end_of_link(receiver: Receiver, frame: str | bytes) -> int:
    async with receiver.link() as link:
        await link.socket.send(frame)
        return (await link.closed())[0]


async def end_of_stranger(relay: EdgeRelay, frame: str | bytes) -> int | None:
    socket = await open_socket(relay.port)
    await socket.recv()
    await socket.send(frame)
    async with asyncio.timeout(PATIENCE_S):
        await socket.wait_closed()
    return socket.close_code


async def test_a_hello_where_none_is_expected_ends_the_link(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link:
        signature = sign_hello(receiver.key, relay=receiver.relay, nonce="n", device=receiver.device)
        await link.send(Hello(receiver.device, "0", 1, (), signature))
        assert (await link.closed())[0] == 4400


async def test_a_flood_ends_its_own_link_and_the_others_are_served(relay: EdgeRelay) -> None:
    receiver, bystander = await relay.enrol(), await relay.enrol()
    message = encode(Clock(1.0)).encode()
    frame = bytes((0x81, 0x80 | len(message), 0, 0, 0, 0)) + message
    async with receiver.link() as flooding, bystander.link() as quiet:
        flooding.socket.transport.write(frame * 20_000)
        delays = []
        async with asyncio.timeout(PATIENCE_S):
            while relay.desk.stats().connected > 1:
                started = time.monotonic()
                await quiet.send(Clock(1.0))
                await quiet.receive(ClockAnswer)
                delays.append(time.monotonic() - started)
        assert max(delays) < 1.0
        assert await flooding.closed() == (1006, "")


async def test_a_flood_of_pings_ends_the_connection(relay: EdgeRelay) -> None:
    socket = await open_socket(relay.port)

    async def flood() -> None:
        while True:
            await socket.ping()
            await asyncio.sleep(0)

    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(flood(), PATIENCE_S)


async def test_results_for_commands_that_were_never_given_change_nothing(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link:
        await link.send(Result("never-given", True))
        await link.send(Clock(1.0))
        await link.receive(ClockAnswer)
        assert (await device(relay, receiver))["settings_state"] == "pending"


@pytest.mark.parametrize(
    "path", ["/", "/xa", "/static/js/listen.js", "/metrics", "/api/v1/edge/enrol", "/xa/whep"]
)
async def test_no_other_address_is_a_websocket(relay: EdgeRelay, path: str) -> None:
    with pytest.raises(InvalidStatus) as status:
        await connect(f"ws://127.0.0.1:{relay.port}{path}")
    assert status.value.response.status_code == 403


async def test_the_link_is_a_websocket_only_and_not_a_channel(relay: EdgeRelay) -> None:
    async with relay.client() as client:
        assert (await client.get(PATH)).status_code == 404


# Enrolment


async def test_enrolment_is_patient_with_slips_and_not_with_guessing(relay: EdgeRelay) -> None:
    public = to_base64url(private_key(b"k" * 32).public_key().public_bytes_raw())
    async with relay.client() as client:

        async def enrol(code: str, key: str = public) -> httpx.Response:
            return await client.post("/api/v1/edge/enrol", json={"code": code, "public_key": key})

        code = (await client.post("/api/v1/devices/codes", json={"channel": "xa"})).json()["code"]
        wrong = [await enrol("ABCD-ABCD-ABCD-0000") for _ in range(11)]
        assert [answer.status_code for answer in wrong] == [403] * 10 + [429]
        assert int(wrong[-1].headers["Retry-After"]) >= 1
        assert wrong[0].headers["content-type"] == "application/problem+json"
        assert (await enrol(code, "A" * 42 + "=")).status_code == 422
        assert (await enrol(code, "A" * 20)).status_code == 422
        spelt = code.lower().replace("-", "  ").replace("0", "o").replace("1", "l")
        done = await enrol(spelt)
        assert done.status_code == 201, "the right code is taken from an address with wrong ones, too"
        assert done.json()["relay"] == relay.commander.relay
        assert done.json()["command_key"] == to_base64url(relay.commander.public_key)
        assert (await enrol(code)).json() == done.json(), "the answer may have been lost"


@pytest.mark.parametrize("name", ["\x1b]0;owned\x07", "Chợ\nrx-0  Trạm", "\u202egnorw"])
async def test_a_receiver_cannot_write_on_the_terminal_of_who_lists_it(relay: EdgeRelay, name: str) -> None:
    public = to_base64url(private_key(b"k" * 32).public_key().public_bytes_raw())
    async with relay.client() as client:
        code = (await client.post("/api/v1/devices/codes", json={"channel": "xa"})).json()["code"]
        body = {"code": code, "public_key": public, "name": name}
        answer = await client.post("/api/v1/edge/enrol", json=body)
        assert answer.status_code == 422
        assert "printable" in answer.json()["detail"]
        assert (await client.post("/api/v1/edge/enrol", json=body | {"name": " Chợ "})).status_code == 201
        assert [each.name for each in await relay.desk.devices()] == ["Chợ"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"code": 1}', b"\xff", b"[" * 9000, b'{"code":"' + b"x" * 20_000]
)
async def test_hostile_enrolments_are_refused(relay: EdgeRelay, body: bytes) -> None:
    async with relay.client() as client:
        answer = await client.post(
            "/api/v1/edge/enrol", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {400, 413, 422}
        assert answer.headers["content-type"] == "application/problem+json"
