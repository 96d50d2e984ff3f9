"""Packets joined to 40 or 60 ms: every frame leaves once, in its time, whatever is lost, late or hostile."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import rtp
from loacodecs.errors import MalformedError
from loacodecs.opus_packet import packet_samples, split_frames
from relay.channels.packing import Packing
from relay.net.fanout import Packet
from relay.net.kernel import MAX_PAYLOAD

SILK_20 = 1 << 3  # narrow-band frames of 20 ms
SILK_40 = 2 << 3
SILK_60 = 3 << 3
CELT_10 = 30 << 3
FRAME = 960
DTX = bytes((SILK_20,))


def frame(number: int, *, head: int = SILK_20, size: int = 60) -> bytes:
    return bytes((head,)) + number.to_bytes(2) + bytes(size - 3)


def packet(number: int, payload: bytes | None = None, **fields: int) -> Packet:
    values = {"sequence": number, "timestamp": (FRAME * number) & 0xFFFF_FFFF} | fields
    return Packet(
        values["sequence"],
        values["timestamp"],
        frame(number) if payload is None else payload,
        bool(values.get("marker", 0)),
        values.get("capture", 0),
    )


def run(packing: Packing, packets: list[Packet], *, step: float = 0.02) -> list[Packet]:
    return [out for at, each in enumerate(packets) for out in packing.feed(each, step * at)]


def frames(packets: list[Packet]) -> dict[int, bytes]:
    """Each frame by its timestamp; the same time twice is a mistake."""
    found: dict[int, bytes] = {}
    for each in packets:
        parts = split_frames(each.payload)
        length = packet_samples(each.payload) // len(parts)
        for index, part in enumerate(parts):
            at = (each.timestamp + index * length) & 0xFFFF_FFFF
            assert at not in found
            found[at] = part
    return found


def test_three_packets_leave_as_one_when_the_third_is_there() -> None:
    packing = Packing(60)
    leaving = [len(packing.feed(packet(n), 0.02 * n)) for n in range(9)]
    assert leaving == [0, 0, 1] * 3
    out = run(Packing(60), [packet(n) for n in range(9)])
    assert [(p.sequence, p.timestamp) for p in out] == [(0, 0), (1, 2880), (2, 5760)]
    assert all(packet_samples(p.payload) == 2880 for p in out)
    assert frames(out) == {FRAME * n: frame(n)[1:] for n in range(9)}


def test_forty_milliseconds_join_two() -> None:
    out = run(Packing(40), [packet(n) for n in range(6)])
    assert [p.timestamp for p in out] == [0, 1920, 3840]


def test_a_stream_begins_where_it_is_joined() -> None:
    out = run(Packing(60), [packet(n) for n in range(7, 13)])
    assert [(p.sequence, p.timestamp) for p in out] == [(0, 7 * FRAME), (1, 10 * FRAME)]


def test_a_lost_inner_packet_delays_nothing_and_comes_late_under_its_own_time() -> None:
    packing = Packing(60)
    out = run(packing, [packet(n) for n in (0, 2)])
    assert [(p.sequence, p.timestamp, p.payload) for p in out] == [
        (0, 0, frame(0)),
        (1, 2 * FRAME, frame(2)),
    ], "unjoined payloads stay as they are"
    assert [p.timestamp for p in run(packing, [packet(n) for n in (3, 4)])] == []
    late = packing.feed(packet(1), 0.1)
    assert [(p.sequence, p.timestamp, p.payload) for p in late] == [(2, FRAME, frame(1))]
    after = packing.feed(packet(5), 0.12)
    assert [(p.sequence, p.timestamp, packet_samples(p.payload)) for p in after] == [(3, 3 * FRAME, 2880)]


@pytest.mark.parametrize("lost", [3, 5])
def test_a_lost_edge_leaves_the_others_joined_and_the_grid_where_it_was(lost: int) -> None:
    out = run(Packing(60), [packet(n) for n in range(12) if n != lost])
    assert [(p.timestamp // FRAME, packet_samples(p.payload)) for p in out] == [
        (0, 2880),
        (4 if lost == 3 else 3, 1920),
        (6, 2880),
        (9, 2880),
    ]


def test_overtaken_packets_find_their_slot() -> None:
    out = run(Packing(60), [packet(n) for n in (1, 0, 2, 4, 3, 5, 6)])
    assert frames(out) == {FRAME * n: frame(n)[1:] for n in range(7)}
    out = run(Packing(60), [packet(n) for n in (0, 1, 2, 4, 3, 5, 6, 8)])
    assert [(p.timestamp // FRAME, packet_samples(p.payload)) for p in out[:2]] == [(0, 2880), (3, 2880)]


def test_a_talkspurt_begins_a_packet_but_a_marker_on_each_does_not_matter() -> None:
    out = run(Packing(60), [packet(n, marker=n == 4) for n in range(7)])
    assert [(p.timestamp // FRAME, packet_samples(p.payload), p.marker) for p in out] == [
        (0, 2880, False),
        (3, FRAME, False),
        (4, 2880, True),
    ]
    # FFmpeg sets it on every packet.
    assert len(run(Packing(60), [packet(n, marker=1) for n in range(6)])) == 2


def test_the_first_dtx_packet_lets_go_what_waits_and_a_refresh_waits_its_time() -> None:
    packing = Packing(60)
    assert packing.feed(packet(0), 0.0) == []
    out = packing.feed(packet(1, DTX), 0.02)
    assert [packet_samples(p.payload) for p in out] == [1920]
    # 400 ms later, without a gap in the sequence (RFC 7587 §3.1.3)
    refresh = packet(2, DTX, timestamp=21 * FRAME)
    assert packing.feed(refresh, 0.42) == []
    assert packing.deadline == pytest.approx(0.54)
    assert packing.due(0.5) == ()
    assert [p.timestamp for p in packing.due(0.55)] == [21 * FRAME]
    speech = run(packing, [packet(n, timestamp=(19 + n) * FRAME) for n in range(30, 36)])
    speech += packing.due(9.9)
    assert frames(speech) == {(19 + n) * FRAME: frame(n)[1:] for n in range(30, 36)}


def test_silence_that_is_sent_is_joined_too() -> None:
    out = run(Packing(60), [packet(n, DTX) for n in range(30)])
    assert len(out) <= 11


def test_a_source_that_stops_is_heard_to_its_last_packet() -> None:
    packing = Packing(60)
    run(packing, [packet(n) for n in range(5)])
    assert packing.due(0.179) == ()
    assert [(p.sequence, p.timestamp, packet_samples(p.payload)) for p in packing.due(0.19)] == [
        (1, 3 * FRAME, 1920)
    ]
    assert packing.due(9.9) == ()
    assert packing.deadline is None


def test_what_comes_after_a_stall_completes_the_slot() -> None:
    packing = Packing(60)
    run(packing, [packet(0)])
    assert len(packing.due(0.2)) == 1
    out = packing.feed(packet(1), 0.21) + packing.feed(packet(2), 0.22)  # type: ignore[operator]  # lists
    assert [(p.sequence, p.timestamp, packet_samples(p.payload)) for p in out] == [(1, FRAME, 1920)]


def test_another_configuration_ends_a_packet() -> None:
    stereo = SILK_20 | 4
    out = run(Packing(60), [packet(n, frame(n, head=SILK_20 if n % 3 else stereo)) for n in range(6)])
    assert [packet_samples(p.payload) for p in out] == [FRAME, 1920] * 2
    assert frames(out) == {FRAME * n: frame(n)[1:] for n in range(6)}


@pytest.mark.parametrize(("head", "length"), [(SILK_40, 1920), (SILK_60, 2880)])
def test_packets_that_are_long_already_leave_as_they_are_at_once(head: int, length: int) -> None:
    sent = [packet(n, frame(n, head=head), timestamp=length * n) for n in range(4)]
    packing = Packing(60)
    out = [packing.feed(each, 0.06) for each in sent]
    assert [[(p.timestamp, p.payload) for p in leaving] for leaving in out] == [
        [(each.timestamp, each.payload)] for each in sent
    ]


def test_frames_of_10_ms_and_packets_of_two_are_joined() -> None:
    short = [packet(n, frame(n, head=CELT_10), timestamp=480 * n) for n in range(12)]
    assert [packet_samples(p.payload) for p in run(Packing(60), short)] == [2880, 2880]
    pairs = [packet(n, bytes((CELT_10 | 1,)) + bytes(40)) for n in range(6)]
    assert [len(split_frames(p.payload)) for p in run(Packing(60), pairs)] == [6, 6]


def test_large_frames_end_a_packet_early() -> None:
    out = run(Packing(60), [packet(n, frame(n, size=600)) for n in range(6)])
    assert [packet_samples(p.payload) for p in out] == [1920, FRAME] * 2
    assert all(len(p.payload) <= MAX_PAYLOAD for p in out)


def test_capture_time_is_that_of_the_first_sample() -> None:
    captured = rtp.ntp_from_unix(1_700_000_000.5)
    out = run(Packing(60), [packet(n, capture=captured if n == 1 else 0) for n in range(3)])
    assert abs(rtp.unix_from_ntp(out[0].capture) - (1_700_000_000.5 - 0.02)) < 1e-6


def test_timestamps_wrap() -> None:
    start = (1 << 32) - 4 * FRAME
    out = run(Packing(60), [packet(n, timestamp=(start + n * FRAME) & 0xFFFF_FFFF) for n in range(9)])
    assert [p.timestamp for p in out] == [start, (start + 2880) & 0xFFFF_FFFF, (start + 5760) & 0xFFFF_FFFF]


@given(st.randoms(use_true_random=False), st.integers(20, 200))
def test_every_frame_leaves_once_in_its_time_whatever_the_network_does(
    generator: random.Random, count: int
) -> None:
    sent = [packet(n) for n in range(count) if generator.random() > 0.1]
    arrivals = sorted(sent, key=lambda each: each.sequence + generator.choice([0] * 12 + [1.5, 3, 8]))
    packing, now = Packing(60), 0.0
    out: list[Packet] = []
    for each in arrivals:
        now += generator.choice([0.0, 0.02, 0.02, 0.04, 0.3])
        out += packing.due(now)
        out += packing.feed(each, now)
    out += packing.due(now + 1)
    assert frames(out) == {each.timestamp: each.payload[1:] for each in sent}
    assert [p.sequence for p in out] == list(range(len(out)))
    assert all(packet_samples(p.payload) <= 2880 for p in out)


@given(
    st.lists(
        st.tuples(st.binary(max_size=30), st.integers(-40, 40), st.integers(0, 2**32 - 1), st.booleans()),
        max_size=60,
    )
)
def test_hostile_packets_come_out_in_some_form_and_never_raise(
    packets: list[tuple[bytes, int, int, bool]],
) -> None:
    packing, sequence, out, fed = Packing(60), 100, 0, 0
    for payload, step, timestamp, marker in packets:
        sequence = max(0, sequence + step)
        out += len(packing.feed(Packet(sequence, timestamp, payload, marker), 0.0))
        fed += 1
        assert out <= fed
    assert out + len(packing.due(10.0)) <= fed


def test_a_payload_that_is_no_opus_leaves_alone() -> None:
    broken = bytes((SILK_20 | 2, 255, 255))
    with pytest.raises(MalformedError):
        split_frames(broken)
    out = run(Packing(60), [packet(0), packet(1, bytes((SILK_20 | 3,))), packet(2), packet(3, broken)])
    assert [p.payload for p in out][:2] == [frame(0), bytes((SILK_20 | 3,))]
