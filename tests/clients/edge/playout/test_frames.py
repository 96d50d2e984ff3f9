"""Frames by their place in media time."""

from __future__ import annotations

import random

import pytest

from loacodecs.errors import MalformedError
from loacodecs.opus import OpusDecoder
from loacodecs.opus_repacketize import join
from loaedge.playout.frames import HISTORY_SAMPLES, Frame, FrameBuffer, Insertion, take_apart
from tests.support.playout_world import Encoding, station


def frame(start: int, data: bytes = b"x", samples: int = 960) -> Frame:
    return Frame(start, samples, data)


def test_a_packed_packet_is_the_frames_it_was_packed_from() -> None:
    packets = [packet.payload for packet in station(5.0)[:3]]
    frames = take_apart(join(packets), 48)
    assert [f.start for f in frames] == [48, 1008, 1968]
    assert [f.samples for f in frames] == [960] * 3
    assert [f.data for f in frames] == packets
    apart, whole = OpusDecoder(1), OpusDecoder(1).decode(join(packets))
    assert b"".join(apart.decode(f.data).tobytes() for f in frames) == whole.tobytes()


def test_a_frame_of_60_ms_is_one_frame() -> None:
    (only,) = take_apart(station(5.0, Encoding(frame_ms=60, bitrate=9000, speech=True))[3].payload, 0)
    assert only.samples == 2880


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\xff\x00", b"\xff\x3f", b"\xfa\xff\xff\xff", b"\xf9abc"])
def test_what_is_no_packet_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        take_apart(payload, 0)


def test_order_of_arrival_does_not_matter() -> None:
    buffer = FrameBuffer()
    starts = list(range(0, 96_000, 960))
    shuffled = starts.copy()
    random.Random(1).shuffle(shuffled)
    assert all(buffer.insert(frame(start)) is Insertion.ACCEPTED for start in shuffled)
    position, found = 0, []
    while (following := buffer.after(position)) is not None:
        found.append(following.start)
        position = following.end
    assert found == starts
    assert buffer.newest == 96_000


def test_every_time_has_one_frame() -> None:
    buffer = FrameBuffer()
    buffer.insert(frame(960, b"one"))
    assert buffer.insert(frame(960, b"one")) is Insertion.DUPLICATE
    assert buffer.insert(frame(960, b"other")) is Insertion.CONFLICT
    assert buffer.insert(frame(961, b"one")) is Insertion.CONFLICT
    assert buffer.insert(frame(0, b"one", 961)) is Insertion.CONFLICT
    assert buffer.insert(frame(480, b"one", 2880)) is Insertion.CONFLICT
    assert buffer.insert(frame(0, b"one")) is Insertion.ACCEPTED
    assert buffer.insert(frame(1920, b"one")) is Insertion.ACCEPTED
    assert len(buffer) == 3


def test_what_has_been_read_is_late_unless_known() -> None:
    buffer = FrameBuffer()
    buffer.insert(frame(0))
    buffer.insert(frame(1920))
    buffer.advance(1920)
    assert buffer.insert(frame(0)) is Insertion.DUPLICATE
    assert buffer.insert(frame(960)) is Insertion.LATE
    assert buffer.insert(frame(2880)) is Insertion.ACCEPTED


def test_a_frame_is_found_by_any_of_its_samples() -> None:
    buffer = FrameBuffer()
    buffer.insert(frame(960))
    assert buffer.at(959) is None
    assert buffer.at(960) == buffer.at(1919) == frame(960)
    assert buffer.at(1920) is None
    assert buffer.between(0, 960) == []
    assert buffer.between(960, 961) == [frame(960)]


def test_memory_is_bounded_by_number_and_by_age() -> None:
    buffer = FrameBuffer(capacity=100)
    for index in range(1000):
        buffer.insert(frame(index * 960))
    assert len(buffer) == 100
    assert buffer.at(899 * 960) is None
    assert buffer.at(999 * 960) is not None
    lasting = FrameBuffer()
    for index in range(10_000):
        lasting.insert(frame(index * 960))
        lasting.advance(index * 960)
    assert len(lasting) <= HISTORY_SAMPLES / 960 + 40


def test_pauses_are_counted_once() -> None:
    buffer = FrameBuffer()
    buffer.pause(1000, 2000)
    buffer.pause(1500, 3000)
    buffer.pause(1000, 2000)
    buffer.pause(5000, 4000)
    assert buffer.paused(0, 10_000) == 2000
    assert buffer.paused(1900, 2100) == 200
    assert buffer.paused(3000, 6000) == 0


def test_only_distinct_content_tells_a_place() -> None:
    buffer = FrameBuffer()
    for start, data in ((0, b"silence!"), (960, b"silence!"), (1920, b"word one"), (2880, b"x")):
        buffer.insert(frame(start, data))
    assert buffer.unique_payloads(4) == {b"word one": 1920}


def test_complete_is_what_is_held_or_was_never_sent() -> None:
    buffer = FrameBuffer()
    for start in (0, 960, 4800, 6720):
        buffer.insert(frame(start))
    assert buffer.complete(100, 9600) == 1820
    assert buffer.complete(0, 500) == 500
    assert buffer.complete(2000, 9600) == 0
    buffer.pause(1920, 4000)
    assert buffer.complete(100, 9600) == 1820
    buffer.pause(4000, 4800)
    assert buffer.complete(100, 9600) == 5660
