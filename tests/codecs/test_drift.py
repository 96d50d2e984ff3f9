import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from loacodecs.drift import JUMP_S, LARGEST_CORRECTION, Correction, DriftController

BLOCK = 0.02


class Card:
    """A sound card that plays `ppm` too slowly: the error grows by that, less what the ratio takes away."""

    def __init__(self, error: float, ppm: float = 0.0, noise: Callable[[], float] = lambda: 0.0) -> None:
        self.error = error
        self.ppm = ppm
        self.noise = noise
        self.now = 50.0
        self.controller = DriftController()
        self.corrections: list[Correction] = []
        self.errors: list[float] = []

    def run(self, seconds: float, block: float = BLOCK) -> None:
        for _ in range(round(seconds / block)):
            correction = self.controller.update(self.error + self.noise(), self.now)
            self.error += (self.ppm * 1e-6 - (correction.ratio - 1)) * block
            self.now += block
            self.corrections.append(correction)
            self.errors.append(self.error)


@pytest.mark.parametrize("sign", [1, -1])
def test_five_milliseconds_are_gone_within_seconds_and_without_overshoot(sign):
    card = Card(sign * 0.005)
    card.run(20)

    assert abs(card.error) < 0.05e-3
    assert min(sign * error for error in card.errors) > -0.02e-3
    # The limit of 500 ppm alone takes ten seconds.
    assert abs(card.errors[round(12 / BLOCK)]) < 1e-3
    assert not any(correction.jump for correction in card.corrections)


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_a_card_that_drifts_is_held_at_its_drift(ppm):
    card = Card(0.0, ppm)
    card.run(120)

    assert abs(card.error) < 0.02e-3
    assert card.controller.drift_ppm == pytest.approx(ppm, abs=3)
    assert card.corrections[-1].ratio == pytest.approx(1 + ppm * 1e-6, abs=10e-6)
    assert max(abs(error) for error in card.errors) < 1e-3


def test_the_ratio_is_bounded_and_slewed():
    card = Card(0.025, 150.0)
    card.run(60)
    ratios = [1.0] + [correction.ratio for correction in card.corrections]

    assert max(abs(ratio - 1) for ratio in ratios) <= LARGEST_CORRECTION
    # 250 ppm a second: 5 ppm from block to block.
    assert max(abs(b - a) for a, b in pairwise(ratios)) <= 5.001e-6


def test_noise_of_the_device_does_not_get_into_the_pitch():
    noise = random.Random(3)
    card = Card(0.0, 40.0, lambda: noise.gauss(0, 1e-3) + (0.02 if noise.random() < 0.01 else 0.0))
    card.run(120)
    card.errors.clear()
    card.corrections.clear()
    card.run(300)

    assert max(abs(error) for error in card.errors) < 0.3e-3
    assert all(correction.ratio == pytest.approx(1 + 40e-6, abs=150e-6) for correction in card.corrections)


def test_a_new_delay_is_walked_to_and_not_taken_for_drift():
    card = Card(0.0, 80.0)
    card.run(120)
    card.errors.clear()
    card.error += 0.010
    card.run(1)
    assert card.controller.drift_ppm == pytest.approx(80, abs=10)
    card.run(30)

    assert abs(card.error) < 0.05e-3
    assert min(card.errors) > -0.1e-3


@pytest.mark.parametrize("sign", [1, -1])
def test_beyond_the_limit_a_jump_is_asked_for_until_it_is_made(sign):
    card = Card(sign * (JUMP_S + 0.005))
    card.run(1)
    assert all(correction.jump for correction in card.corrections)

    card.error = 0.0
    card.run(60)

    assert not any(correction.jump for correction in card.corrections[round(1 / BLOCK) :])
    assert abs(card.error) < 0.05e-3


def test_a_jump_needs_more_than_one_bad_measurement():
    card = Card(0.0)
    card.run(5)
    for wild in (0.5, -0.5, 0.1):
        assert not card.controller.update(wild, card.now).jump
        card.now += BLOCK
        card.run(0.1)
    assert card.controller.error_s == pytest.approx(0.0, abs=1e-5)
    card.error = 0.5
    card.run(1)
    assert card.corrections[-1].jump


def test_a_measurement_that_is_none_changes_nothing():
    card = Card(0.001)
    card.run(2)
    before = card.controller.update(math.nan, card.now)
    assert before.ratio == card.corrections[-1].ratio
    assert not card.controller.update(math.inf, card.now).jump


def test_after_a_pause_it_starts_from_the_error_but_keeps_the_drift():
    card = Card(0.0, 100.0)
    card.run(120)
    card.now += 600
    card.error = 0.003
    card.run(0.1)

    assert card.controller.drift_ppm == pytest.approx(100, abs=5)
    assert card.controller.error_s == pytest.approx(0.003, abs=1e-4)
    card.run(20)
    assert abs(card.error) < 0.05e-3


def test_a_restart_takes_the_next_error_as_it_comes():
    card = Card(0.0, 100.0)
    card.run(120)
    card.controller.restart()
    card.error = 0.003
    card.run(BLOCK)
    assert card.controller.error_s == pytest.approx(0.003, abs=1e-6)
    assert card.controller.drift_ppm == pytest.approx(100, abs=3)


@pytest.mark.parametrize("block", [0.005, 0.1, 0.5])
def test_other_block_lengths_do_as_well(block):
    card = Card(0.004, -60.0)
    card.run(60, block)
    assert abs(card.error) < 0.05e-3
    assert max(abs(error) for error in card.errors) <= 0.005
