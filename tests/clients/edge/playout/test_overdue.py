"""Packets that are asked for before anything shows that they are lost: bursts are mended, pauses cost nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from bench.link.delay import Delay
from bench.link.model import LinkConfig, PathConfig
from bench.link.presets import preset
from loacodecs import rtcp
from loaedge.playout import overdue
from loaedge.playout.overdue import MAX_REQUESTS, Overdue
from loaedge.playout.repair import RoundTrip
from tests.support.playout_world import (
    RATE,
    Encoding,
    Relay,
    World,
    damaged,
    encode,
    ideal,
    programme,
    station,
)

PACKET = 2880
LONG = Encoding(frame_ms=60, bitrate=24000)


def measured(seconds: float) -> RoundTrip:
    trip = RoundTrip()
    for _ in range(50):
        trip.add(seconds)
    return trip


def steady(
    round_trip: float = 0.2, packets: int = 50, delay: float = 0.1, **follow: Any
) -> tuple[Overdue, float]:
    """After packets 0 … packets-1 of 60 ms, each there `delay` after its end; and when the next one is to come."""
    watch = Overdue(measured(round_trip))
    now = 0.0
    for number in range(packets):
        begin = number * PACKET
        now = (begin + PACKET) / RATE + delay
        watch.beat.note(begin + PACKET, now)
        watch.follow(
            number,
            begin,
            begin + PACKET,
            follow.get("spread", 0.0),
            pausing=follow.get("pausing", False),
            redundancy=follow.get("redundancy", 0),
        )
    return watch, now + PACKET / RATE


def in_time(media: int) -> float:
    return media / RATE + 0.65


def nowhere(begin: int, _end: int) -> int | None:
    return begin


def silence(watch: Overdue, until: float) -> list[tuple[float, list[int]]]:
    """All requests up to `until`, at the times `next_deadline` names."""
    out = []
    while (now := watch.next_deadline(in_time)) is not None and now <= until:
        out.append((now, watch.due(now, in_time, nowhere)))
    return out


def test_what_is_overdue_is_asked_for_with_all_that_became_due_meanwhile() -> None:
    watch, expected = steady()
    (first, one), (second, more), *_ = silence(watch, 10.0)
    assert expected < first < expected + 0.06
    assert one == [50]
    assert second - first == pytest.approx(0.1, abs=0.01), "twice in a round trip"
    assert more == [50, 51, 52]


def test_a_silence_is_good_for_few_requests() -> None:
    watch, _ = steady()
    requests = silence(watch, 100.0)
    assert len(requests) == MAX_REQUESTS
    assert watch.next_deadline(in_time) is None
    assert min(b - a for (a, _), (b, _) in pairwise(requests)) >= 0.1 - 1e-9


def test_after_a_packet_that_says_silence_follows_nothing_is_expected() -> None:
    watch, _ = steady(pausing=True)
    assert watch.next_deadline(in_time) is None
    assert watch.due(100.0, in_time, nowhere) == []


def test_receivers_of_one_relay_do_not_ask_all_at_once() -> None:
    moments = []
    for spread in np.linspace(0, 1, 11):
        watch, _ = steady(spread=float(spread))
        moments.append(watch.next_deadline(in_time))
    assert len(set(moments)) == 11
    assert max(moments) - min(moments) >= 0.025  # type: ignore[type-var, operator]


def test_where_there_is_time_the_question_waits_while_two_answers_fit() -> None:
    watch, expected = steady(round_trip=0.03, spread=1.0)
    moment = watch.next_deadline(in_time)
    assert moment is not None
    assert moment > expected + 0.1
    assert in_time(50 * PACKET) - moment >= 2 * 0.03


@pytest.mark.parametrize("redundancy", [0, 1, 2])
def test_packets_that_will_repeat_it_are_waited_for_while_two_answers_fit_after_them(redundancy: int) -> None:
    watch, expected = steady(round_trip=0.15, redundancy=redundancy)
    first, asked = silence(watch, 10.0)[0]
    assert first > expected + redundancy * PACKET / RATE
    assert asked[0] == 50
    assert in_time(50 * PACKET) - first >= 2 * 0.15


def test_where_only_one_answer_fits_nothing_is_waited_for() -> None:
    bare, _ = steady(round_trip=0.25)
    repeating, _ = steady(round_trip=0.25, redundancy=2)
    assert repeating.next_deadline(in_time) == bare.next_deadline(in_time)


def test_where_no_answer_is_to_be_expected_repeats_are_waited_for() -> None:
    watch, expected = steady(round_trip=0.52, redundancy=2)
    moment = watch.next_deadline(in_time)
    assert moment is not None
    assert moment > expected + 2 * PACKET / RATE


def test_what_cannot_come_in_time_and_what_is_there_is_not_asked_for() -> None:
    watch, _ = steady(round_trip=0.6)
    assert [asked for _, asked in silence(watch, 10.0) if asked] == []
    watch, _ = steady()
    now = watch.next_deadline(in_time)
    assert now is not None
    assert watch.due(now, in_time, lambda _begin, _end: None) == []


def test_on_a_path_that_wanders_packets_are_given_more_time() -> None:
    calm, _ = steady()
    wild = Overdue(measured(0.2))
    for number in range(50):
        begin = number * PACKET
        now = (begin + PACKET) / RATE + 0.1 + 0.05 * (number % 2)
        wild.beat.note(begin + PACKET, now)
        wild.follow(number, begin, begin + PACKET, 0.0, pausing=False)
    first, second = calm.next_deadline(in_time), wild.next_deadline(in_time)
    assert first is not None
    assert second is not None
    assert second > first + 0.03


def way(jitter: float = 0.02) -> PathConfig:
    delay = Delay(0.06, jitter, "normal", correlation=0.8)
    return PathConfig(LinkConfig(delay=delay), LinkConfig(delay=delay))


def listen(
    path: PathConfig, seconds: float, burst: tuple[float, float] = (0.0, 0.0), **kwargs: Any
) -> tuple[World, Relay]:
    world = World(seed=3)
    world.playout.commit_s = 0.045
    relay = world.join("a", path, **kwargs)
    relay.hold = lambda now: burst[0] <= now < burst[1]
    world.broadcast(station(seconds, LONG), offset_s=0.04)
    world.run(seconds + 0.7)
    return world, relay


def test_a_burst_of_eight_packets_is_mended() -> None:
    burst = 5.01, 5.01 + 8 * 0.06
    world, _ = listen(way(), 12.0, burst)
    assert damaged(world.sound, ideal(station(12.0, LONG), 0.7, len(world.sound))) == 0.0
    stats = world.playout.stats
    assert stats.lost == stats.recovered_nack >= 3, "of some nothing shows that they had been lost"


def test_without_it_the_beginning_of_such_a_burst_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would prove nothing."""
    monkeypatch.setattr(overdue, "MAX_REQUESTS", 0)
    world, _ = listen(way(), 12.0, (5.01, 5.01 + 8 * 0.06))
    assert world.playout.stats.concealed_samples > PACKET


def test_bursts_as_mobile_links_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    mended, _ = listen(preset("P2"), 120.0, red_level=1)
    monkeypatch.setattr(overdue, "MAX_REQUESTS", 0)
    bare, _ = listen(preset("P2"), 120.0, red_level=1)
    assert bare.playout.stats.concealed_samples > 0.002 * 120 * RATE
    assert mended.playout.stats.concealed_samples < 0.5 * bare.playout.stats.concealed_samples


def test_a_source_that_stops_is_asked_for_in_vain_only_so_often_and_has_lost_nothing() -> None:
    world = World()
    heard: list[rtcp.Packet] = []
    relay = world.join("a", way(jitter=0.0))
    answer = relay.on_rtcp
    relay.on_rtcp = lambda data, now: (heard.extend(rtcp.parse(data)), answer(data, now))[1]  # type: ignore[method-assign]
    world.broadcast(station(5.0, LONG), offset_s=0.04)
    world.run(30.0)
    nacks = [packet for packet in heard if isinstance(packet, rtcp.Nack)]
    assert 1 <= len(nacks) <= MAX_REQUESTS
    assert world.playout.stats.lost == 0
    assert world.playout.stats.concealed_samples == 0


def test_pauses_of_the_sender_are_no_losses() -> None:
    """DTX without a word of warning: packets stop, and their numbers go on where they stopped."""
    sound = np.concatenate([programme(3.0), np.zeros(2 * RATE, np.float32), programme(3.0, 2)])
    packets = tuple(encode(sound, Encoding(frame_ms=20, speech=True, dtx=True)))
    world = World()
    world.join("a", way(jitter=0.0))
    world.broadcast(packets)
    world.run(9.0)
    assert world.playout.stats.lost == 0
    assert world.playout.stats.concealed_samples == 0


def test_the_relay_is_told_of_losses_and_not_of_what_was_only_late() -> None:
    """Of a path that only wanders the reports say that it loses nothing, whatever was asked for meanwhile."""
    world = World(seed=2)
    told: list[int] = []
    relay = world.join("a", way(jitter=0.06))
    answer = relay.on_rtcp

    def listen_in(data: bytes, now: float) -> None:
        told.extend(
            report.packets_lost
            for packet in rtcp.parse(data)
            if isinstance(packet, rtcp.ReceiverReport)
            for report in packet.reports
        )
        answer(data, now)

    relay.on_rtcp = listen_in  # type: ignore[method-assign]
    world.broadcast(station(60.0, LONG), offset_s=0.04)
    world.run(61.0)
    assert world.playout.stats.requests > 0
    assert told[-1] == 0
