from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Iterator

import pytest

from bench.publisher import FIRST_SEQUENCE, Publishers, Source, phases
from bench.sendlog import SendLog, identify, payload
from loacodecs import rtp, srtp
from tests.support.waiting import until

CHANNELS = 2


class Studio:
    """Two publishers whose relay is a plain socket."""

    def __init__(self) -> None:
        self.relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.relay.bind(("127.0.0.1", 0))
        self.relay.settimeout(5)
        self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.log = SendLog.for_publishers(CHANNELS)
        profile = srtp.Profile.AEAD_AES_128_GCM
        self.keys = [srtp.Keys(profile, os.urandom(28), os.urandom(28)) for _ in range(CHANNELS)]
        sources = [
            Source(
                self.out.fileno(), self.relay.getsockname(), srtp.Sender(keys, 50 + index), 50 + index, 111
            )
            for index, keys in enumerate(self.keys)
        ]
        self.publishers = Publishers(sources, self.log, payload_bytes=120, frame_ms=20, aligned=False)

    def receive(self, packets: int) -> list[rtp.RtpPacket]:
        """Packets as the relay opens them."""
        openers = {
            50 + index: srtp.Receiver(srtp.Keys(keys.profile, keys.remote, keys.local))
            for index, keys in enumerate(self.keys)
        }
        found = []
        for _ in range(packets):
            data = self.relay.recv(2048)
            found.append(rtp.parse(openers[int.from_bytes(data[8:12], "big")].unprotect(data)))
        return found

    def close(self) -> None:
        self.publishers.close()
        self.out.close()
        self.relay.close()


@pytest.fixture
def studio() -> Iterator[Studio]:
    studio = Studio()
    yield studio
    studio.close()


def test_packets_carry_what_the_send_log_says(studio: Studio) -> None:
    before = time.time_ns()
    studio.publishers.start()
    packets = studio.receive(20)
    for publisher in range(CHANNELS):
        mine = [packet for packet in packets if packet.ssrc == 50 + publisher]
        assert [packet.sequence for packet in mine] == list(range(FIRST_SEQUENCE, FIRST_SEQUENCE + 10))
        for counter, packet in enumerate(mine):
            assert identify(packet.payload) == (publisher, counter)
            assert packet.payload == payload(publisher, counter, 120, 20)
            assert packet.timestamp == counter * 960
            assert packet.payload_type == 111
            assert before < int(studio.log.sent_at[publisher, counter]) < time.time_ns()
        times = [int(studio.log.sent_at[publisher, counter]) for counter in range(10)]
        assert 175e6 < times[9] - times[0] < 400e6
    assert studio.publishers.failed == 0


def test_a_window_counts_what_was_sent_in_it(studio: Studio) -> None:
    studio.publishers.start()
    studio.receive(4)
    now = time.time_ns()
    studio.log.open_window(1, now, now + 200_000_000)
    studio.receive(30)
    for publisher in range(CHANNELS):
        inside = [int(t) for t in studio.log.sent_at[publisher] if now <= t < now + 200_000_000]
        assert int(studio.log.expected[1, publisher]) == len(inside) > 5


def test_a_pause_is_silence_in_which_time_goes_on(studio: Studio) -> None:
    studio.publishers.start()
    until(lambda: studio.publishers.packets(0) >= 3)
    studio.publishers.pause()
    paused_at = int(studio.log.published[0])
    until(lambda: int(studio.log.published[0]) >= paused_at + 10)
    sent_before = studio.publishers.packets(0)
    studio.publishers.resume()
    until(lambda: studio.publishers.packets(0) >= sent_before + 3)
    packets = [packet for packet in studio.receive(2 * sent_before + 4) if packet.ssrc == 50]
    steps = {
        (rtp.sequence_delta(b.sequence, a.sequence), rtp.timestamp_delta(b.timestamp, a.timestamp) // 960)
        for a, b in itertools.pairwise(packets)
    }
    assert {sequence for sequence, _ in steps} == {1}
    assert max(timestamps for _, timestamps in steps) >= 9


def test_channels_are_staggered_unless_aligned() -> None:
    assert phases(4, 20, aligned=False) == [0, 5_000_000, 10_000_000, 15_000_000]
    assert phases(4, 20, aligned=True) == [0, 0, 0, 0]
