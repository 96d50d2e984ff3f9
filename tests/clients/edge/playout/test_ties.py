"""What time a position stands for."""

from __future__ import annotations

import random

import pytest

from loaedge.playout.ties import ArrivalTie, CaptureTie

RATE = 48000
EPOCH = 1.7e9


def test_captures_and_positions_are_inverse() -> None:
    tie = CaptureTie()
    assert not tie.known
    tie.state(960, EPOCH)
    assert tie.known
    assert tie.captured(960 + RATE) == pytest.approx(EPOCH + 1, abs=1e-6)
    assert tie.position_at(EPOCH + 1) == pytest.approx(960 + RATE, abs=0.05)


def test_statements_that_differ_by_a_sample_change_nothing() -> None:
    tie = CaptureTie()
    tie.state(0, EPOCH)
    before = tie.captured(10_000_000)
    for second in range(1, 100):
        tie.state(second * RATE, EPOCH + second + random.Random(second).uniform(-1, 1) / RATE)
    assert tie.captured(10_000_000) == before


def test_a_relay_that_still_settles_is_followed_at_once_to_earlier_times_only() -> None:
    tie = CaptureTie()
    tie.state(0, EPOCH)
    tie.state(RATE // 10, EPOCH + 0.1 - 0.015)
    assert tie.captured(0) == pytest.approx(EPOCH - 0.015, abs=1e-6)
    tie.state(RATE // 5, EPOCH + 0.2)
    assert tie.captured(0) == pytest.approx(EPOCH - 0.015, abs=0.0001)
    tie.state(10 * RATE, EPOCH + 10 - 0.030)
    assert tie.captured(0) == pytest.approx(EPOCH - 0.015, abs=0.004)


def test_drift_is_followed() -> None:
    tie = CaptureTie()
    for second in range(600):
        tie.state(second * RATE, EPOCH + second * (1 + 100e-6))
    assert tie.captured(600 * RATE) == pytest.approx(EPOCH + 600 * (1 + 100e-6), abs=0.0003)


def test_one_wrong_statement_is_not_believed() -> None:
    tie = CaptureTie()
    tie.state(0, EPOCH)
    tie.state(RATE, EPOCH + 500)
    tie.state(2 * RATE, EPOCH + 2)
    tie.state(3 * RATE, EPOCH - 500)
    assert tie.captured(4 * RATE) == pytest.approx(EPOCH + 4, abs=0.001)


def test_two_that_agree_are_from_there_on() -> None:
    tie = CaptureTie()
    tie.state(0, EPOCH)
    tie.state(RATE, EPOCH + 1.3)
    tie.state(2 * RATE, EPOCH + 2.3)
    assert tie.captured(RATE) == pytest.approx(EPOCH + 1, abs=1e-6)
    assert tie.captured(2 * RATE) == pytest.approx(EPOCH + 2.3, abs=1e-6)
    # Between the end of one part and the beginning of the next nothing was captured.
    assert tie.position_at(EPOCH + 1.9) == pytest.approx(1.9 * RATE, abs=0.1)
    assert tie.position_at(EPOCH + 2.1) == pytest.approx(2 * RATE, abs=0.1)
    assert tie.position_at(EPOCH + 2.5) == pytest.approx(2.2 * RATE, abs=0.1)


def test_a_splice_is_believed_at_once() -> None:
    tie = CaptureTie()
    tie.state(0, EPOCH)
    tie.state(10 * RATE, EPOCH + 10.008, splice=True)
    assert tie.captured(9 * RATE) == pytest.approx(EPOCH + 9, abs=1e-6)
    assert tie.captured(11 * RATE) == pytest.approx(EPOCH + 11.008, abs=1e-6)


def test_many_splices_are_no_more_memory_and_time_goes_on() -> None:
    tie = CaptureTie()
    for second in range(1000):
        tie.state(second * RATE, EPOCH + second + 0.01 * (second % 2), splice=True)
    assert tie.position_at(EPOCH + 999.5) == pytest.approx(999.5 * RATE, abs=600)


def test_arrivals_are_tied_by_the_quickest() -> None:
    rng = random.Random(1)
    tie = ArrivalTie()
    for index in range(3000):
        tie.on_arrival(index * 960, index * 0.02 + 0.05 + rng.expovariate(50))
    assert tie.arrival(3000 * 960) == pytest.approx(60.05, abs=0.002)
    assert tie.position_at(60.05) == pytest.approx(3000 * 960, abs=100)


def test_arrivals_follow_a_clock_that_drifts() -> None:
    tie = ArrivalTie()
    for index in range(50_000):
        tie.on_arrival(index * 960, index * 0.02 * (1 + 80e-6))
    assert tie.arrival(50_000 * 960) == pytest.approx(1000 * (1 + 80e-6), abs=0.002)
