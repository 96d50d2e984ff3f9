"""Listeners ask the time by extended reports: answered with all four times, not too often, and nobody else is."""

from __future__ import annotations

import random

import pytest

from loacodecs import rtcp, rtp, sdp
from loacodecs.rtcp_xr import Delay, ExtendedReport, short
from tests.support.world import UNIX, Client, World

ASKING = sdp.Delivery(clock=True)
REFERENCE = 0x0001_2345_6789_ABCD


def ask(client: Client, reference: int = REFERENCE, *, ssrc: int = 1) -> None:
    client.tell(rtcp.ReceiverReport(ssrc), ExtendedReport(ssrc, reference))


def answers(client: Client) -> list[tuple[rtcp.SenderReport, Delay]]:
    """Each answer with the sender report before it, as they stand in one datagram."""
    found = []
    for before, packet in zip(client.reports, client.reports[1:], strict=False):
        if isinstance(packet, ExtendedReport):
            assert isinstance(before, rtcp.SenderReport)
            assert packet.ssrc == before.ssrc == client.heard[0].ssrc
            found.append((before, *packet.delays))
    return found


def talk(world: World, voice: Client, packets: int, first: int = 0) -> None:
    for number in range(first, first + packets):
        voice.say(number)
        world.advance(0.02)


async def test_an_answer_names_the_question_its_arrival_and_the_time() -> None:
    with World() as world:
        voice, listener = await world.publisher(), await world.listener(wishes=ASKING)
        assert listener.answer is not None
        assert listener.answer.delivery.clock
        talk(world, voice, 20)
        ask(listener)
        world.settle()
        ((report, delay),) = answers(listener)
        assert (delay.ssrc, delay.last) == (1, short(REFERENCE))
        assert rtp.unix_from_ntp(report.ntp) == pytest.approx(UNIX + world.now, abs=1e-3)
        assert delay.delay <= 0.001 * 65536
        # It is a report like the others: of the same instant on the clock of the sound.
        captured = UNIX + world.now - 0.02
        assert rtp.unix_from_ntp(report.ntp) - captured == pytest.approx(
            rtp.timestamp_delta(report.rtp_timestamp, listener.heard[-1].timestamp) / 48_000, abs=0.025
        )


async def test_what_waits_at_the_relay_is_no_time_on_the_way() -> None:
    with World() as world:
        voice, listener = await world.publisher(), await world.listener(wishes=ASKING)
        talk(world, voice, 20)
        datagrams: list[bytes] = []
        listener.peer.send_rtcp(rtcp.serialize([ExtendedReport(1, REFERENCE)]))
        while (output := listener.peer.poll()) is not None:
            datagrams.append(output.data)  # type: ignore[union-attr]
        (datagram,) = datagrams
        source = world.port.pack(listener.socket.getsockname())
        world.hub.on_datagram(world.port, datagram, source, world.now, UNIX + world.now)
        world.now += 0.125
        assert world.hub.work(world.now)
        world.settle()
        ((report, delay),) = answers(listener)
        assert delay.delay == 0.125 * 65536
        assert rtp.unix_from_ntp(report.ntp) == pytest.approx(UNIX + world.now, abs=1e-6)


async def test_answers_have_a_limit_and_their_own_for_each() -> None:
    with World() as world:
        voice = await world.publisher()
        greedy, modest = [await world.listener(wishes=ASKING) for _ in range(2)]
        talk(world, voice, 20)
        for number in range(200):
            ask(greedy, number)
            talk(world, voice, 1, first=20 + number)
        ask(modest)
        world.settle()
        assert 20 <= len(answers(greedy)) <= 26
        assert len(answers(modest)) == 1
        assert world.core.stats().refused["clock_question"] == 200 - len(answers(greedy))


async def test_all_together_have_a_limit_and_come_to_their_turn_later() -> None:
    with World() as world:
        voice = await world.publisher()
        crowd = [await world.listener(wishes=ASKING) for _ in range(130)]
        talk(world, voice, 20)
        for _ in range(5):
            for client in crowd:
                ask(client)
        world.settle()
        assert sum(len(answers(client)) for client in crowd) == 500
        talk(world, voice, 50, first=20)
        for client in crowd:
            client.reports.clear()
            ask(client)
        world.settle()
        assert all(len(answers(client)) == 1 for client in crowd)


async def test_who_has_not_agreed_is_not_answered() -> None:
    with World() as world:
        voice, listener = await world.publisher(), await world.listener()
        assert listener.answer is not None
        assert not listener.answer.delivery.clock
        talk(world, voice, 20)
        ask(listener)
        ask(voice)
        world.settle()
        assert not [
            packet for packet in listener.reports + voice.reports if isinstance(packet, ExtendedReport)
        ]
        assert world.core.stats().refused["clock_question"] == 1


async def test_before_any_sound_there_is_no_answer() -> None:
    with World() as world:
        listener = await world.listener(wishes=ASKING)
        ask(listener)
        world.settle()
        assert listener.reports == []


async def test_hostile_blocks_are_counted_and_nothing_else_suffers() -> None:
    rng = random.Random(3611)
    with World() as world:
        voice, listener = await world.publisher(), await world.listener(wishes=ASKING)
        talk(world, voice, 20)
        for number in range(1_000):
            block = bytearray(rng.randbytes(4 * rng.randrange(1, 40)))
            block[0] = rng.choice((4, 5, rng.randrange(256)))
            block[1:4] = bytes((0, 0, rng.choice((0, 1, 2, 3, len(block) // 4 - 1, rng.randrange(256)))))
            body = (4242).to_bytes(4, "big") + block
            listener.peer.send_rtcp(bytes((0x80, 207)) + (len(body) // 4).to_bytes(2, "big") + body)
            if number % 50 == 0:
                talk(world, voice, 1, first=20 + number // 50)
            world.advance(0.02, step=0.02)
        refused = world.core.stats().refused
        assert refused["malformed"] > 100
        assert refused["extended_report"] > 100
        assert len(listener.heard) == 40
        talk(world, voice, 60, first=40)
        before = len(answers(listener))
        ask(listener)
        world.settle()
        assert len(answers(listener)) == before + 1


async def test_a_lone_listener_has_a_report_in_five_seconds_as_all_have() -> None:
    with World() as world:
        voice = await world.publisher()
        clients = [await world.listener() for _ in range(3)]
        talk(world, voice, 100)
        for client in clients:
            client.reports.clear()
        talk(world, voice, 1_000, first=100)
        for client in clients:
            reports = [packet for packet in client.reports if isinstance(packet, rtcp.SenderReport)]
            assert len(reports) == 4
