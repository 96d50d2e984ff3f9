import math
import random

import pytest

from loaedge.outputs.deviceclock import LONGEST_LATENCY_S, DeviceClock

RATE = 48_000


class Card:
    """A card that plays `ppm` too slowly, with `buffered` seconds between writing and hearing."""

    def __init__(self, ppm: float = 0.0, buffered: float = 0.1, seed: int = 5) -> None:
        self.period = (1 + ppm * 1e-6) / RATE
        self.random = random.Random(seed)
        self.started = 1000.0
        self.buffered = buffered
        self.written = 0
        self.clock = DeviceClock()

    def truth(self, frame: int) -> float:
        return self.started + frame * self.period

    def write(self, frames: int, noise: float = 0.0) -> None:
        """Write, and report the latency with `noise` seconds of deviation."""
        self.written += frames
        now = self.truth(self.written) - self.buffered
        self.clock.note(self.written, max(0.0, self.buffered + self.random.gauss(0, noise)), now)

    def error(self) -> float:
        return self.clock.heard_at(self.written) - self.truth(self.written)


def test_before_the_first_report_there_is_no_answer():
    clock = DeviceClock()
    assert not clock.known
    with pytest.raises(LookupError):
        clock.heard_at(0)


def test_the_first_report_is_believed():
    clock = DeviceClock()
    clock.note(960, 0.1, 50.0)
    assert clock.known
    assert clock.heard_at(960) == pytest.approx(50.1)
    assert clock.heard_at(960 + 480) == pytest.approx(50.11)
    assert clock.heard_at(0) == pytest.approx(50.08)


@pytest.mark.parametrize("ppm", [150.0, -150.0])
def test_a_millisecond_of_noise_becomes_tens_of_microseconds(ppm):
    card = Card(ppm)
    errors = []
    for block in range(15_000):
        card.write(960, 1e-3)
        if block > 3000:
            errors.append(abs(card.error()))

    assert max(errors) < 0.15e-3
    assert card.clock.rate_ppm == pytest.approx(ppm, abs=10)


def test_the_estimate_moves_smoothly():
    card = Card(30.0)
    for _ in range(3000):
        card.write(960, 1e-3)
    steps, last = [], card.error()
    for _ in range(3000):
        card.write(960, 1e-3)
        steps.append(abs(card.error() - last))
        last = card.error()
    assert max(steps) < 20e-6


def test_outliers_are_ignored():
    card = Card(20.0)
    for block in range(6000):
        card.write(960, 0.5e-3)
        if block > 100 and block % 10 == 0:
            card.clock.note(card.written, 0.5, card.truth(card.written) - 0.1)
    assert abs(card.error()) < 0.1e-3
    assert card.clock.steps == 0


def test_a_few_outliers_in_a_row_are_no_step_however_far_apart():
    card = Card(20.0)
    for _ in range(60):
        card.write(RATE, 0.5e-3)
    for _ in range(3):
        card.written += RATE
        card.clock.note(card.written, 0.3, card.truth(card.written) - 0.1)
    assert card.clock.steps == 0
    assert abs(card.error()) < 1e-3


@pytest.mark.parametrize("gap", [0.030, 0.5])
def test_an_underrun_is_followed_and_the_rate_kept(gap):
    card = Card(90.0)
    for _ in range(6000):
        card.write(960, 0.3e-3)
    rate = card.clock.rate_ppm
    card.started += gap
    for _ in range(20):
        card.write(960, 0.3e-3)

    assert card.clock.steps == 1
    assert abs(card.error()) < 0.5e-3
    assert card.clock.rate_ppm == pytest.approx(rate, abs=5)


def test_a_smaller_count_is_a_reopened_device():
    card = Card()
    for _ in range(100):
        card.write(960)
    card.written, card.started = 0, 2000.0
    card.write(960)
    assert card.error() == pytest.approx(0.0, abs=1e-6)


def test_reset_forgets():
    card = Card()
    card.write(960)
    card.clock.reset()
    assert not card.clock.known
    card.started, card.written = 3000.0, 48_000
    card.write(960)
    assert card.error() == pytest.approx(0.0, abs=1e-6)


def test_irregular_reports_do_as_well():
    card = Card(60.0)
    for _ in range(400):
        for _ in range(card.random.randint(1, 20)):
            card.write(480, 1e-3)
        card.write(card.random.randint(0, 200_000), 1e-3)
    assert abs(card.error()) < 0.5e-3
    assert card.clock.rate_ppm == pytest.approx(60, abs=5)


@pytest.mark.parametrize(
    ("latency", "now"),
    [(-0.1, 1000.0), (math.nan, 1000.0), (LONGEST_LATENCY_S + 1, 1000.0), (0.1, math.nan), (0.1, math.inf)],
)
def test_impossible_reports_are_passed_over(latency, now):
    card = Card()
    card.write(960)
    for _ in range(20):
        card.clock.note(card.written + 960, latency, now)
    assert card.clock.heard_at(960) == pytest.approx(card.truth(960))
    assert card.clock.steps == 0


def test_several_reports_at_one_moment_are_no_more_certain_than_one():
    card = Card()
    for _ in range(50):
        card.write(960, 1e-3)
    before = card.error()
    now = card.truth(card.written) - card.buffered
    for _ in range(200):
        card.clock.note(card.written, card.buffered + 1e-3, now)
    assert abs(card.error() - before) < 0.3e-3
