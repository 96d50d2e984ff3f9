"""Renditions through the relay: what each listener hears, asks again for and pays, under a hand-driven clock."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.wire import Rendition as Weight
from loacodecs import red, rtcp, rtp, sdp
from loacodecs.opus_packet import packet_samples, split_frames
from relay.channels.renditions import REPEATED_MAX
from relay.config import Config
from tests.support.world import Client, World

HEAD = 1 << 3  # SILK, 20 ms
FRAME = 960
PLAIN = sdp.Delivery()
BROWSER = sdp.Delivery(redundancy=1)
LONG, MIDDLE = sdp.Delivery(ptime_ms=60), sdp.Delivery(ptime_ms=40)
RED_1, RED_2 = (sdp.Delivery(redundancy=n, red_first=True) for n in (1, 2))
LONG_RED = sdp.Delivery(ptime_ms=60, redundancy=1, red_first=True)
ADAPTIVE = sdp.Delivery(redundancy=2, adaptive=True)
EVERY = (PLAIN, BROWSER, LONG, MIDDLE, RED_1, RED_2, LONG_RED)
OFFERS = Path(__file__).parents[2] / "codecs" / "offers"


def frame(number: int) -> bytes:
    """24 kbit/s: 60 octets in 20 ms."""
    return bytes((HEAD,)) + number.to_bytes(4) + bytes(55)


def talk(world: World, voice: Client, numbers: range) -> None:
    for n in numbers:
        voice.say(n, frame(n))
        world.advance(0.02)


def blocks(client: Client) -> list[tuple[int, bytes]]:
    """Opus packets a client was sent, redundant ones too, with their RTP times."""
    assert client.answer is not None
    found = []
    for packet in client.heard:
        if packet.payload_type == client.answer.opus_payload_type:
            found.append((packet.timestamp, packet.payload))
            continue
        assert packet.payload_type == client.answer.red_payload_type
        for block in red.parse(packet.payload):
            assert block.payload_type == client.answer.opus_payload_type
            found.append(((packet.timestamp - block.timestamp_offset) & 0xFFFF_FFFF, block.data))
    return found


def numbers_heard(client: Client, start: int) -> set[int]:
    """Which frames were heard, all at their times: those of the first one and after."""
    origin = min((n, at) for at, payload in blocks(client) for n in [_number(split_frames(payload)[0])])
    heard = set()
    for at, payload in blocks(client):
        parts = split_frames(payload)
        assert packet_samples(payload) == FRAME * len(parts)
        for index, part in enumerate(parts):
            number = _number(part)
            offset = rtp.timestamp_delta(at, origin[1]) + index * FRAME
            assert offset == (number - origin[0]) * FRAME, "every frame in its time"
            heard.add(number)
    return {number for number in heard if number >= start}


def _number(part: bytes) -> int:
    return int.from_bytes(part[:4])


def gaps(client: Client) -> tuple[int, ...]:
    """Sequence numbers missing between the first and the last."""
    numbers = {packet.sequence for packet in client.heard}
    return tuple(sorted(set(range(min(numbers), max(numbers) + 1)) - numbers))


def _with_other_payload_types(offer: str, opus: int = 96, repeated: int = 98) -> str:
    """Only where payload types stand: certificates' fingerprints and passwords hold the same digits now and then."""
    where = ("m=audio ", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")
    renumbered = {"111": str(opus), "63": str(repeated)}
    return "\r\n".join(
        re.sub(r"\b(111|63)\b", lambda found: renumbered[found[0]], line) if line.startswith(where) else line
        for line in offer.split("\r\n")
    )


def report(client: Client, fraction_lost: int, **fields: int) -> rtcp.ReceiverReport:
    assert client.answer is not None
    assert client.answer.ssrc is not None
    values = {"packets_lost": 0, "highest_sequence": 0, "jitter": 0, "lsr": 0, "dlsr": 0} | fields
    return rtcp.ReceiverReport(7, (rtcp.ReceptionReport(client.answer.ssrc, fraction_lost, **values),))


def nack(client: Client, *sequences: int) -> rtcp.Nack:
    assert client.answer is not None
    assert client.answer.ssrc is not None
    return rtcp.Nack(7, client.answer.ssrc, sequences)


async def test_everybody_hears_what_was_asked_for() -> None:
    with World() as world:
        voice = await world.publisher()
        clients = {wishes: await world.listener(wishes=wishes) for wishes in EVERY}
        talk(world, voice, range(31))
        for wishes, client in clients.items():
            assert client.answer is not None
            agreed = PLAIN if wishes is BROWSER else wishes
            assert client.answer.delivery == agreed
            assert {p.payload_type for p in client.heard} == {63 if agreed.red_first else 111}
            length = 3 if agreed.ptime_ms == 60 else 2 if agreed.ptime_ms == 40 else 1
            assert len(client.heard) == 31 // length
            assert numbers_heard(client, 0) == set(range(31 // length * length))
            assert gaps(client) == ()
            assert len(blocks(client)) == sum(
                min(n, agreed.redundancy if agreed.red_first else 0) + 1 for n in range(len(client.heard))
            )
        world.advance(0.2)
        assert numbers_heard(clients[LONG], 0) == set(range(31)), (
            "the last frame, when its source has stopped"
        )


async def test_strangers_that_number_opus_in_every_way_cost_no_more_than_some() -> None:
    with World() as world:
        voice = await world.publisher()
        clients = [
            await world.listener(
                wishes=RED_1, edit=partial(_with_other_payload_types, opus=96 + n, repeated=63)
            )
            for n in range(REPEATED_MAX + 4)
        ]
        adaptive = await world.listener(wishes=ADAPTIVE)
        talk(world, voice, range(20))
        adaptive.tell(report(adaptive, 128))
        talk(world, voice, range(20, 200))
        assert len(list(world.hub.channels["xa"].renditions)) == 1 + REPEATED_MAX
        for client in [*clients, adaptive]:
            assert numbers_heard(client, 0) == set(range(200))
        assert all({p.payload_type for p in client.heard} == {63} for client in clients[:REPEATED_MAX])
        assert {p.payload_type for p in clients[-1].heard} == {96 + REPEATED_MAX + 3}
        await world.core.close("xa", "listen", clients[0].created.id)
        talk(world, voice, range(200, 300))
        assert {p.payload_type for p in adaptive.heard[-10:]} == {63}, "there is a place again"


async def test_a_browser_that_can_take_red_is_sent_plain_opus() -> None:
    text = "\r\n".join((OFFERS / "chromium_listen.sdp").read_text().splitlines()) + "\r\n"
    with World() as world:
        created = await world.core.listen("xa", text, subject="test", local_address="127.0.0.1")
        answer = sdp.parse_answer(created.answer)
        assert answer.delivery == PLAIN
        assert answer.red_payload_type is None


@pytest.mark.parametrize(("wishes", "packets"), [(PLAIN, 30), (LONG, 10)])
async def test_who_plays_later_than_it_hears_is_sent_what_was_just_before(
    wishes: sdp.Delivery, packets: int
) -> None:
    with World() as world:
        voice = await world.publisher()
        talk(world, voice, range(100))
        client = await world.listener(wishes=replace(wishes, recent_ms=600))
        other = await world.listener(wishes=wishes)
        assert client.answer is not None
        assert client.answer.delivery.recent_ms == 600
        assert len(client.heard) == packets
        assert not other.heard
        talk(world, voice, range(100, 112))
        sequences = [packet.sequence for packet in client.heard]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
        frames = numbers_heard(client, 0)
        assert frames == set(range(min(frames), max(frames) + 1))
        assert max(frames) >= 108
        assert min(frames) <= 70
        again = sequences[2]
        client.tell(nack(client, again))
        world.advance(0.1)
        one, other_time = (d for d in client.sealed if int.from_bytes(d[2:4]) == again)
        assert one == other_time


async def test_what_was_said_long_ago_is_not_sent_to_who_comes() -> None:
    with World() as world:
        voice = await world.publisher()
        talk(world, voice, range(100))
        world.advance(5.0, step=0.5)
        client = await world.listener(wishes=sdp.Delivery(ptime_ms=60, recent_ms=600))
        world.advance(1.0)
        assert not client.heard


async def test_other_payload_types_have_red_of_their_own() -> None:
    with World() as world:
        voice = await world.publisher()
        ours = await world.listener(wishes=RED_1)
        other = await world.listener(
            wishes=RED_1,
            edit=_with_other_payload_types,
        )
        talk(world, voice, range(6))
        assert {p.payload_type for p in other.heard} == {98}
        assert numbers_heard(other, 0) == numbers_heard(ours, 0) == set(range(6))


async def test_the_configuration_says_what_may_be_asked_for() -> None:
    config = Config.model_validate(
        {"channels": {"named": {"xa": {"renditions": ["red-1"]}, "tinh": {"renditions": []}}}}
    )
    with World(config) as world:
        voice = await world.publisher()
        some = await world.listener(wishes=sdp.Delivery(60, 2, red_first=True, adaptive=True))
        none = await world.listener("tinh", wishes=sdp.Delivery(60, 2, red_first=True, adaptive=True))
        assert some.answer is not None
        assert none.answer is not None
        assert some.answer.delivery == sdp.Delivery(0, 1, red_first=True, adaptive=True)
        assert none.answer.delivery == PLAIN
        talk(world, voice, range(3))
        assert len(blocks(some)) == 5


@pytest.mark.parametrize(
    ("wishes", "text", "limit_kbps"),
    [
        (PLAIN, "24k/20ms", 47),
        (LONG, "24k/60ms", 36),
        (RED_1, "24k/20ms/red", 73),
        (RED_2, "24k/20ms/red2", 99),
    ],
)
async def test_what_a_rendition_weighs_on_the_wire(
    wishes: sdp.Delivery, text: str, limit_kbps: float
) -> None:
    with World() as world:
        voice = await world.publisher()
        client = await world.listener(wishes=wishes)
        talk(world, voice, range(60))
        before = len(client.sealed)
        talk(world, voice, range(60, 360))
        kbps = sum(len(datagram) + 28 for datagram in client.sealed[before:]) * 8 / 6 / 1000
        assert kbps <= limit_kbps
        assert kbps == pytest.approx(Weight.parse(text).media_bytes_per_s(4) * 8 / 1000, rel=0.01)


async def test_every_rendition_mends_its_losses_from_its_own_history() -> None:
    generator = random.Random(5)
    with World() as world:
        voice = await world.publisher()
        clients = [await world.listener(wishes=wishes) for wishes in EVERY * 2]
        asked = {id(client): set[int]() for client in clients}
        for n in range(120):
            for client in clients:
                client.lost = lambda datagram: generator.random() < 0.2
            talk(world, voice, range(n, n + 1))
            for client in clients:
                client.lost = lambda datagram: False
                missing = [s for s in gaps(client) if s not in asked[id(client)]] if client.heard else []
                if missing:
                    asked[id(client)].update(missing)
                    client.tell(nack(client, *missing))
            world.settle()
        talk(world, voice, range(120, 126))
        for client in clients:
            lost_last = gaps(client)
            if lost_last:
                client.tell(nack(client, *lost_last))
                asked[id(client)].update(lost_last)
        world.settle()
        for client in clients:
            assert len(asked[id(client)]) >= 4
            first = min(numbers_heard(client, 0))
            assert len(numbers_heard(client, 0)) == 126 - first
            assert gaps(client) == ()
        stats = world.core.stats().channels["xa"]
        assert stats.retransmitted == sum(map(len, asked.values()))
        assert stats.nacks_refused == 0


async def test_what_the_relay_itself_lost_comes_late_to_every_rendition() -> None:
    with World() as world:
        voice = await world.publisher()
        clients = [await world.listener(wishes=wishes) for wishes in EVERY]
        talk(world, voice, range(6))
        for n in (7, 8, 9, 6, 10, 11, 12):
            talk(world, voice, range(n, n + 1))
        world.advance(0.2)
        for client in clients:
            assert numbers_heard(client, 0) == set(range(13))


async def test_capture_time_and_sender_reports_name_the_first_sample() -> None:
    with World() as world:
        voice = await world.publisher()
        clients = [await world.listener(wishes=wishes) for wishes in (PLAIN, LONG, RED_1)]
        talk(world, voice, range(520))
        said = []
        for client in clients:
            assert client.answer is not None
            number = client.answer.extensions[rtp.ABS_CAPTURE_TIME_URI]
            stamps = [
                (rtp.unix_from_ntp(ntp), packet.timestamp)
                for packet in client.heard
                if (value := packet.extension_value(number)) and (ntp := rtp.capture_time(value))
            ]
            assert len(stamps) >= 5
            reports = [
                (rtp.unix_from_ntp(r.ntp), r.rtp_timestamp)
                for r in client.reports
                if isinstance(r, rtcp.SenderReport)
            ]
            assert len(reports) >= 2
            origin = client.heard[0].timestamp
            ties = {
                round(at - rtp.timestamp_delta(stamp, origin) / 48_000, 3) for at, stamp in stamps + reports
            }
            assert max(ties) - min(ties) <= 0.002
            said.append(min(ties))
        assert max(said) - min(said) <= 0.002, "the first sample of each was captured at the same time"


async def test_redundancy_comes_and_goes_with_the_reports() -> None:
    with World() as world:
        voice = await world.publisher()
        client = await world.listener(wishes=ADAPTIVE)
        other = await world.listener()
        assert client.answer is not None
        assert client.answer.delivery == ADAPTIVE
        talk(world, voice, range(50))
        assert {p.payload_type for p in client.heard} == {111}
        client.tell(report(client, 80))
        talk(world, voice, range(50, 250))
        assert client.heard[-1].payload_type == 63
        assert len(red.parse(client.heard[-1].payload)) == 3
        client.tell(report(client, 0))
        talk(world, voice, range(250, 5_500))
        assert [p.payload_type for p in client.heard[-50:]] == [111] * 50
        for each in (client, other):
            assert numbers_heard(each, 0) == set(range(5_500))
            assert [p.sequence for p in each.heard] == [
                (each.heard[0].sequence + n) & 0xFFFF for n in range(5_500)
            ]
        stats = world.core.stats().channels["xa"]
        assert stats.renditions["red-2"].packets_out > 1_000
        assert stats.packets_out == 11_000
        assert not world.hub.channels["xa"].group.prompt, "all goes the compiled way again"


async def test_what_was_sent_before_a_move_is_sent_again_as_it_was() -> None:
    """Others hear RED and plain all the time, so both histories have every packet."""
    with World() as world:
        voice = await world.publisher()
        client = await world.listener(wishes=ADAPTIVE)
        for wishes in (RED_1, RED_2, PLAIN):
            await world.listener(wishes=wishes)
        sequence = 0
        for loss, types in ((255, [111, 63]), (0, [63, 111])):
            client.heard.clear()
            client.sealed.clear()
            client.tell(report(client, loss))
            while not client.heard or [client.heard[0].payload_type, client.heard[-1].payload_type] != types:
                talk(world, voice, range(sequence, sequence + 1))
                sequence += 1
                if loss == 0 and client.heard[-1].payload_type == 63:
                    assert len(client.heard) < 6_000
                    del client.heard[:-60]
            newest = client.heard[-1].sequence
            last = range(newest - 3, newest + 1)
            sent = {int.from_bytes(one[2:4]): one for one in client.sealed}
            client.sealed.clear()
            client.tell(nack(client, *last))
            world.settle()
            assert sorted(client.sealed) == sorted(sent[number & 0xFFFF] for number in last)
            talk(world, voice, range(sequence, sequence + 50))
            sequence += 50


async def test_requests_that_cross_their_answer_are_answered_once() -> None:
    with World() as world:
        voice = await world.publisher()
        client = await world.listener()
        talk(world, voice, range(20))
        wanted = client.heard[3].sequence
        sent = int(rtp.ntp_from_unix(1_700_000_000.0 + world.now - 0.3))
        for _ in range(5):
            client.tell(report(client, 0, lsr=sent >> 16 & 0xFFFF_FFFF), nack(client, wanted))
            world.advance(0.04)
        assert world.core.stats().channels["xa"].retransmitted == 1
        world.advance(0.3)
        client.tell(nack(client, wanted))
        world.settle()
        assert world.core.stats().channels["xa"].retransmitted == 2


async def test_renditions_end_with_their_listeners() -> None:
    with World() as world:
        voice = await world.publisher()
        clients = [await world.listener(wishes=wishes) for wishes in EVERY]
        channel = world.hub.channels["xa"]
        talk(world, voice, range(9))
        stats = world.core.stats().channels["xa"]
        assert {name: r.listeners for name, r in stats.renditions.items()} == {
            "plain": 2, "60ms": 1, "40ms": 1, "red-1": 1, "red-2": 1, "60ms-red-1": 1,
        }  # fmt: skip
        assert stats.listeners == 7
        assert {state.name: state.listeners for state in world.core.channels()}["xa"] == 7
        assert channel.group.prompt
        for client in clients[1:]:
            await world.core.close("xa", "listen", client.created.id)
        assert not channel.group.prompt
        assert channel.taps == []
        talk(world, voice, range(9, 12))
        after = world.core.stats().channels["xa"]
        assert {name: r.listeners for name, r in after.renditions.items() if r.listeners} == {"plain": 1}
        assert after.renditions["60ms"].packets_out == stats.renditions["60ms"].packets_out == 3


@pytest.mark.parametrize(("idle_s", "alive_s", "dead_s"), [(0, 25, 33), (50, 120, 129), (300, 745, 755)])
async def test_an_idle_listener_may_be_silent_as_long_as_it_said(
    idle_s: int, alive_s: int, dead_s: int
) -> None:
    with World() as world:
        client = await world.listener(wishes=sdp.Delivery(idle_s=idle_s))
        assert client.answer is not None
        assert client.answer.delivery.idle_s == idle_s
        world.clients.remove(client)
        world.advance(alive_s, step=0.5)
        assert world.hub.listeners
        world.advance(dead_s - alive_s, step=0.5)
        assert not world.hub.listeners
        assert world.hub.leaves == {"consent_lost": 1}
        client.socket.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["talk"] * 4 + ["lose", "late", "bad", "good", "nack", "nack", "join", "leave", "pause"]
        ),
        st.integers(1, 60),
    ),
    min_size=10,
    max_size=60,
)


@given(STEPS, st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_under_one_index_there_is_one_ciphertext_whatever_happens(
    steps: list[tuple[str, int]], long: bool, generator: random.Random
) -> None:
    """The SRTP index of a row is its extended sequence; none of these runs is long enough to wrap it."""
    wishes = sdp.Delivery(60 if long else 0, 2, adaptive=True)
    with World() as world:
        voice = await world.publisher()
        client = await world.listener(wishes=wishes)
        for redundancy in range(3):  # so that histories of what the client does not hear are full, too
            await world.listener(
                wishes=replace(wishes, redundancy=redundancy, red_first=True, adaptive=False)
            )
        others: list[Client] = []
        sequence, late = 0, list[int]()
        for action, value in steps:
            if action == "lose":
                late += range(sequence, sequence + value % 4)
                sequence += value % 4
            elif action == "late" and late:
                voice.say(lost := late.pop(generator.randrange(len(late))), frame(lost))
            elif action in ("worse", "better"):
                client.tell(report(client, 200 if action == "worse" else 0))
                for _ in range(2 if action == "worse" else value):  # on air, but slowly: time to be moved
                    voice.say(sequence, frame(sequence))
                    sequence += 1
                    world.advance(0.9, step=0.9)
            elif action == "nack" and client.heard:
                newest = client.heard[-1].sequence
                client.tell(nack(client, *(newest - generator.randrange(40) for _ in range(value % 8 + 1))))
            elif action == "join":
                others.append(await world.listener(wishes=generator.choice(EVERY)))
            elif action == "leave" and others:
                await world.core.close("xa", "listen", others.pop().created.id)
            talk(world, voice, range(sequence, sequence + value % 7))
            sequence += value % 7
        ciphertexts: dict[int, set[bytes]] = {}
        for datagram in client.sealed:
            ciphertexts.setdefault(int.from_bytes(datagram[2:4]), set()).add(datagram)
        assert all(len(found) == 1 for found in ciphertexts.values())
