"""The compiled way of a packet: listeners hear what they would hear by the Python way, and the books say the same."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loacodecs import rtcp, rtp
from loacodecs.peer import Transmit
from relay.config import Config
from relay.net.fanout import Packet
from relay.net.forward import LEDGER
from tests.support.world import Client, World

CHANNELS = Config.model_validate({"channels": {"named": {name: {} for name in ("xa", "tinh", "ba")}}})


def sealed(voice: Client, packet: rtp.RtpPacket) -> bytes:
    """The datagram in which the client would send `packet`."""
    voice.peer.send_rtp(packet.to_bytes())
    while (output := voice.peer.poll()) is not None:
        assert isinstance(output, Transmit)
        if output.data[0] >= 128:
            return output.data
        voice.socket.sendto(output.data, output.addr)
    raise AssertionError("nothing was sealed")


def media(voice: Client, sequence: int, timestamp: int, payload: bytes, level: int = 30) -> rtp.RtpPacket:
    assert voice.answer is not None
    profile, extension = rtp.pack_extension(
        [(voice.answer.extensions[rtp.AUDIO_LEVEL_URI], bytes((level,)))] if level % 3 else []
    )
    return rtp.RtpPacket(
        voice.answer.opus_payload_type, level == 31, sequence & 0xFFFF, timestamp & 0xFFFF_FFFF, voice.ssrc,
        payload, profile, extension,
    )  # fmt: skip


def deliver(world: World, voice: Client, *datagrams: bytes) -> None:
    for datagram in datagrams:
        voice.socket.sendto(datagram, world.port.address)
    world.settle()


@dataclass
class Player:
    """Plays a script of steps to one world."""

    world: World
    voice: Client
    other: Client
    listener: Client
    sequence: int = 65_500
    timestamp: int = 2**32 - 20_000
    said: int = 0
    last: bytes = b""
    withheld: list[bytes] = field(default_factory=list)

    def next(self, step: int = 960) -> bytes:
        self.sequence += 1
        self.timestamp += step
        self.said += 1
        payload = b"frame %d" % self.said
        return sealed(self.voice, media(self.voice, self.sequence, self.timestamp, payload, self.said % 32))

    def play(self, kind: str, value: int) -> None:
        if kind == "say":
            for _ in range(value):
                self.hear(self.next())
        elif kind == "burst":
            self.hear(*[self.next() for _ in range(value)])
        elif kind == "swap":
            first, second = self.next(), self.next()
            self.hear(second, first)
        elif kind == "silence":
            self.hear(self.next(960 * value))
        elif kind == "lose":
            self.withheld += [self.next() for _ in range(value)]
        elif kind == "late" and self.withheld:
            self.hear(self.withheld.pop(value % len(self.withheld)))
        elif kind == "again" and self.last:
            self.hear(self.last)
        elif kind == "forge":
            good = self.next()
            bad = bytearray(good)
            bad[13 + value % (len(bad) - 13)] ^= 0x40
            self.hear(bytes(bad), good, bytes(bad))
        elif kind == "jump":
            self.sequence += 40 * value
            self.timestamp += 48_000 * value
        elif kind == "wait":
            self.world.advance(value / 8, step=0.05)
        elif kind == "other":
            self.other.say(value, b"the other %d" % value)
            self.world.settle()
        elif kind == "lose the channel":
            self.world.advance(2.5, step=0.05)
            self.play("other", value)
            self.play("say", 2)
        elif kind == "empty":
            self.sequence += 1
            self.hear(sealed(self.voice, media(self.voice, self.sequence, self.timestamp, b"")))
        elif kind == "nack" and self.listener.heard:
            wanted = self.listener.heard[-1 - value % len(self.listener.heard)].sequence
            self.listener.tell(rtcp.Nack(1, self.listener.heard[0].ssrc, (wanted,)))
            self.world.settle()

    def hear(self, *datagrams: bytes) -> None:
        self.last = datagrams[-1]
        deliver(self.world, self.voice, *datagrams)
        self.world.now += 0.02

    def heard(self) -> list[tuple[object, ...]]:
        first = self.listener.heard[0] if self.listener.heard else None
        return [
            (
                (p.sequence - first.sequence) & 0xFFFF, (p.timestamp - first.timestamp) & 0xFFFF_FFFF, p.marker,
                p.payload, p.extension,
            )
            for p in self.listener.heard if first is not None
        ]  # fmt: skip


async def player(world: World) -> Player:
    voice, listener = await world.publisher(), await world.listener()
    other = await world.publisher(replace=True)
    other.ssrc = 777
    # The first sound of the one who replaces would end the other's session: here both are to stay.
    world.hub.publishers[other.created.id].preempts = False
    while world.now < 3.0:
        world.advance(0.05, step=0.05)
    world.now = 3.1
    return Player(world, voice, other, listener)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["say"] * 6 + ["burst", "silence", "lose", "late", "again", "forge", "jump", "wait", "other", "swap",
                           "lose the channel", "empty", "nack", "nack"]
        ),
        st.integers(1, 60),
    ),
    min_size=5,
    max_size=40,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
async def test_both_ways_send_the_same_and_book_the_same(steps: list[tuple[str, int]]) -> None:
    with World() as compiled, World(compiled=False) as plain:
        players = [await player(compiled), await player(plain)]
        for each in players:
            each.play("say", 3)
            for kind, value in steps:
                each.play(kind, value)
            each.world.advance(0.3, step=0.05)
        assert players[0].heard() == players[1].heard()
        ours, theirs = (each.world.core.stats() for each in players)
        assert ours.channels == theirs.channels
        assert ours.refused == theirs.refused
        assert ours.packets_compiled > 0 == theirs.packets_compiled
        assert ours.packets_misnumbered == 0
        assert compiled.hub.channels["xa"].level_dbov == plain.hub.channels["xa"].level_dbov
        for each in players:
            assert_one_content_for_each_number(each.listener)


def assert_one_content_for_each_number(listener: Client) -> None:
    """Under AES-GCM a second content for a number would give the authentication key away (RFC 7714 §8.1)."""
    seen: dict[bytes, bytes] = {}
    for datagram in listener.sealed:
        assert seen.setdefault(datagram[2:4], datagram) == datagram


async def test_ordinary_packets_go_the_compiled_way_but_those_with_a_capture_time() -> None:
    with World() as world:
        voice, listener = await world.publisher(), await world.listener()
        for n in range(200):
            voice.say(n, b"frame %d" % n)
            world.advance(0.02)
        world.advance(0.02)
        assert [packet.payload for packet in listener.heard] == [b"frame %d" % n for n in range(200)]
        stamped = sum(bool(packet.extension) for packet in listener.heard)
        assert stamped in (7, 8)  # three of them more while the clock settles
        # The publisher's own connectivity checks make a few more go the Python way.
        assert 186 <= world.core.stats().packets_compiled <= 200 - stamped
        assert world.core.stats().channels["xa"].packets_out == 200


async def test_a_packet_that_went_the_compiled_way_comes_again_byte_for_byte() -> None:
    with World() as world:
        voice, listener = await world.publisher(), await world.listener()
        for n in range(20):
            voice.say(n, b"frame %d" % n)
            world.advance(0.02)
        before = list(listener.sealed)
        assert world.core.stats().packets_compiled >= 15
        numbers = tuple(packet.sequence for packet in listener.heard)
        listener.tell(rtcp.Nack(1, listener.heard[0].ssrc, numbers))
        world.settle()
        assert sorted(listener.sealed[len(before) :]) == sorted(before)


async def test_forged_and_replayed_packets_are_counted_and_the_next_is_heard() -> None:
    with World() as world:
        voice, listener = await world.publisher(), await world.listener()
        datagrams = [sealed(voice, media(voice, n, 960 * n, b"frame %d" % n)) for n in range(6)]
        for datagram in datagrams[:3]:
            deliver(world, voice, datagram)
        forged = bytearray(datagrams[3])
        forged[-1] ^= 1
        deliver(world, voice, bytes(forged), bytes(forged))
        compiled = world.hub.compiled
        deliver(world, voice, *datagrams[3:5])
        assert world.hub.compiled == compiled + 2  # a forgery does not cost its victim the compiled way
        deliver(world, voice, datagrams[4], datagrams[5])
        world.advance(0.2)
        assert [packet.payload for packet in listener.heard] == [b"frame %d" % n for n in range(6)]
        refused = world.core.stats().refused
        assert (refused["srtp_authentication"], refused["srtp_replay"]) == (2, 1)


async def test_many_publishers_in_one_batch_each_reach_their_own() -> None:
    with World(CHANNELS) as world:
        names = list(world.hub.channels)
        voices = [await world.publisher(name) for name in names]
        listeners = [await world.listener(name) for name in names]
        for n in range(30):
            for k in range(3):
                for voice, name in zip(voices, names, strict=True):
                    datagram = sealed(
                        voice, media(voice, 3 * n + k, 960 * (3 * n + k), b"%s %d" % (name.encode(), n))
                    )
                    voice.socket.sendto(datagram, world.port.address)
            world.advance(0.02)
        world.advance(0.02)
        for listener, name in zip(listeners, names, strict=True):
            expected = [b"%s %d" % (name.encode(), n) for n in range(30) for _ in range(3)]
            assert [packet.payload for packet in listener.heard] == expected
        assert world.core.stats().packets_compiled > 240


async def test_who_lost_the_channel_is_not_heard_although_the_next_packet_was_expected() -> None:
    quick = Config.model_validate({"media": {"media_timeout": "0.5s"}, "channels": {"named": {"xa": {}}}})
    with World(quick) as world:
        voice, listener = await world.publisher(), await world.listener()
        for n in range(3):
            voice.say(n, b"first")
            world.advance(0.02)
        world.advance(0.6)
        other = await world.publisher()
        world.advance(0.6)
        voice.say(3, b"first, back in time")
        world.settle()
        other.say(0, b"the other, too early")
        world.advance(0.52)
        other.say(1, b"the other")
        world.settle()
        voice.say(4, b"first, too late")
        world.settle()
        assert [packet.payload for packet in listener.heard[-2:]] == [b"first, back in time", b"the other"]
        assert world.core.stats().packets_misnumbered == 0


async def test_sound_alone_keeps_a_publisher_that_never_checks_again() -> None:
    with World() as world:
        voice = await world.publisher()
        world.clients.remove(voice)
        for n in range(100):
            deliver(world, voice, sealed(voice, media(voice, n, 960 * n, b"opus")))
            world.advance(0.5, step=0.25)
        assert world.core.stats().channels["xa"].on_air
        assert world.core.stats().packets_compiled > 40
        world.advance(31.0, step=0.5)
        assert not world.core.stats().channels["xa"].publisher
        voice.socket.close()


async def test_numbers_that_disagree_with_the_books_are_counted_and_never_used_twice() -> None:
    with World() as world:
        voice, listener = await world.publisher(), await world.listener()
        for n in range(10):
            voice.say(n, b"frame %d" % n)
            world.advance(0.02)
        timeline = world.hub.channels["xa"].timeline
        timeline.skip(timeline.sequence + 3, timeline.timestamp)  # behind the back of what is armed
        for n in range(10, 20):
            voice.say(n, b"frame %d" % n)
            world.advance(0.02)
        world.advance(0.02)
        assert world.core.stats().packets_misnumbered == 1
        assert [packet.payload for packet in listener.heard] == [b"frame %d" % n for n in range(20)]
        assert len({packet.sequence for packet in listener.heard}) == 20
        before = list(listener.sealed)
        numbers = tuple(packet.sequence for packet in listener.heard)
        listener.tell(rtcp.Nack(1, listener.heard[0].ssrc, numbers))
        world.settle()
        assert sorted(listener.sealed[len(before) :]) == sorted(before)


async def test_taps_get_every_packet_whichever_way_it_went() -> None:
    with World() as world:
        voice = await world.publisher()
        tapped: list[Packet] = []
        world.hub.channels["xa"].taps.append(lambda packet, now: tapped.append(packet))
        for n in range(100):
            voice.say(n, b"frame %d" % n)
            world.advance(0.02)
        world.advance(0.02)
        assert [packet.payload for packet in tapped] == [b"frame %d" % n for n in range(100)]
        assert world.core.stats().packets_compiled > 80


class Waiting:
    """A wait of the watch for a moment the hand-driven clock never reaches."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._thread = threading.Thread(target=world.watch.wait, args=(world.now + 60,), daemon=True)

    def __enter__(self) -> threading.Thread:
        self._thread.start()
        return self._thread

    def __exit__(self, *exc: object) -> None:
        self._world.watch.wake()
        self._thread.join(5)
        self._world.hub.settle()
        self._world.settle()


@pytest.mark.parametrize("prompt", [True, False])
async def test_what_cannot_wait_ends_the_wait_and_nothing_else_does(prompt: bool) -> None:
    with World() as world:
        voice = await world.publisher()
        for n in range(3):
            voice.say(n)
            world.advance(0.02)
        world.hub.channels["xa"].group.prompt = prompt
        datagram = sealed(voice, media(voice, 3, 960 * 3, b"opus"))
        with Waiting(world) as wait:
            voice.socket.sendto(datagram, world.port.address)
            wait.join(5.0 if prompt else 0.2)
            assert wait.is_alive() is not prompt
        assert world.core.stats().channels["xa"].packets_in == 4


async def test_a_ledger_that_fills_ends_the_wait_and_loses_nothing() -> None:
    with World() as world:
        voice = await world.publisher()
        voice.say(0)
        world.advance(0.02)
        with Waiting(world) as wait:
            for n in range(1, 2 * LEDGER):
                voice.socket.sendto(sealed(voice, media(voice, n, 960 * n, b"opus")), world.port.address)
            wait.join(5.0)
            assert not wait.is_alive()
        assert world.core.stats().channels["xa"].packets_in == 2 * LEDGER
