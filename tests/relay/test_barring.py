"""Sessions end with the token that began them, those who publish first, and none comes that had been asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from relay.app import build_revocations
from relay.barring import AT_ONCE
from relay.errors import Revoked
from relay.store.database import Database
from relay.tokens import Grant
from tests.support.mixing import Ear, Microphone, MixWorld, packets_of, strength, tone
from tests.support.world import Client, World


def grant(name: str) -> Grant:
    return Grant("đài", frozenset({"publish", "listen"}), ("*",), 2e9, name, issued=1e9)


def payloads(client: Client) -> list[bytes]:
    return [packet.payload for packet in client.heard]


def is_leaked(granted: Grant) -> bool:
    return granted.id == "leaked"


async def test_only_sessions_of_the_token_end_and_at_once() -> None:
    with World() as world:
        voice = await world.publisher(grant=grant("voice"))
        thief = await world.listener(grant=grant("leaked"))
        other, anybody = await world.listener(grant=grant("other")), await world.listener()
        voice.say(0, b"all")
        world.advance(0.02)
        assert await world.core.barring.end(is_leaked) == 1
        world.settle()
        assert thief.closed is not None
        voice.say(1, b"rest")
        world.advance(0.02)
        assert payloads(thief) == [b"all"]
        assert payloads(other) == payloads(anybody) == [b"all", b"rest"]
        assert world.core.stats().leaves == {"revoked": 1}


async def test_a_publisher_falls_silent_within_its_next_packet_and_the_channel_is_free() -> None:
    with World() as world:
        thief = await world.publisher(grant=grant("leaked"))
        ear = await world.listener()
        thief.say(0, b"stolen")
        world.advance(0.02)
        assert await world.core.barring.end(is_leaked) == 1
        for number in range(1, 50):
            thief.say(number, b"still")
            world.advance(0.02)
        assert payloads(ear) == [b"stolen"]
        owner = await world.publisher(grant=grant("voice"))
        owner.say(0, b"mine")
        world.advance(0.02)
        assert payloads(ear) == [b"stolen", b"mine"], "and whoever listens listens on"


async def test_a_session_that_was_asked_for_before_and_is_not_there_yet_does_not_come() -> None:
    with World() as world:
        world.core.barring.is_revoked = is_leaked
        for ask in (world.publisher, world.listener):
            with pytest.raises(Revoked, match="token has been revoked"):
                await ask(grant=grant("leaked"))
        await world.listener(grant=grant("other"))
        assert world.core.stats().sessions == {"listen": 1}


async def test_a_relay_is_built_so_that_no_session_comes_by_a_revoked_token(tmp_path: Path) -> None:
    database = Database(tmp_path / "loa.sqlite3")
    with World() as world:
        revocations = build_revocations(world.core, database)
        thief = await world.listener(grant=grant("leaked"))
        done = await revocations.revoke_token("leaked", subject="", until=None, by="tỉnh")
        assert done.sessions == 1
        world.settle()
        assert thief.closed is not None
        with pytest.raises(Revoked):
            await world.listener(grant=grant("leaked"))
    await asyncio.to_thread(database.close)


async def test_a_token_that_many_share_is_ended_in_portions_and_publishers_first() -> None:
    with World() as world:
        for _ in range(AT_ONCE + 3):
            await world.listener(connect=False, grant=grant("leaked"))
        await world.publisher(connect=False, grant=grant("leaked"))
        turns: list[tuple[int, int]] = []
        call = world.reactor.call

        def counting(function):  # type: ignore[no-untyped-def]  # as the reactor's
            outcome = call(function)
            kinds = [session.kind for session in world.hub.sessions.values()]
            turns.append((kinds.count("publish"), kinds.count("listen")))
            return outcome

        world.reactor.call = counting  # type: ignore[method-assign]
        assert await world.core.barring.end(is_leaked) == AT_ONCE + 4
        assert turns == [(1, AT_ONCE + 3), (0, 4), (0, 0)]
        assert await world.core.barring.end(is_leaked) == 0


async def test_in_a_mix_the_voice_is_gone_with_the_next_tick_and_so_is_what_it_heard_of_others() -> None:
    with MixWorld() as world:
        ear = Ear(world.hub.channels["xa"])
        thief = Microphone(
            await world.publisher(subject="thief", grant=grant("leaked")), packets_of(tone(440, 400))
        )
        owner = Microphone(
            await world.publisher(subject="owner", grant=grant("voice")), packets_of(tone(1700, 400))
        )
        own_mix = await world.listener(without=thief.client.created.id)
        world.ticks(60, lambda: (thief(), owner()))
        assert strength(ear.sound(20), 440) > -25
        heard = len(own_mix.heard)
        assert heard > 50
        assert await world.core.barring.end(is_leaked) == 1
        world.ticks(40, lambda: (thief(), owner()))
        assert strength(ear.sound(37), 440) < -70
        assert strength(ear.sound(37), 1700) > -25
        assert own_mix.closed is not None
        assert len(own_mix.heard) <= heard + 1
