from __future__ import annotations

from itertools import permutations
from math import comb

import numpy as np
import pytest

from bench import noise


def test_the_estimate_is_the_median_of_all_differences() -> None:
    assert noise.change([1.0, 2.0, 3.0], [2.5, 3.5, 4.5], 0.1).estimate == pytest.approx(1.5)


def test_three_runs_each_give_the_whole_range_at_90_percent() -> None:
    found = noise.change([10.0, 11.0, 12.0], [20.0, 21.0, 22.0], 0.1)
    assert (found.low, found.high) == (8.0, 12.0)
    assert found.confidence == pytest.approx(1 - 2 / comb(6, 3))


def test_five_runs_each_leave_out_the_extremes() -> None:
    """Mann-Whitney tables: the critical value for n = m = 5 at 5 % two-sided is 2, so two are left out at each end."""
    old, new = [0.0, 1.0, 2.0, 3.0, 4.0], [10.0, 11.0, 12.0, 13.0, 14.0]
    found = noise.change(old, new, 0.1)
    differences = sorted(y - x for x in old for y in new)
    assert (found.low, found.high) == (differences[2], differences[-3])
    # P(U <= 2) = (1 + 1 + 2) / 252
    assert found.confidence == pytest.approx(1 - 2 * 4 / 252)


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 9), (2, 2), (2, 4)])
def test_too_few_runs_fall_back_on_what_is_assumed(old: int, new: int) -> None:
    found = noise.change([1.0] * old, [2.0] * new, 0.3)
    assert found.confidence is None
    assert (found.low, found.high) == (pytest.approx(0.7), pytest.approx(1.3))


@pytest.mark.parametrize(("old", "new"), [(2, 3), (3, 3), (4, 2), (3, 4)])
def test_the_distribution_of_the_statistic_is_the_one_that_counting_gives(old: int, new: int) -> None:
    labels = set(permutations("o" * old + "n" * new))
    counted = [0] * (old * new + 1)
    for order in labels:
        counted[sum(order[i + 1 :].count("o") for i in range(len(order)) if order[i] == "n")] += 1
    assert list(noise.orders(old, new)) == counted


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(600):
        found = noise.change(list(random.exponential(1, 5)), list(random.exponential(1, 5) + 0.5), 0.1)
        hits += found.low <= 0.5 <= found.high
    assert hits / 600 == pytest.approx(0.968, abs=0.03)


def test_one_wild_run_does_not_move_the_estimate_far() -> None:
    old = [1.00, 1.01, 1.02, 1.01, 1.00]
    calm, wild = [1.01, 1.02, 1.00, 1.01, 1.02], [1.01, 1.02, 1.00, 1.01, 9.0]
    assert noise.change(old, wild, 0.1).estimate == pytest.approx(
        noise.change(old, calm, 0.1).estimate, abs=0.02
    )
