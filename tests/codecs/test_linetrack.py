import math
import random

import pytest

from loacodecs.linetrack import LineTracker, wander_variance

NO_WANDER = 0.0


def track(readings: list[tuple[float, float]], variance: float, wander: float = NO_WANDER) -> LineTracker:
    (x, value), *others = readings
    line = LineTracker(x, value, variance, rate_sigma=1e-3, wander=wander)
    for x, value in others:
        line.update(x, value, variance)
    return line


def test_two_exact_readings_give_the_line_through_them():
    line = track([(0.0, 1.0), (1000.0, 1.2)], 1e-12)

    assert line.rate == pytest.approx(2e-4, rel=1e-6)
    assert line.value(2000.0) == pytest.approx(1.4, abs=1e-6)
    assert line.value(-1000.0) == pytest.approx(0.8, abs=1e-6)


def test_without_wander_it_is_the_regression_and_its_uncertainty():
    # Least squares of n readings at even intervals: the variance of the slope is 12 s^2 / (T^2 n).
    count, step, sigma = 400, 5.0, 1e-3
    random_ = random.Random(1)
    readings = [(k * step, 3e-5 * k * step + random_.gauss(0, sigma)) for k in range(count)]
    line = track(readings, sigma * sigma)
    x_mean = sum(x for x, _ in readings) / count
    y_mean = sum(y for _, y in readings) / count
    slope = sum((x - x_mean) * (y - y_mean) for x, y in readings) / sum(
        (x - x_mean) ** 2 for x, _ in readings
    )

    assert line.rate == pytest.approx(slope, abs=1e-10)
    assert line.rate_sigma == pytest.approx(math.sqrt(12 / count) * sigma / (count * step), rel=0.02)
    assert math.sqrt(line.variance(line.x)) == pytest.approx(2 * sigma / math.sqrt(count), rel=0.02)


def test_uncertainty_grows_while_no_reading_comes():
    line = track([(0.0, 0.0), (10.0, 0.0)], 1e-8, wander_variance(1.0, 600.0))

    later = [line.variance(x) for x in (10.0, 20.0, 100.0, 1000.0)]

    assert later == sorted(later)
    assert line.variance(0.0) == line.variance(10.0)


def test_a_noisy_reading_weighs_less_than_a_good_one():
    line = LineTracker(0.0, 0.0, 1e-6, rate_sigma=0.0, wander=0.0)
    line.update(0.0, 1.0, 1.0)
    assert line.offset < 1e-5
    line.update(0.0, 1.0, 1e-12)
    assert line.offset == pytest.approx(1.0, abs=1e-5)


def test_a_rate_that_wanders_is_followed_and_a_step_keeps_it():
    line = track([(0.0, 0.0)], 1e-8, wander_variance(1.0, 600.0))
    for k in range(1, 2000):
        line.update(float(k), 5e-5 * k if k < 1000 else 0.05 + 4e-5 * (k - 1000), 1e-8)
    assert line.rate == pytest.approx(4e-5, abs=2e-7)

    line.step(2000.0, 7.0, 1e-8)

    assert line.value(2000.0) == 7.0
    assert line.value(2100.0) == pytest.approx(7.004, abs=1e-4)


def test_loosening_lets_the_next_readings_decide():
    line = track([(float(k), 0.0) for k in range(100)], 1e-8)
    line.loosen(1e-2, 1e-4)
    line.update(100.0, 5e-3, 1e-8)
    assert line.value(100.0) == pytest.approx(5e-3, rel=0.01)


def test_what_comes_late_counts_for_the_newest_moment():
    line = track([(0.0, 0.0), (10.0, 0.0)], 1e-8)
    line.update(5.0, 0.0, 1e-8)
    assert line.x == 10.0
