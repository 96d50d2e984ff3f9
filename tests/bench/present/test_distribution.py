from __future__ import annotations

import numpy as np
import pytest

from bench.histogram import BINS, Counts, bin_of
from bench.present.distribution import LOOKS_MAX, Timeline, curve, shares


def counts_of(*milliseconds: float) -> Counts:
    counts = np.zeros(BINS, np.int64)
    for value in milliseconds:
        counts[bin_of(round(value * 1e6))] += 1
    return counts


def test_the_shares_reach_into_the_tail_and_name_the_usual_ones() -> None:
    told = shares()
    assert told == sorted(told)
    assert {0.0, 0.5, 0.9, 0.99, 0.999, 0.9999} <= set(told)
    assert 1 - told[-1] < 1e-6


def test_a_curve_grows_and_ends_at_the_exact_maximum() -> None:
    values = np.random.default_rng(7).lognormal(0, 1, 5000)
    points = curve(counts_of(*values), round(values.max() * 1e6))
    assert points == sorted(points)
    assert points[-1] == (1.0, pytest.approx(values.max(), abs=1e-4))
    assert dict(points)[0.99] == pytest.approx(np.quantile(values, 0.99, method="inverted_cdf"), rel=0.01)
    assert max(value for _, value in points) == points[-1][1]


def test_a_curve_tells_no_share_that_no_value_stands_beyond() -> None:
    points = curve(counts_of(*range(1, 101)))
    assert [share for share, _ in points if share > 0.99] == [1.0]
    assert 0.99 in dict(points)


def test_nothing_counted_gives_no_curve() -> None:
    assert curve(np.zeros(BINS, np.int64)) == []


class Running:
    """Counts that grow as the receivers' do."""

    def __init__(self) -> None:
        self.latency = np.zeros(BINS, np.int64)
        self.jitter = np.zeros(BINS, np.int64)
        self.timeline = Timeline(lambda: self.latency, lambda: self.jitter)

    def arrive(self, latency: float, jitter: float, times: int = 1) -> None:
        self.latency += counts_of(latency) * times
        self.jitter += counts_of(jitter) * times


def test_each_second_has_its_own_percentiles() -> None:
    running = Running()
    running.timeline.resume(100.0)
    running.arrive(1.0, 0.1, 99)
    running.arrive(50.0, 9.0)
    running.timeline.look(100.5)
    running.timeline.look(101.01)
    running.arrive(3.0, 0.3, 10)
    running.timeline.look(102.02)
    told = running.timeline.to_json()
    assert told is not None
    assert told["packets"] == [100, 10]
    assert told["start_s"] == [0.0, 1.01]
    assert told["latency_ms"]["p50"] == pytest.approx([1.0, 3.0], rel=0.01)
    assert told["latency_ms"]["max"] == pytest.approx([50.0, 3.0], rel=0.01)
    assert told["jitter_ms"]["p99"] == pytest.approx([0.1, 0.3], rel=0.01)


def test_what_is_counted_in_a_pause_belongs_to_no_second() -> None:
    running = Running()
    running.timeline.resume(0.0)
    running.arrive(1.0, 0.1)
    running.timeline.pause(0.9)
    running.arrive(99.0, 99.0)
    running.timeline.look(5.0)
    running.timeline.resume(10.0)
    running.arrive(2.0, 0.2)
    running.timeline.pause(11.0)
    told = running.timeline.to_json()
    assert told is not None
    assert told["start_s"] == [0.0, 10.0]
    assert told["latency_ms"]["max"] == pytest.approx([1.0, 2.0], rel=0.01)


def test_a_short_rest_joins_the_stretch_before_it() -> None:
    running = Running()
    running.timeline.resume(0.0)
    running.arrive(1.0, 0.1, 3)
    running.timeline.look(1.0)
    running.arrive(2.0, 0.1, 4)
    running.timeline.pause(1.2)
    told = running.timeline.to_json()
    assert told is not None
    assert told["packets"] == [7]


def test_hours_stay_bounded_and_lose_no_packet() -> None:
    running = Running()
    running.timeline.resume(0.0)
    seconds = 2 * LOOKS_MAX + 50
    for second in range(1, seconds + 1):
        running.arrive(second, 1.0)
        running.timeline.look(float(second))
    running.timeline.pause(float(seconds))
    told = running.timeline.to_json()
    assert told is not None
    assert told["interval_s"] == 4.0
    assert len(told["packets"]) < LOOKS_MAX
    assert sum(told["packets"]) == seconds
    assert told["start_s"][:3] == [0.0, 4.0, 8.0]
    assert told["latency_ms"]["max"][0] == pytest.approx(4.0, rel=0.01)


def test_nothing_seen_is_told_as_nothing() -> None:
    running = Running()
    assert running.timeline.to_json() is None
    running.timeline.resume(0.0)
    running.timeline.pause(3.0)
    assert running.timeline.to_json() is None


def test_no_share_exceeds_the_exact_maximum_of_its_bin() -> None:
    assert {value for _, value in curve(counts_of(1.001) * 100, 1_001_000)} == {1.001}
