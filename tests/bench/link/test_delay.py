from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.link.delay import Delay, DelayProcess, Distribution
from bench.link.draws import draws
from loacodecs.errors import ConfigurationError

DISTRIBUTIONS: list[Distribution] = ["uniform", "normal", "pareto"]


def delays(delay: Delay, seed: int = 1, packets: int = 30_000) -> list[float]:
    process = DelayProcess(delay, draws(seed, "delay"))
    return [process.next() for _ in range(packets)]


def correlation(values: list[float]) -> float:
    return statistics.correlation(values[:-1], values[1:])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@given(st.floats(0, 2), st.floats(0.0001, 1), st.integers(0, 10**9))
@settings(max_examples=8, deadline=None)
def test_the_standard_deviation_is_the_jitter_and_nothing_is_below_the_base(
    distribution: Distribution, base: float, jitter: float, seed: int
) -> None:
    values = delays(Delay(base, jitter, distribution), seed)
    assert min(values) >= base
    assert min(values) < base + 0.01 * jitter
    assert statistics.stdev(values) == pytest.approx(jitter, rel=0.08)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("wanted", [0.5, 0.9])
def test_correlation_leaves_the_distribution_as_it_is(distribution: Distribution, wanted: float) -> None:
    values = sorted(delays(Delay(0, 0.05, distribution, wanted), packets=100_000))
    independent = sorted(delays(Delay(0, 0.05, distribution), packets=100_000))
    for share in (0.1, 0.5, 0.9, 0.99):
        at = int(share * 100_000)
        assert values[at] == pytest.approx(independent[at], rel=0.1, abs=0.001)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_neighbours_resemble_one_another_as_asked(distribution: Distribution) -> None:
    found = [correlation(delays(Delay(0, 0.05, distribution, wanted))) for wanted in (0.0, 0.5, 0.9)]
    assert abs(found[0]) < 0.03
    # The copula's r is that of the normal variables behind: a little more than that of the delays.
    assert 0.35 < found[1] < 0.52
    assert 0.75 < found[2] < 0.92


def test_the_pareto_tail_is_long_and_the_normal_one_is_not() -> None:
    normal, pareto = (sorted(delays(Delay(0, 1, name), packets=100_000)) for name in ("normal", "pareto"))
    assert pareto[50_000] < normal[50_000]
    assert pareto[99_800] > 1.5 * normal[99_800]
    # P(X > x) = (1 + x)^-3, which is what netem's table holds, until the cut at one in a thousand
    scale = pareto[-1] / (0.001 ** (-1 / 3) - 1)
    for share in (0.5, 0.9, 0.99):
        assert pareto[int(share * 100_000)] / scale == pytest.approx((1 - share) ** (-1 / 3) - 1, rel=0.05)


def test_without_jitter_the_delay_is_the_base() -> None:
    assert set(delays(Delay(0.06, correlation=0.5), packets=100)) == {0.06}


@pytest.mark.parametrize(
    ("values", "key"),
    [({"base": -1}, "base"), ({"jitter": math.nan}, "jitter"), ({"correlation": 1.0}, "correlation")],
)
def test_impossible_delays_are_refused_by_key(values: dict[str, float], key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{key}: "):
        Delay(**values)
