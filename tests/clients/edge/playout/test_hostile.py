"""Whatever a session brings: nothing raises, memory stays bounded, and the sound of others goes on."""

from __future__ import annotations

import random
import time
import tracemalloc

import numpy as np
import pytest

from loacodecs import red, rtcp, rtp
from loaedge.playout import Playout, PlayoutSettings, Source
from tests.support.playout_world import (
    BLOCK,
    CAPTURE_ID,
    EPOCH,
    PAYLOAD_TYPE,
    RATE,
    RED_TYPE,
    Clock,
    World,
    damaged,
    ideal,
    station,
)


def opened(*, delay_s: float = 0.7) -> tuple[Playout, Source]:
    playout = Playout(Clock(), PlayoutSettings(delay_s))
    source = playout.open(
        "a",
        payload_type=PAYLOAD_TYPE,
        red_payload_type=RED_TYPE,
        nack=True,
        ssrc=1,
        cname="ear",
        random=random.Random(1).randbytes,
        capture_extension=CAPTURE_ID,
    )
    return playout, source


def packet(
    sequence: int, timestamp: int, payload: bytes, *, ssrc: int = 7, kind: int = PAYLOAD_TYPE
) -> bytes:
    return rtp.RtpPacket(kind, False, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload).to_bytes()


def drain(source: Source, now: float) -> int:
    sent = 0
    while source.poll_rtcp(now) is not None:
        sent += 1
        assert sent < 10
    return sent


def some_bytes(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 2, 5, 12, 13, 40, 200, 1200)))


def some_packet(rng: random.Random) -> bytes:
    """RTP that is well formed as far as that goes; the rest is chance."""
    ssrc = rng.choice((7, 7, 7, 8, rng.getrandbits(32)))
    sequence = rng.choice((rng.getrandbits(16), rng.randrange(50)))
    timestamp = rng.choice((rng.getrandbits(32), sequence * 960, 2**31, 2**32 - 1))
    payload = some_bytes(rng)
    kind = rng.choice((PAYLOAD_TYPE, PAYLOAD_TYPE, RED_TYPE, 96))
    if kind == RED_TYPE and rng.random() < 0.5:
        older = [red.Block(PAYLOAD_TYPE, rng.randrange(1, 16384), some_bytes(rng)) for _ in range(3)]
        payload = red.build([*older, red.Block(PAYLOAD_TYPE, 0, payload or b"x")])
    profile, extension = 0, b""
    if rng.random() < 0.3:
        profile, extension = rtp.pack_extension([(CAPTURE_ID, rng.randbytes(rng.choice((1, 8, 16))))])
    marker = rng.random() < 0.2
    return rtp.RtpPacket(kind, marker, sequence, timestamp, ssrc, payload, profile, extension).to_bytes()


@pytest.mark.parametrize("seed", range(6))
def test_nothing_that_comes_raises(seed: int) -> None:
    rng = random.Random(seed)
    playout, source = opened(delay_s=0.2)
    now = 0.0
    for _ in range(2500):
        now += rng.choice((0.0, 0.001, 0.02, 0.3))
        act = rng.randrange(8)
        if act < 3:
            source.on_rtp(some_packet(rng), now)
        elif act == 3:
            source.on_rtp(some_bytes(rng), now)
        elif act == 4:
            source.on_rtcp(some_bytes(rng), now)
        elif act == 5:
            ntp = rng.choice((0, rng.getrandbits(64), rtp.ntp_from_unix(EPOCH + now)))
            report = rtcp.SenderReport(rng.choice((7, 8)), ntp, rng.getrandbits(32), 1, 1)
            source.on_rtcp(rtcp.serialize([report]), now)
        elif act == 6:
            drain(source, now)
            source.next_deadline()
            playout.sounding_at(now + 0.1)
        else:
            sound = playout.render(BLOCK, now)
            assert sound.shape == (BLOCK, 1)
            assert np.isfinite(sound).all()
        if rng.random() < 0.001:
            playout.settings = PlayoutSettings(rng.uniform(0.15, 3.0), rng.uniform(0, 1))


def test_other_traffic_in_between_is_not_heard() -> None:
    """Garbage, foreign SSRCs and single packets from far off do not disturb the stream."""
    world = World()
    relay = world.join()
    packets = station(20.0)
    rng = random.Random(3)
    world.broadcast(packets)
    for tick in range(4000):
        kind = tick % 4
        if kind == 0:
            data = some_bytes(rng)
        elif kind == 1:
            data = packet(rng.getrandbits(16), rng.getrandbits(32), b"\xf8" + rng.randbytes(60), ssrc=5)
        elif kind == 2:
            far = relay.timestamp + rng.randrange(11 * RATE, 2**31)
            data = packet(relay.sequence + 10_000, far, b"\xf8" + rng.randbytes(60), ssrc=relay.ssrc)
        else:
            data = packet(relay.sequence, relay.timestamp, b"\xff" + rng.randbytes(60), ssrc=relay.ssrc)
        world.at(tick * 0.0049, lambda now, data=data: relay.source.on_rtp(data, now))
    world.run(20.0)
    stats = world.playout.stats
    assert (stats.concealed_samples, stats.jumps) == (0, 0)
    assert damaged(world.sound, ideal(packets, 0.7, len(world.sound))) <= 0.002


@pytest.mark.parametrize("flood", ["ahead", "gaps", "sources", "unplaced"])
def test_floods_leave_memory_bounded_and_time_short(flood: str) -> None:
    playout, source = opened()
    payloads = [bytes([0xF8]) + random.Random(n).randbytes(1270) for n in range(64)]

    def pour(first: int, count: int) -> None:
        for n in range(first, first + count):
            now = n * 1e-5
            if flood == "ahead":
                data = packet(n, n * 960, payloads[n % 64])
            elif flood == "gaps":
                data = packet(n * 997, n * 997 * 960, payloads[n % 64])
            elif flood == "sources":
                data = packet(n, n * 960, payloads[n % 64], ssrc=n // 2)
            else:
                data = packet(n, n * 120, b"\xe0" + payloads[n % 64][:9])
            source.on_rtp(data, now)
            if n % 50 == 0:
                drain(source, now)
                playout.render(240, now)

    pour(0, 20_000)
    tracemalloc.start()
    began = time.process_time()
    pour(20_000, 20_000)
    spent = time.process_time() - began
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 8_000_000
    assert spent < 20.0  # 1 ms a packet, traced; a quadratic path would take minutes
