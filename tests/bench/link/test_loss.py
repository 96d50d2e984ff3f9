from __future__ import annotations

import math
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.link.draws import draws
from bench.link.loss import Loss, LossProcess
from loacodecs.errors import ConfigurationError

PACKETS = 30_000


def outcome(loss: Loss, seed: int, packets: int = PACKETS) -> list[bool]:
    process = LossProcess(loss, draws(seed, "change"), draws(seed, "chance"))
    return [process.next() for _ in range(packets)]


def runs(lost: list[bool]) -> list[int]:
    return [len(list(group)) for value, group in groupby(lost) if value]


def tolerance(loss: Loss, packets: int = PACKETS) -> float:
    """Six standard deviations of the mean of a two-state chain, whose neighbours resemble one another."""
    memory = 0.0 if loss.burst is None else max(0.0, 1 - loss.enter - 1 / loss.burst)
    return 6 * math.sqrt(loss.mean * (1 - loss.mean) / packets * (1 + memory) / (1 - memory)) + 6 / packets


@given(st.floats(0, 1), st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_independent_loss_converges_to_its_mean(mean: float, seed: int) -> None:
    loss = Loss(mean)
    assert abs(sum(outcome(loss, seed)) / PACKETS - mean) <= tolerance(loss)


@given(st.floats(0.005, 0.4), st.floats(1.8, 20), st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_bursts_converge_to_their_mean_loss_and_mean_length(mean: float, burst: float, seed: int) -> None:
    loss = Loss(mean, burst)
    lost = outcome(loss, seed)
    assert abs(sum(lost) / PACKETS - mean) <= tolerance(loss)
    lengths = runs(lost)
    if len(lengths) > 30:
        assert sum(lengths) / len(lengths) == pytest.approx(burst, abs=6 * burst / math.sqrt(len(lengths)))


@given(st.floats(0.02, 0.3), st.floats(2, 20), st.floats(0, 1), st.floats(0, 0.9), st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_densities_share_the_mean_between_bursts_and_gaps(
    mean: float, burst: float, high: float, low: float, seed: int
) -> None:
    density, gap = mean + (1 - mean) * high, mean * low
    if density == mean or (share := (mean - gap) / (density - gap)) > 0.6:
        return
    loss = Loss(mean, burst, density, gap)
    assert loss.burst_share == pytest.approx(share)
    assert abs(sum(outcome(loss, seed)) / PACKETS - mean) <= tolerance(loss)


def test_the_formulas_are_those_of_gilbert_and_elliott() -> None:
    loss = Loss(mean=0.02, burst=4)
    assert loss.burst_share == pytest.approx(0.02)
    assert loss.enter == pytest.approx(0.25 * 0.02 / 0.98)
    elliott = Loss(mean=0.05, burst=10, burst_density=0.5, gap_density=0.01)
    assert elliott.burst_share == pytest.approx(0.04 / 0.49)
    # The stationary loss of the chain is the mean asked for.
    stationary = elliott.enter / (elliott.enter + 1 / 10)
    assert stationary * 0.5 + (1 - stationary) * 0.01 == pytest.approx(0.05)


def test_nothing_and_everything_can_be_lost() -> None:
    assert not any(outcome(Loss(0), 1, 1000))
    assert all(outcome(Loss(1), 1, 1000))
    assert not any(outcome(Loss(0, burst=5), 1, 1000))


def test_the_first_packet_may_fall_into_a_burst() -> None:
    first = [outcome(Loss(0.3, burst=10), seed, 1)[0] for seed in range(2000)]
    assert sum(first) / len(first) == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"mean": -0.1}, "mean"),
        ({"mean": 1.1}, "mean"),
        ({"mean": math.nan}, "mean"),
        ({"mean": 0.1, "burst": 0.5}, "burst"),
        ({"mean": 0.1, "burst": math.inf}, "burst"),
        ({"mean": 0.9, "burst": 1}, "burst"),
        ({"mean": 1.0, "burst": 3}, "mean"),
        ({"mean": 0.1, "burst": 3, "burst_density": 0.05}, "burst_density"),
        ({"mean": 0.1, "burst": 3, "gap_density": 0.2}, "gap_density"),
        ({"mean": 0.1, "burst_density": 0.5}, "burst"),
    ],
)
def test_impossible_channels_are_refused_by_key(values: dict[str, float], key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{key}: "):
        Loss(**values)
