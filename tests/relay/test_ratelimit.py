"""Buckets and strangers, by a hand clock."""

from __future__ import annotations

import pytest

from relay.ratelimit import Bucket, Strangers


def test_a_burst_is_free_and_then_each_one_costs_its_time() -> None:
    bucket = Bucket(rate=10, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


def test_waiting_as_told_never_adds_up() -> None:
    bucket, now = Bucket(rate=10, burst=3, now=0.0), 0.0
    for _ in range(1000):
        now += bucket.take(now)
    assert now == pytest.approx((1000 - 3) / 10)


def test_the_burst_is_earned_again_and_no_more() -> None:
    bucket = Bucket(rate=10, burst=3, now=0.0)
    for _ in range(3):
        bucket.take(0.0)
    assert [bucket.take(1000.0) for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket = Bucket(rate=10, burst=1, now=100.0)
    bucket.take(100.0)
    assert bucket.take(50.0) > 0


def test_what_is_refused_costs_nothing() -> None:
    bucket, now, admitted = Bucket(rate=10, burst=3, now=0.0), 0.0, 0
    for n in range(1, 1_201):
        now = n / 12
        admitted += bucket.admit(now) == 0
    assert admitted == pytest.approx(10 / 12 * 1_200, abs=4), "two in twelve are too many, not all"
    assert 0 < bucket.admit(now) <= 0.1
    assert bucket.admit(now + 0.1) == 0


def test_strangers_are_bounded_together_and_by_address() -> None:
    strangers = Strangers(maximum=3, of_one_address=2)
    assert [strangers.enter("a") for _ in range(3)] == [True, True, False]
    assert strangers.enter("b")
    assert not strangers.enter("c"), "three in all"
    strangers.leave("a")
    assert strangers.enter("c")
    assert len(strangers) == 3


def test_addresses_that_have_gone_are_forgotten() -> None:
    strangers = Strangers(maximum=2, of_one_address=1)
    for number in range(10_000):
        assert strangers.enter(str(number))
        strangers.leave(str(number))
    assert len(strangers) == 0
