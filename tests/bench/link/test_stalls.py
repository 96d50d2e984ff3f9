from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.link.stalls import Stalls
from loacodecs.errors import ConfigurationError


def test_periodic_stalls_begin_after_a_period_and_return() -> None:
    stalls = Stalls(every=600, duration=3)
    assert stalls.end(0) is None
    assert stalls.end(599.9) is None
    assert stalls.end(600) == 603
    assert stalls.end(602.5) == 603
    assert stalls.end(603) is None
    assert stalls.end(1201) == 1203


def test_the_first_stall_may_come_earlier() -> None:
    stalls = Stalls(every=10, duration=1, first=0)
    assert stalls.end(0) == 1
    assert stalls.end(10.5) == 11


def test_listed_stalls() -> None:
    stalls = Stalls(listed=((1, 2), (5, 0.5)))
    assert [stalls.end(at) for at in (0.5, 1, 2.9, 3, 5.25, 6)] == [None, 3, 3, None, 5.5, None]


@given(st.floats(0.01, 1000), st.floats(0, 0.99), st.floats(0, 100), st.floats(0, 1e6))
def test_a_stall_ends_in_the_future_and_within_its_duration(
    every: float, share: float, first: float, at: float
) -> None:
    end = Stalls(every=every, duration=every * share, first=first).end(at)
    if end is not None:
        assert at - 1e-6 <= end <= at + every * share + 1e-6


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({}, "duration"),
        ({"duration": 1}, "every"),
        ({"every": 3, "duration": 3}, "duration"),
        ({"every": 3, "duration": 1, "first": -1}, "first"),
        ({"every": 3, "duration": 1, "listed": ((1, 1),)}, "listed"),
        ({"listed": ((1, 1), (2, 1))}, r"listed\[1\]"),
        ({"listed": ((-1, 1),)}, r"listed\[0\]"),
    ],
)
def test_impossible_stalls_are_refused_by_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{key}: "):
        Stalls(**values)
