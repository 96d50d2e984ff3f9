from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.link.lateness import Lateness


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_the_ranked_duration_rounded_up_by_less_than_a_percent(
    durations: list[float], share: float
) -> None:
    lateness = Lateness()
    for duration in durations:
        lateness.add(duration)
    ranked = sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]
    found = lateness.percentile(share)
    assert found is not None
    assert ranked - 1e-9 <= found <= ranked * 1.008 + 2e-9
    assert lateness.largest == max(durations)


def test_nothing_counted_has_no_percentile() -> None:
    assert Lateness().percentile(0.5) is None


@pytest.mark.parametrize("duration", [-1.0, 1e6])
def test_durations_beyond_the_scale_are_counted(duration: float) -> None:
    lateness = Lateness()
    lateness.add(duration)
    assert lateness.counted == 1
    assert lateness.percentile(1.0) is not None
