"""Redundancy by receiver reports: soon when it is needed, not for a single packet, never to and fro."""

from __future__ import annotations

import itertools
import random

import pytest

from relay.channels.adaptive import HOLD_S, AdaptiveRedundancy

REPORT_S = 2.0


def levels(losses: list[float], *, most: int = 2) -> list[int]:
    """The level after each of the reports, `REPORT_S` apart."""
    policy = AdaptiveRedundancy(most)
    return [policy.note(loss, REPORT_S * at) for at, loss in enumerate(losses)]


def test_a_good_link_stays_plain() -> None:
    assert set(levels([0.0] * 500)) == {0}
    one_of_a_hundred = [0.01 if n % 5 == 0 else 0.0 for n in range(500)]
    assert set(levels(one_of_a_hundred)) == {0}, "0.2 % on average"


@pytest.mark.parametrize(("loss", "level"), [(0.02, 1), (0.04, 1), (0.08, 2), (1.0, 2)])
def test_lasting_loss_is_answered_in_a_quarter_of_a_minute(loss: float, level: int) -> None:
    found = levels([0.0] * 20 + [loss] * 10)
    assert found[19] == 0
    assert found[27] == level
    assert max(found) == level


def test_redundancy_goes_step_by_step_once_the_loss_has_been_low_for_long() -> None:
    found = levels([0.1] * 10 + [0.0] * 100)
    assert found[9] == 2
    down = [found.index(1, 10), found.index(0, 10)]
    assert (down[0] - 10) * REPORT_S >= HOLD_S
    assert (down[1] - down[0]) * REPORT_S >= HOLD_S
    assert found[-1] == 0


def test_a_spell_of_loss_begins_the_wait_anew() -> None:
    calm = [0.0] * 12
    found = levels([0.03] * 10 + [*calm, 0.05] * 8)
    assert set(found[10:]) == {1}


@pytest.mark.parametrize("mean", [0.01, 0.05])
def test_a_link_at_a_limit_is_not_moved_to_and_fro(mean: float) -> None:
    generator = random.Random(4)
    losses = [sum(generator.random() < mean for _ in range(100)) / 100 for _ in range(1_800)]
    found = levels(losses)
    moves = sum(a != b for a, b in itertools.pairwise(found))
    assert moves <= 6, "in an hour"


def test_no_more_than_is_possible() -> None:
    assert max(levels([0.5] * 20, most=1)) == 1
    assert max(levels([0.5] * 20, most=0)) == 0


def test_a_report_that_stands_longer_counts_for_longer_and_a_clock_that_stands_does_no_harm() -> None:
    often, seldom = AdaptiveRedundancy(), AdaptiveRedundancy()
    for second in range(31):
        often.note(0.03, float(second))
        if second % 10 == 0:
            seldom.note(0.03, float(second))
    assert often.level == seldom.level == 1
    assert often.note(0.9, 30.0) == 1, "no time has passed"
