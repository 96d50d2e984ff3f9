"""Renditions: built once, of one numbering a stream, and only for those who are heard."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import red
from loacodecs.opus_packet import packet_samples
from relay.channels.history import PacketHistory
from relay.channels.renditions import PLAIN, Form, Rendition, Renditions, choose
from relay.net.fanout import Group, Packet
from relay.net.kernel import MAX_PAYLOAD

FRAME = 960
HEAD = 1 << 3
RED_1, RED_2 = Form(0, 1, 111), Form(0, 2, 111)
LONG = Form(60)
LONG_RED = Form(60, 1, 111)


def packet(number: int, *, size: int = 40, timestamp: int | None = None, capture: int = 0) -> Packet:
    stamp = FRAME * number if timestamp is None else timestamp
    return Packet(
        number, stamp & 0xFFFF_FFFF, bytes((HEAD,)) + number.to_bytes(3) + bytes(size - 4), capture=capture
    )


class Channel:
    """As much of a channel as renditions need."""

    def __init__(self, *forms: Form, history: int = 64) -> None:
        self.sequence = -1
        self.group = Group(8)
        self.history = PacketHistory(history)
        self.renditions = Renditions(self, self.group, self.history, capacity=8, remembered=history)
        for row, form in enumerate(forms):
            self.renditions.open(form).group.add(row)

    def send(self, packet: Packet, now: float) -> list[tuple[Rendition, Packet]]:
        self.sequence = max(self.sequence, packet.sequence)
        self.history.add(packet.sequence, packet)
        return self.renditions.feed(packet, now)


def feed(channel: Channel, packets: list[Packet]) -> dict[Form, list[Packet]]:
    """What each rendition sends besides the plain one."""
    out: dict[Form, list[Packet]] = {}
    for at, each in enumerate(packets):
        for rendition, built in channel.send(each, 0.02 * at):
            out.setdefault(rendition.form, []).append(built)
    return out


def data(built: Packet) -> list[tuple[int, bytes]]:
    """Blocks of a RED packet by their time."""
    return [(built.timestamp - block.timestamp_offset, block.data) for block in red.parse(built.payload)]


def test_the_plain_rendition_is_the_channels_own() -> None:
    channel = Channel(PLAIN)
    assert feed(channel, [packet(n) for n in range(5)]) == {}
    plain = channel.renditions.plain
    assert channel.renditions.open(PLAIN) is plain
    assert (plain.group, plain.history, plain.stream.newest) == (channel.group, channel.history, 4)
    assert not channel.renditions.active
    channel.renditions.close(plain)
    assert [rendition.form for rendition in channel.renditions] == [PLAIN]


def test_what_nobody_hears_is_not_built() -> None:
    channel = Channel(RED_1, LONG)
    assert set(feed(channel, [packet(n) for n in range(3)])) == {RED_1, LONG}
    assert channel.renditions.active
    for rendition in list(channel.renditions):
        rendition.group.discard(0)
        rendition.group.discard(1)
        channel.renditions.close(rendition)
    assert feed(channel, [packet(n) for n in range(3, 9)]) == {}
    assert not channel.renditions.active


def test_a_rendition_somebody_hears_is_not_closed_and_is_shared() -> None:
    renditions = Channel(RED_1).renditions
    first = renditions.open(RED_1)
    renditions.close(first)
    assert renditions.open(RED_1) is first
    assert renditions.open(Form(0, 1, 96)) is not first, "other payload types, other octets"
    assert renditions.listeners == 1


def test_a_stream_lives_as_long_as_any_of_its_renditions_is_heard() -> None:
    renditions = Channel(LONG, LONG_RED).renditions
    long, repeated = renditions.open(LONG), renditions.open(LONG_RED)
    long.group.discard(0)
    renditions.close(long)
    assert renditions.open(LONG) is long, "it is what the other one repeats"
    repeated.group.discard(1)
    renditions.close(repeated)
    assert renditions.open(LONG) is not long


def test_red_repeats_the_packets_before_under_the_same_numbers() -> None:
    sent = [packet(n, capture=7 if n == 2 else 0) for n in range(4)]
    out = feed(Channel(RED_1, RED_2), sent)
    assert [p.sequence for p in out[RED_2]] == [0, 1, 2, 3]
    assert [p.capture for p in out[RED_2]] == [0, 0, 7, 0]
    payload = [(p.timestamp, p.payload) for p in sent]
    assert [data(p) for p in out[RED_1]] == [payload[max(0, n - 1) : n + 1] for n in range(4)]
    assert [data(p) for p in out[RED_2]] == [payload[max(0, n - 2) : n + 1] for n in range(4)]
    assert {block.payload_type for p in out[RED_2] for block in red.parse(p.payload)} == {111}


def test_red_leaves_out_what_never_came_and_what_lies_too_far_back() -> None:
    sent = {n: packet(n) for n in (0, 1, 3)}
    out = feed(Channel(RED_2), list(sent.values()))
    assert data(out[RED_2][2]) == [(FRAME, sent[1].payload), (3 * FRAME, sent[3].payload)]
    # After a pause of DTX the packet before is 400 ms old: more than the 14 bits of an offset.
    out = feed(Channel(RED_1), [packet(0), packet(1, timestamp=20 * FRAME)])
    assert len(data(out[RED_1][1])) == 1
    late = feed(Channel(RED_1), [packet(0), packet(2), packet(1)])
    assert [p.sequence for p in late[RED_1]] == [0, 2, 1]
    assert data(late[RED_1][2]) == [(0, packet(0).payload), (FRAME, packet(1).payload)]


def test_red_never_outgrows_a_datagram() -> None:
    out = feed(Channel(RED_2), [packet(n, size=1_000) for n in range(3)])
    assert [len(data(p)) for p in out[RED_2]] == [1, 1, 1]
    full = feed(Channel(RED_1), [packet(0, size=MAX_PAYLOAD), packet(1, size=MAX_PAYLOAD - 1)])
    assert [p.sequence for p in full[RED_1]] == [1]
    assert len(full[RED_1][0].payload) == MAX_PAYLOAD
    assert PLAIN not in full


def test_long_packets_may_be_repeated_too() -> None:
    out = feed(Channel(LONG, LONG_RED), [packet(n) for n in range(9)])
    assert [p.sequence for p in out[LONG]] == [p.sequence for p in out[LONG_RED]] == [0, 1, 2]
    assert data(out[LONG_RED][1]) == [(p.timestamp, p.payload) for p in out[LONG][:2]]
    assert [packet_samples(p.payload) for p in out[LONG]] == [2880] * 3


def test_streams_number_their_packets_themselves() -> None:
    channel = Channel(LONG)
    feed(channel, [packet(n) for n in range(100, 112)])
    assert channel.renditions.plain.stream.newest == 111
    stream = channel.renditions.open(LONG).stream
    assert stream.newest == 3
    assert stream.extend(2) == 2
    assert channel.renditions.open(LONG).history.get(2) is not None


def test_what_is_held_back_leaves_in_the_end_also_as_red() -> None:
    channel = Channel(LONG, LONG_RED)
    feed(channel, [packet(n) for n in range(5)])
    assert channel.renditions.due(0.1) == []
    assert channel.renditions.deadline() == pytest.approx(0.06 + 0.12)
    left = {rendition.form: built.timestamp for rendition, built in channel.renditions.due(1.0)}
    assert left == {LONG: 3 * FRAME, LONG_RED: 3 * FRAME}
    assert channel.renditions.due(2.0) == []
    assert channel.renditions.deadline() is None


def test_a_number_that_was_given_already_is_not_built_anew() -> None:
    channel = Channel(RED_1)
    feed(channel, [packet(n) for n in range(3)])
    assert channel.send(packet(1, size=50), 0.1) == []
    assert channel.renditions.open(RED_1).history.get(1) is not None


@given(st.randoms(use_true_random=False))
def test_under_one_number_a_rendition_has_one_payload_whatever_comes_and_goes(
    generator: random.Random,
) -> None:
    forms = [RED_1, RED_2, LONG, LONG_RED]
    sent = [packet(n) for n in range(120) if generator.random() > 0.1]
    arrivals = sorted(sent, key=lambda each: each.sequence + generator.choice([0] * 12 + [1.5, 3, 8]))
    channel, now = Channel(*forms, history=256), 0.0
    built: dict[tuple[Form, int], bytes] = {}

    def note(rendition: Rendition, out: Packet) -> None:
        assert built.setdefault((rendition.form, out.sequence), out.payload) is out.payload
        remembered = rendition.history.get(out.sequence)
        assert remembered is out

    for each in arrivals:
        now += generator.choice([0.0, 0.02, 0.3])
        for rendition, out in [*channel.renditions.due(now), *channel.send(each, now)]:
            note(rendition, out)
    for rendition, out in channel.renditions.due(now + 1):
        note(rendition, out)
    assert {form for form, _ in built} == (set(forms) if sent else set())


@pytest.mark.parametrize(
    ("wished", "allowed", "expected"),
    [
        (Form(60, 2, 111), ("40ms", "60ms", "red-1", "red-2"), Form(60, 2, 111)),
        (Form(60, 2, 111), ("40ms", "red-1"), Form(0, 1, 111)),
        (Form(0, 1, 111), ("red-2",), PLAIN),
        (Form(60, 9, 111), ("60ms", "red-2"), Form(60, 2, 111)),
        (Form(30), ("40ms", "60ms"), PLAIN),
        (PLAIN, (), PLAIN),
    ],
)
def test_the_nearest_allowed_form_is_chosen(wished: Form, allowed: tuple[str, ...], expected: Form) -> None:
    assert choose(wished, allowed) == expected


def test_forms_have_names() -> None:
    assert [str(form) for form in (PLAIN, RED_2, LONG, LONG_RED)] == ["plain", "red-2", "60ms", "60ms-red-1"]
