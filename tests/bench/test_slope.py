from __future__ import annotations

import random

import pytest

from bench.slope import Figure, Slope, judge, theil_sen, trend

TIMES = [float(at) for at in range(60)]
MEMORY = Figure("memory_mb", "MB", 0.01, 1.0)


def test_a_straight_line_has_its_slope_and_no_doubt() -> None:
    found = theil_sen(TIMES, [5 + 0.25 * at for at in TIMES])
    assert (found.low, found.estimate, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_a_wild_point_does_not_tilt_the_line() -> None:
    values = [5 + 0.25 * at for at in TIMES]
    values[55] = 1e6
    assert theil_sen(TIMES, values).estimate == pytest.approx(0.25)


def test_what_never_changes_is_flat_for_sure() -> None:
    assert theil_sen(TIMES, [28.0] * 60) == Slope(0.0, 0.0, 0.0)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    dice = random.Random(3)
    held = 0
    for _ in range(200):
        found = theil_sen(TIMES[:30], [0.1 * at + dice.gauss(0, 1) for at in TIMES[:30]])
        held += found.low <= 0.1 <= found.high
    assert 180 <= held <= 198


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.02, 0.03, "rising"),
        (-0.03, -0.02, "falling"),
        (-0.005, 0.009, "flat"),
        (0.005, 0.009, "flat"),  # grows for sure, and by too little to matter
        (0.005, 0.02, "unclear"),
        (-0.02, 0.02, "unclear"),
    ],
)
def test_what_a_slope_means(low: float, high: float, verdict: str) -> None:
    assert judge(Slope((low + high) / 2, low, high), seconds=100, matters=1.0) == verdict


def test_a_leak_is_found_in_noise_and_a_longer_run_finds_a_smaller_one() -> None:
    dice = random.Random(1)
    leak = [200 + 0.05 * at + dice.gauss(0, 0.5) for at in range(600)]
    times = [float(at) for at in range(600)]
    assert trend(MEMORY, times, leak).verdict == "rising"
    assert trend(MEMORY, times[:30], leak[:30]).verdict in ("flat", "unclear")
    noise = [200 + dice.gauss(0, 0.5) for _ in times]
    assert trend(MEMORY, times, noise).verdict == "flat"


def test_missing_points_are_left_out_and_too_few_tell_nothing() -> None:
    values: list[float | None] = [None, *[7.0] * 10, None]
    assert trend(MEMORY, TIMES[:12], values).median == 7.0
    assert trend(MEMORY, TIMES[:5], [1.0, 2.0, 3.0, 4.0, 5.0]).verdict == "unclear"
