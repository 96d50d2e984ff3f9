"""The laws of pan and balance."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.mixer.pan import balance, coefficients, pan


@given(st.floats(-1, 1))
@settings(deadline=None)
def test_pan_keeps_the_power_and_mirrors(place: float) -> None:
    left, right = pan(place)
    assert left**2 + right**2 == pytest.approx(1)
    assert pan(-place) == pytest.approx((right, left))


def test_pan_at_its_ends_and_beyond_is_one_side_only() -> None:
    assert pan(-1) == (1.0, 0.0) == pan(-3)
    assert pan(1)[0] == 0.0
    assert pan(1)[1] == pytest.approx(1)
    assert pan(0) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))


@given(st.floats(-1, 1))
@settings(deadline=None)
def test_balance_never_raises_a_side_and_leaves_the_near_one(place: float) -> None:
    left, right = balance(place)
    assert max(left, right) == pytest.approx(1)
    assert 0 <= min(left, right) <= 1


def test_coefficients_of_every_kind() -> None:
    assert coefficients(1, 1, 0.7).tolist() == [[1.0]]
    assert coefficients(1, 2, -1).tolist() == [[1.0], [0.0]]
    assert coefficients(2, 1, 0).tolist() == [[0.5, 0.5]]
    assert coefficients(2, 2, 0).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert coefficients(2, 2, 1).tolist() == [[0.0, 0.0], [0.0, 1.0]]
