"""What live programmes are declared to be: told to whom it concerns, ended in time, never by mistake. Hand clock."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from loacodecs.control import Command, LiveClass, Message, OnAir, Token, decode_body, parse_class
from loacodecs.signing import CommandGuard, SeenNonces
from relay.device_ports import Declaration
from relay.devices.classes import END_S, ChannelClasses
from relay.store.database import Database
from tests.support.device_world import NOW, Pipe, World, connect
from tests.support.interleaving import at_every_turn

NIGHT = NOW


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def stated(message: Message) -> LiveClass:
    assert isinstance(message, Command)
    body = decode_body(message.body)
    assert body.verb == "class"
    return parse_class(body.args)


async def told(pipe: Pipe) -> LiveClass:
    """What the receiver is told of the class, next."""
    while isinstance(message := await pipe.hear(), OnAir | Token):
        pass
    return stated(message)


async def declare(world: World, channel: str = "xa", kind: str = "emergency", ttl: float = 900) -> None:
    await world.service.declare(channel, kind, ttl=ttl, subject="tỉnh")  # type: ignore[arg-type]


async def pass_time(world: World, seconds: float) -> None:
    """In steps of five seconds, each with a look at the channels."""
    for _ in range(round(seconds / 5)):
        world.now += 5
        await world.service.look_at_channels()


async def test_an_emergency_is_told_to_the_receivers_of_its_channel_by_a_signed_command(world: World) -> None:
    device, pipe, _ = await connect(world, "xa", "class")
    _, other, _ = await connect(world, "huyen", "class")
    _, old, _ = await connect(world, "xa")
    answer = await world.service.declare("xa", "emergency", ttl=900, subject="tỉnh")
    assert (answer.receivers, answer.deaf) == (2, 1)
    command = await pipe.hear()
    assert stated(command) == LiveClass("xa", "emergency", NOW + 900)
    assert isinstance(command, Command)
    guard = CommandGuard(device, world.public_key, SeenNonces())
    assert guard.check(command, NOW).body is not None
    assert guard.check(command, NOW).refusal == "replayed"
    assert CommandGuard(device, world.public_key, SeenNonces()).check(command, NOW + 61).refusal == "expired"
    assert other.heard() == old.heard() == []


async def test_who_comes_in_the_middle_is_told_and_who_comes_otherwise_costs_nothing(world: World) -> None:
    _, before, _ = await connect(world, "xa", "class")
    assert before.heard() == []
    await declare(world)
    await told(before)
    _, late, _ = await connect(world, "xa", "class")
    assert await told(late) == LiveClass("xa", "emergency", NOW + 900)
    device, moved, _ = await connect(world, "huyen", "class")
    await world.service.change(device, name=None, settings={"channel": "xa"})
    assert isinstance(await moved.hear(), Token)
    await moved.hear()  # settings
    assert await told(moved) == LiveClass("xa", "emergency", NOW + 900)


@pytest.mark.parametrize("heard", [True, False])
async def test_it_ends_with_its_time_whether_or_not_anything_was_heard(world: World, heard: bool) -> None:
    _, pipe, _ = await connect(world, "xa", "class")
    if heard:
        world.on_air.add("xa")
    await declare(world, ttl=60)
    await told(pipe)
    await pass_time(world, 55)
    assert world.service.declared("xa") is not None
    await pass_time(world, 5)
    assert world.service.declared("xa") is None
    assert await told(pipe) == LiveClass("xa", "normal", 0.0)


async def test_it_ends_with_its_programme_and_not_in_a_pause_of_it(world: World) -> None:
    _, pipe, _ = await connect(world, "xa", "class")
    await declare(world)
    await told(pipe)
    await pass_time(world, 60)
    assert world.service.declared("xa") is not None, "declared ahead, it waits for its programme"
    for pause in (END_S - 5, END_S - 5):
        world.on_air.add("xa")
        await pass_time(world, 30)
        world.on_air.discard("xa")
        await pass_time(world, pause)
        assert world.service.declared("xa") is not None
    await pass_time(world, 10)
    assert world.service.declared("xa") is None
    assert await told(pipe) == LiveClass("xa", "normal", 0.0)
    world.on_air.add("xa")
    await pass_time(world, 5)
    assert world.service.declared("xa") is None, "the next programme is another one"


async def test_the_silence_before_it_was_declared_again_does_not_end_it(world: World) -> None:
    _, pipe, _ = await connect(world, "xa", "class")
    await declare(world)
    await told(pipe)
    world.on_air.add("xa")
    await pass_time(world, 30)
    world.on_air.discard("xa")
    await pass_time(world, END_S - 5)
    await declare(world)
    await pass_time(world, 60)
    declared = world.service.declared("xa")
    assert declared is not None, "it waits for the programme that it was declared for"
    assert (await told(pipe)).until == declared.until
    world.on_air.add("xa")
    await pass_time(world, 30)
    world.on_air.discard("xa")
    await pass_time(world, END_S + 5)
    assert world.service.declared("xa") is None


async def test_it_is_withdrawn_and_can_be_declared_for_longer(world: World) -> None:
    _, pipe, _ = await connect(world, "xa", "class")
    await declare(world, ttl=60)
    world.now += 50
    await declare(world, ttl=60)
    await told(pipe)
    assert (await told(pipe)).until == NOW + 110
    await pass_time(world, 30)
    assert world.service.stats().emergencies == {"xa"}
    await declare(world, kind="normal")
    assert (await told(pipe)).kind == "normal"
    assert world.service.stats().emergencies == frozenset()


async def test_a_restart_of_the_relay_ends_no_emergency_and_brings_none_back(world: World) -> None:
    await declare(world)
    await declare(world, "huyen", ttl=60)
    world.now += 61
    world.service = world.start()
    await world.service.begin()
    known = world.service.declared("xa")
    assert known is not None
    assert (known.until, known.declared_by) == (NOW + 900, "tỉnh")
    assert world.service.declared("huyen") is None
    await declare(world, kind="normal")
    world.service = world.start()
    await world.service.begin()
    assert world.service.declared("xa") is None


async def test_a_store_that_cannot_be_used_stands_in_the_way_of_no_emergency(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.store.database.BUSY_S", 0.01)
    _, pipe, _ = await connect(world, "xa", "class")
    other = sqlite3.connect(tmp_path / "loa.sqlite3", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    await declare(world)
    assert (await told(pipe)).kind == "emergency"
    other.execute("ROLLBACK")
    other.close()
    world.now += 1
    await world.service.keep_house()
    world.service = world.start()
    await world.service.begin()
    assert world.service.declared("xa") is not None


async def test_a_store_that_could_not_be_read_at_the_start_loses_no_emergency_to_the_next_word(
    world: World, tmp_path: Path
) -> None:
    await declare(world, "xa")
    await declare(world, "huyen")
    world.database.close()
    file, aside = tmp_path / "loa.sqlite3", tmp_path / "aside"
    file.rename(aside)
    file.mkdir()
    world.database = Database(file, clock=lambda: world.now)
    world.service = world.start()
    await world.service.begin()
    await declare(world, "huyen", kind="normal")
    file.rmdir()
    aside.rename(file)
    await declare(world, "tinh")
    for _ in range(2):
        assert world.service.stats().emergencies == {"xa", "tinh"}
        world.service = world.start()
        await world.service.begin()


async def test_what_another_relay_states_stands_beside_what_is_declared_here(world: World) -> None:
    _, pipe, _ = await connect(world, "xa", "class")
    await world.service.adopt(LiveClass("xa", "emergency", NOW + 900), "loa-tinh")
    assert await told(pipe) == LiveClass("xa", "emergency", NOW + 900)
    await declare(world, ttl=600)
    assert await told(pipe) == LiveClass("xa", "emergency", NOW + 900), "the longer one"
    await world.service.adopt(LiveClass("xa", "normal", 0.0), "loa-tinh")
    assert await told(pipe) == LiveClass("xa", "emergency", NOW + 600), "the one declared here goes on"
    await world.service.adopt(LiveClass("xa", "emergency", NOW + 900), "loa-tinh")
    await told(pipe)
    await declare(world, kind="normal")
    assert await told(pipe) == LiveClass("xa", "emergency", NOW + 900), "and so does the other's"
    await world.service.adopt(LiveClass("xa", "emergency", NOW + 900), "loa-tinh")
    assert pipe.heard() == [], "the same once more is no news"


async def test_what_another_relay_states_ends_with_its_time_and_not_with_silence(world: World) -> None:
    _, pipe, _ = await connect(world, "xa", "class")
    await world.service.adopt(LiveClass("xa", "emergency", NOW + 100), "loa-tinh")
    await told(pipe)
    world.on_air.add("xa")
    await pass_time(world, 10)
    world.on_air.clear()
    await pass_time(world, 85)
    declared = world.service.declared("xa")
    assert declared is not None
    assert declared.declared_by == "loa-tinh"
    await pass_time(world, 5)
    assert world.service.declared("xa") is None
    assert (await told(pipe)).kind == "normal"


def test_the_mixer_may_ask_while_an_emergency_is_withdrawn() -> None:
    """It asks in its own thread, within a block; what the event loop does meanwhile must not break the input."""

    def make() -> tuple[Callable[[], Declaration | None], Callable[[], None]]:
        classes = ChannelClasses()
        classes.declare(Declaration("xa", "emergency", NOW + 900, NOW, "tỉnh"))
        return lambda: classes.of("xa"), lambda: withdraw(classes)

    def withdraw(classes: ChannelClasses) -> None:
        classes.declare(Declaration("xa", "normal", 0.0, NOW, "tỉnh"))

    assert {found and found.kind for found in at_every_turn(make)} == {"emergency", None}
