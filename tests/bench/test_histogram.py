from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.histogram import BINS, bin_of, milliseconds, percentile, upper_edge


def counted(values: list[int]) -> np.ndarray:
    counts = np.zeros(BINS, np.int64)
    for value in values:
        counts[bin_of(value)] += 1
    return counts


@given(st.integers(0, (1 << 40) - 1))
def test_a_value_lies_in_its_bin_and_the_bin_is_narrow(value: int) -> None:
    index = bin_of(value)
    lowest = upper_edge(index - 1) + 1 if index else 0
    assert lowest <= value <= upper_edge(index)
    assert upper_edge(index) - lowest <= value / 128


def test_bins_cover_the_line_without_gap() -> None:
    for index in range(BINS - 1):
        assert bin_of(upper_edge(index)) == index
        assert bin_of(upper_edge(index) + 1) == index + 1


def test_values_beyond_the_scale_fall_into_the_outer_bins() -> None:
    assert bin_of(-5) == 0
    assert bin_of(1 << 50) == BINS - 1


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0])
)
def test_a_percentile_is_the_ranked_value_rounded_up_by_less_than_a_percent(
    values: list[int], share: float
) -> None:
    ranked = sorted(values)[max(1, int(np.ceil(share * len(values)))) - 1]
    found = percentile(counted(values), share)
    assert found is not None
    assert ranked <= found <= ranked * 1.008 + 1


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile(np.zeros(BINS, np.int64), 0.5) is None
    assert milliseconds(np.zeros(BINS, np.int64), (0.5, 0.99)) == {"p50": None, "p99": None}


def test_milliseconds_are_named_by_their_share() -> None:
    figures = milliseconds(counted([1_000_000] * 99 + [50_000_000]), (0.5, 0.99, 0.999))
    assert list(figures) == ["p50", "p99", "p99.9"]
    assert figures["p50"] is not None
    assert 1.0 <= figures["p50"] < 1.01
    assert figures["p99.9"] is not None
    assert figures["p99.9"] >= 50
