from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.report import Generator
from bench.verdict import disturbed_by, saturated_by

FIT = Generator(
    cpu_us_per_packet=3.0,
    pacer_lag_ms={"p50": 0.1, "p99": 0.4, "max": 9.0},
    timer_lag_ms={"p50": 1.0, "p99": 30.0, "max": 200.0},
    socket_overflows=0,
    backlog_drops=0,
    not_handed_over=0,
    publish_failures=0,
    floor_lost=0,
    idle_share=0.3,
    steal_share=0.0,
    others_cores=0.0,
    join_cores=0.8,
)


def test_a_fit_generator_is_believed() -> None:
    assert not saturated_by(FIT, 20)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"socket_overflows": 1}, "SO_RXQ_OVFL"),
        ({"backlog_drops": 3}, "softirq"),
        ({"not_handed_over": 1}, "ring"),
        ({"publish_failures": 1}, "published"),
        ({"pacer_lag_ms": {"p99": 10.2}}, "pacer"),
        ({"timer_lag_ms": {"p99": 1500.0}}, "timers"),
        ({"idle_share": 0.01}, "busy"),
    ],
)
def test_each_way_to_be_the_bottleneck_is_told(change: dict[str, Any], word: str) -> None:
    (reason,) = saturated_by(replace(FIT, **change), 20)
    assert word in reason


def test_a_longer_packet_time_forgives_a_longer_lag() -> None:
    assert not saturated_by(replace(FIT, pacer_lag_ms={"p99": 29.0}), 60)


def test_a_busy_machine_is_told_without_making_the_run_invalid() -> None:
    assert not disturbed_by(FIT)
    busy = replace(FIT, others_cores=0.5, steal_share=0.05)
    assert not saturated_by(busy, 20)
    others, steal = disturbed_by(busy)
    assert "0.50 cores" in others
    assert "5.0%" in steal
