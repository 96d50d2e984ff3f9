"""What goes on by itself, by hand clocks: tokens, notices, who was seen, the end of receipts; and slow readers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loacodecs.control import (
    CLOSE_TOO_MUCH,
    Challenge,
    Clock,
    ClockAnswer,
    Command,
    Hello,
    OnAir,
    Receipt,
    ReceiptOk,
    Token,
    Welcome,
    decode_body,
)
from loacodecs.signing import private_key, public_octets, sign_hello
from relay.devices import service
from relay.devices.link import OUTGOING_MAX
from relay.devices.service import TOKEN_TTL_S
from relay.errors import CodeRefused, DeviceAway
from relay.store.database import Database
from relay.tokens import TokenError
from tests.support.device_world import DAY, NOW, PATIENCE_S, Pipe, World, connect, ended


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


async def test_a_code_is_good_for_its_time(world: World) -> None:
    issued = await world.service.issue_code(name="", channel="xa", ttl=60, subject="operator")
    assert issued.expires == NOW + 60
    world.now += 60
    with pytest.raises(CodeRefused):
        await world.service.enrol(issued.code, public_key=b"k" * 32, name="")


async def test_tokens_are_renewed_before_they_expire(world: World) -> None:
    _, pipe, serving = await connect(world)
    for hours in (0.0, 0.99):
        world.now = NOW + hours * TOKEN_TTL_S / 2
        await world.service.keep_house()
        assert pipe.heard() == []
    world.now = NOW + TOKEN_TTL_S / 2 + 1
    await world.service.keep_house()
    renewed = await pipe.hear()
    assert isinstance(renewed, Token)
    assert renewed.expires == world.now + TOKEN_TTL_S
    world.now = NOW + TOKEN_TTL_S + 1
    assert world.tokens.verify(renewed.token).allows("listen", "xa")
    world.now = renewed.expires
    with pytest.raises(TokenError):
        world.tokens.verify(renewed.token)
    pipe.hang_up()
    await ended(serving)


async def test_receivers_without_a_channel_get_no_tokens_and_no_notices(world: World) -> None:
    _, pipe, serving = await connect(world, channel="")
    world.now += TOKEN_TTL_S
    world.on_air.add("")
    await world.service.keep_house()
    await world.service.look_at_channels()
    await asyncio.sleep(0)
    assert pipe.heard() == []
    pipe.hang_up()
    await ended(serving)


async def test_each_change_of_a_channel_is_told_once_to_its_receivers(world: World) -> None:
    _, first, one = await connect(world, "xa")
    _, second, two = await connect(world, "xa")
    _, other, three = await connect(world, "huyen")
    for on_air in (True, False):
        (world.on_air.add if on_air else world.on_air.discard)("xa")
        for _ in range(3):
            await world.service.look_at_channels()
        for pipe in (first, second):
            assert await pipe.hear() == OnAir("xa", on_air)
            assert pipe.heard() == []
    assert other.heard() == []
    for pipe, serving in ((first, one), (second, two), (other, three)):
        pipe.hang_up()
        await ended(serving)


async def test_notices_begin_with_the_first_receiver_however_long_nobody_was_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "UNATTENDED_POLL_S", 3600.0)
    running = asyncio.create_task(world.service.run())
    for _ in range(2):  # and again after the last one has gone
        await asyncio.sleep(0)
        _, pipe, serving = await connect(world, "xa")
        world.on_air.add("xa")
        assert await pipe.hear() == OnAir("xa", True)
        world.on_air.discard("xa")
        assert await pipe.hear() == OnAir("xa", False)
        pipe.hang_up()
        await ended(serving)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_joins_a_channel_on_air_is_not_told_twice(world: World) -> None:
    _, first, one = await connect(world)
    world.on_air.add("xa")
    await world.service.look_at_channels()
    assert await first.hear() == OnAir("xa", True)
    _, second, two = await connect(world)
    await world.service.look_at_channels()
    await asyncio.sleep(0)
    assert first.heard() == second.heard() == []
    for pipe, serving in ((first, one), (second, two)):
        pipe.hang_up()
        await ended(serving)


async def test_a_change_between_welcome_and_look_is_not_missed(world: World) -> None:
    _, _, _ = await connect(world)
    await world.service.look_at_channels()
    world.on_air.add("xa")
    _, late, _ = await connect(world)  # told that it is on air, while the others have not been
    world.on_air.discard("xa")
    await world.service.look_at_channels()
    assert await late.hear() == OnAir("xa", False)


async def test_when_a_device_was_seen_outlives_the_relay(world: World) -> None:
    device, pipe, serving = await connect(world)
    world.now += 30
    pipe.say(Clock(1.0))
    assert isinstance(await pipe.hear(), ClockAnswer)
    pipe.hang_up()
    await ended(serving)
    await world.service.keep_house()
    world.now += DAY
    view = await world.start().device(device)
    assert (view.seen, view.presence) == (NOW + 30, None)


async def test_when_a_device_was_seen_outlives_a_store_that_does_not_take_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.store.database.BUSY_S", 0.01)
    device, pipe, serving = await connect(world)
    await world.service.keep_house()
    world.now += 3600
    pipe.say(Clock(1.0))
    await pipe.hear()
    pipe.hang_up()
    await ended(serving)
    other = sqlite3.connect(tmp_path / "loa.sqlite3", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    await world.service.keep_house()
    other.execute("ROLLBACK")
    other.close()
    world.now += 60
    await world.service.keep_house()
    assert (await world.service.device(device)).seen == NOW + 3600


async def test_receipts_go_when_their_time_is_over(world: World) -> None:
    device, pipe, serving = await connect(world)
    pipe.say(Receipt("r-1", "Bản tin", "xa", NOW, NOW + 60, 1.0, 0.0, -18.0, "played"))
    assert await pipe.hear() == ReceiptOk("r-1")
    for days, kept in ((400, 1), (401, 0)):
        world.now = NOW + days * DAY
        await world.service.keep_house()
        assert len(await world.service.receipts(device, limit=10, before=None)) == kept
    pipe.hang_up()
    await ended(serving)


async def test_a_receiver_that_does_not_read_is_let_go_and_costs_no_memory(world: World) -> None:
    device, pipe, serving = await connect(world)
    pipe.reading.clear()
    for number in range(OUTGOING_MAX + 2):
        (world.on_air.add if number % 2 == 0 else world.on_air.discard)("xa")
        await world.service.look_at_channels()
    await ended(serving)
    assert pipe.closed_with == CLOSE_TOO_MUCH
    assert world.service.stats().connected == 0
    assert (await world.service.device(device)).presence is None


async def test_an_unanswered_change_is_pending_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.devices.service.APPLIED_S", 0.01)
    device, pipe, serving = await connect(world)
    view = await world.service.change(device, name="Đình", settings={"trim_ms": 5})
    assert view.name == "Đình"
    assert view.presence is not None
    assert view.presence.settings_state == "pending"
    pipe.hang_up()
    await ended(serving)


async def test_a_change_ends_its_wait_when_the_receiver_hangs_up(world: World) -> None:
    device, pipe, serving = await connect(world)
    changing = asyncio.create_task(world.service.change(device, name=None, settings={"trim_ms": 5}))
    await pipe.hear()
    pipe.hang_up()
    await ended(serving)
    async with asyncio.timeout(PATIENCE_S):
        view = await changing
    assert (view.settings.trim_ms, view.presence) == (5, None)


async def test_a_new_name_alone_is_no_command(world: World) -> None:
    device, pipe, serving = await connect(world)
    await world.service.change(device, name="Đình", settings={})
    await asyncio.sleep(0)
    assert pipe.heard() == []
    pipe.hang_up()
    await ended(serving)


class WatchedPipe(Pipe):
    """`sending` is set while something is to be sent, or has been."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.sending = asyncio.Event()

    async def send(self, text: str) -> None:
        self.sending.set()
        await super().send(text)


async def test_a_receiver_is_not_restarted_before_its_welcome(world: World) -> None:
    """It hangs up on whatever else comes first."""
    issued = await world.service.issue_code(name="", channel="xa", ttl=DAY, subject="operator")
    key = private_key(b"k" * 32)
    enrolled = await world.service.enrol(issued.code, public_key=public_octets(key), name="")
    pipe = WatchedPipe(world)
    assert world.service.reserve_link(pipe.address)
    serving = asyncio.create_task(world.service.serve_link(pipe))
    challenge = await pipe.hear()
    assert isinstance(challenge, Challenge)
    pipe.reading.clear()
    pipe.sending.clear()
    signature = sign_hello(key, relay=enrolled.relay, nonce=challenge.nonce, device=enrolled.device)
    pipe.say(Hello(enrolled.device, "0.1.0", 1, (), signature))
    async with asyncio.timeout(PATIENCE_S):
        await pipe.sending.wait()
    with pytest.raises(DeviceAway):
        await world.service.restart(enrolled.device)
    pipe.reading.set()
    assert isinstance(await pipe.hear(), Welcome)
    await pipe.hear()  # settings
    await world.service.restart(enrolled.device)
    command = await pipe.hear()
    assert isinstance(command, Command)
    assert decode_body(command.body).verb == "restart"
    pipe.hang_up()
    await ended(serving)


async def test_who_moves_to_a_channel_on_air_is_told_though_the_others_there_know(world: World) -> None:
    world.on_air.add("huyen")
    _, there, one = await connect(world, "huyen")
    device, moving, two = await connect(world, "xa")
    await world.service.look_at_channels()
    changing = asyncio.create_task(world.service.change(device, name=None, settings={"channel": "huyen"}))
    assert isinstance(await moving.hear(), Token)
    await moving.hear()  # settings
    await world.service.look_at_channels()
    assert await moving.hear() == OnAir("huyen", True)
    assert there.heard() == []
    for pipe, serving in ((there, one), (moving, two)):
        pipe.hang_up()
        await ended(serving)
    await changing


async def test_a_revoked_receiver_is_refused_at_once_and_after_a_restart_as_long_as_its_tokens_live(
    world: World,
) -> None:
    device, _, serving = await connect(world)
    subject = f"device:{device}"
    assert not world.service.is_revoked(subject)
    await world.service.revoke(device)
    await ended(serving)
    assert world.barred == [subject]
    assert world.service.is_revoked(subject)
    again = world.start()
    await again.begin()
    assert again.is_revoked(subject)
    world.now += TOKEN_TTL_S
    await again.keep_house()
    assert not again.is_revoked(subject), "nothing it was given is good any more, and memory must not grow"


async def test_a_relay_that_could_not_read_who_is_revoked_learns_it_later(
    world: World, tmp_path: Path
) -> None:
    device, _, serving = await connect(world)
    await world.service.revoke(device)
    await ended(serving)
    await world.service.keep_house()
    file, aside = tmp_path / "loa.sqlite3", tmp_path / "aside"
    world.database.close()
    file.rename(aside)
    file.mkdir()
    world.database = Database(file)
    again = world.start()
    await again.begin()
    assert not again.is_revoked(f"device:{device}")
    file.rmdir()
    aside.rename(file)
    await again.keep_house()
    assert again.is_revoked(f"device:{device}")
