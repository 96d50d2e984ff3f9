from __future__ import annotations

from dataclasses import replace

import pytest

from bench.ramp import RESOLUTION, Found, Step, search, shortcomings


def step(listeners: int, *, joined: int | None = None, lost: int = 0, p99: float | None = 5.0) -> Step:
    return Step(
        listeners=listeners,
        joined=listeners if joined is None else joined,
        sent=listeners * 50,
        lost=lost,
        latency_ms={"p50": 1.0, "p99": p99, "max": 30.0},
        jitter_ms={"p50": 1.0, "p99": 1.0},
        relay_cpu_us_per_packet=6.0,
        idle_share=0.3,
    )


class Relay:
    """Carries `most`; where `weak` is reached the generator gives out."""

    def __init__(self, most: int, weak: int = 10**9, hiccups: int = 0) -> None:
        self.most, self.weak, self.hiccups = most, weak, hiccups
        self.asked: list[int] = []

    def measure(self, listeners: int) -> Step:
        self.asked.append(listeners)
        made = step(listeners)
        if self.hiccups:
            self.hiccups -= 1
            return replace(made, failed_by=["a moment"])
        if listeners >= self.weak:
            return replace(made, saturated_by=["no CPU left"])
        return replace(made, failed_by=["too late"]) if listeners > self.most else made


@pytest.mark.parametrize("most", [7, 50, 99, 640, 1234, 4999])
def test_the_limit_is_found_within_the_resolution(most: int) -> None:
    relay = Relay(most)
    found = Found.of(search(relay.measure, 20_000), 20_000)
    assert found.largest <= most <= found.largest + max(1, round(found.largest * RESOLUTION))
    assert found.limited_by == "relay"
    assert found.invalid_because == []
    assert len(relay.asked) < 30


def test_steps_double_first_and_a_failure_is_tried_again() -> None:
    relay = Relay(150)
    search(relay.measure, 1000)
    assert relay.asked[:5] == [50, 100, 200, 200, 150]


def test_a_moment_of_the_machine_does_not_end_the_search() -> None:
    found = Found.of(search(Relay(300, hiccups=1).measure, 300), 300)
    assert found.largest == 300


def test_as_many_as_were_allowed_is_no_limit_of_the_relay() -> None:
    found = Found.of(search(Relay(10_000).measure, 170), 170)
    assert (found.largest, found.limited_by, found.invalid_because) == (170, "limit", [])


def test_a_generator_that_gives_out_first_makes_the_search_invalid() -> None:
    found = Found.of(search(Relay(10_000, weak=500).measure, 2000), 2000)
    assert found.limited_by == "generator"
    assert 470 <= found.largest < 500
    assert "at least" in found.invalid_because[0]


def test_a_relay_that_carries_nobody() -> None:
    found = Found.of(search(Relay(0).measure, 40), 40)
    assert (found.largest, found.limited_by) == (0, "relay")


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (step(10, joined=9), "did not hear"),
        (step(10, lost=1), "lost"),
        (step(10, p99=20.1), "p99"),
        (step(10, p99=None), "p99"),
    ],
)
def test_what_a_listener_could_complain_about(made: Step, word: str) -> None:
    assert [text for text in shortcomings(made) if word in text]
    assert shortcomings(step(10, p99=20.0)) == []
