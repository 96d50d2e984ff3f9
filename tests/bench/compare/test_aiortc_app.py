"""The parts of the aiortc server that are ours: the feed, and timestamps that number packets."""

from __future__ import annotations

import asyncio

import pytest
from aiortc.codecs.opus import OpusDecoder
from aiortc.jitterbuffer import JitterFrame
from av.frame import Frame

from bench.compare.aiortc_app import FeedTrack, NumberedEncoder, SourceTimestamps
from bench.sendlog import payload
from loacodecs.rtp import RtpPacket

STEP = 960


def decoded(counters: list[int]) -> list[Frame]:
    decoder = OpusDecoder()
    frames = [
        decoder.decode(JitterFrame(payload(0, counter, 120, 20), counter * STEP)) for counter in counters
    ]
    return [frame for each in frames for frame in each]


def test_an_encoded_packet_tells_by_its_timestamp_which_packet_it_was() -> None:
    counters = [7, 8, 9, 10, 500, 501, 502]  # with a pause of the publisher
    encoder = NumberedEncoder(48_000)
    found = [encoder.encode(frame) for frame in decoded(counters)]
    assert [timestamp for _, timestamp in found] == [counter * STEP for counter in counters]


def test_encoded_packets_are_as_large_as_the_publishers() -> None:
    encoder = NumberedEncoder(48_000)
    sizes = {len(data) for frame in decoded([1, 2, 3, 4]) for data in encoder.encode(frame)[0]}
    assert sizes == {120}


def test_decoded_frames_keep_the_publishers_timestamps() -> None:
    mapper = SourceTimestamps()
    assert [mapper.map(timestamp) for timestamp in (4800, 5760, 99_840)] == [4800, 5760, 99_840]


async def test_the_feed_gives_payloads_with_their_timestamps() -> None:
    track = FeedTrack()
    for counter in (3, 4):
        data = RtpPacket(111, False, counter, counter * STEP, 1, payload(0, counter, 120, 20)).to_bytes()
        track.datagram_received(data, None)
    packets = [await asyncio.wait_for(track.recv(), 5) for _ in range(2)]
    assert [bytes(packet) for packet in packets] == [payload(0, counter, 120, 20) for counter in (3, 4)]
    assert [packet.pts for packet in packets] == [3 * STEP, 4 * STEP]
    assert packets[0].time_base == pytest.approx(1 / 48_000)


async def test_the_feed_survives_nonsense_and_a_reader_that_is_away() -> None:
    track = FeedTrack()
    track.datagram_received(b"", None)
    track.datagram_received(b"\x80", None)
    packet = RtpPacket(111, False, 0, 0, 1, b"sound").to_bytes()
    for _ in range(2000):
        track.datagram_received(packet, None)
    assert bytes(await asyncio.wait_for(track.recv(), 5)) == b"sound"
