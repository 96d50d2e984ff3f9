"""Capture time from arrivals and from an upstream's statements; clocks are simulated."""

from __future__ import annotations

import random

import pytest

from relay.channels.capture import CaptureClock

T0 = 1_700_000_000.0


def test_jitter_and_late_packets_do_not_move_the_clock() -> None:
    clock = CaptureClock()
    rng = random.Random(1)
    for n in range(3000):
        delay = rng.choice([0.0, 0.0, 0.004, 0.02, 0.1])
        clock.on_arrival(960 * n, T0 + 0.02 * n + delay)
    captured = clock.capture(960 * 3000)
    assert captured is not None
    assert abs(captured - (T0 + 60.0)) < 0.0005


def test_the_lateness_of_the_first_packets_is_forgotten_at_once() -> None:
    clock = CaptureClock()
    late = [0.02, 0.015, 0.0, 0.01]
    for n in range(40):
        clock.on_arrival(960 * n, T0 + 0.02 * n + (late[n] if n < len(late) else 0.001))
        captured = clock.capture(960 * n)
        assert captured is not None
        assert abs(captured - (T0 + 0.02 * n + min(late[: n + 1]))) < 1e-6


def test_what_comes_early_is_followed_slowly_once_the_clock_has_settled() -> None:
    clock = CaptureClock()
    for n in range(150):
        clock.on_arrival(960 * n, T0 + 0.02 * n + 0.02)
    assert not clock.settling(T0 + 3)
    for n in range(150, 650):
        clock.on_arrival(960 * n, T0 + 0.02 * n)
    captured = clock.capture(960 * 650)
    assert captured is not None
    # Ten seconds at 200 ppm.
    assert abs(captured - (T0 + 13 + 0.02 - 0.002)) < 0.0001


@pytest.mark.parametrize("step", [-2.0, 2.0])
def test_a_wall_clock_that_is_set_is_followed_at_once(step: float) -> None:
    """Set forward it was followed after 8 to 16 s, in which every receiver took the sound for too late."""
    clock = CaptureClock()
    for n in range(1_000):
        set_by = step if n >= 600 else 0.0
        dealt_with = 0.3 if 200 <= n < 215 else 0.001  # a stall of ours is no step
        clock.on_arrival(960 * n, T0 + 0.02 * n + set_by, T0 + set_by - dealt_with)
        captured = clock.capture(960 * n)
        assert captured is not None
        assert abs(captured - (T0 + 0.02 * n + set_by)) < 1e-6


def test_a_network_that_delays_all_by_more_is_no_clock_that_was_set() -> None:
    clock = CaptureClock()
    for n in range(900):
        clock.on_arrival(960 * n, T0 + 0.02 * n + (0.4 if n >= 600 else 0.0), T0)
    captured = clock.capture(960 * 900)
    assert captured is not None
    assert abs(captured - (T0 + 18.0)) < 0.001


def test_another_source_settles_anew() -> None:
    clock = CaptureClock()
    for n in range(500):
        clock.on_arrival(960 * n, T0 + 0.02 * n)
    clock.reset()
    assert not clock.settling(T0 + 10)
    clock.on_arrival(7, T0 + 10.02)
    assert clock.settling(T0 + 10.02)
    clock.on_arrival(967, T0 + 10.02)
    captured = clock.capture(967)
    assert captured is not None
    assert abs(captured - (T0 + 10.02)) < 1e-6


def test_a_clock_with_an_upstream_has_nothing_to_settle() -> None:
    clock = CaptureClock()
    clock.on_arrival(0, T0)
    assert clock.settling(T0 + 0.1)
    clock.on_statement(960, T0)
    assert not clock.settling(T0 + 0.1)


def test_a_sound_card_that_is_100_ppm_off_is_followed() -> None:
    clock = CaptureClock()
    rate = 1 + 100e-6
    for n in range(0, 3600 * 50, 5):
        clock.on_arrival(960 * n & 0xFFFF_FFFF, T0 + 0.02 * n * rate)
    end = 3600 * 50
    captured = clock.capture(960 * end & 0xFFFF_FFFF)
    assert captured is not None
    # Following lags by at most two windows of drift: 16 s of 100 ppm.
    assert abs(captured - (T0 + 0.02 * end * rate)) < 0.003


def test_timestamps_wrap_without_a_jump() -> None:
    clock = CaptureClock()
    start = 0xFFFF_FFFF - 48_000
    for n in range(200):
        clock.on_arrival((start + 960 * n) & 0xFFFF_FFFF, T0 + 0.02 * n)
    captured = clock.capture((start + 960 * 200) & 0xFFFF_FFFF)
    assert captured is not None
    assert abs(captured - (T0 + 4.0)) < 1e-6


def test_a_statement_is_carried_on_and_arrivals_no_longer_matter() -> None:
    clock = CaptureClock()
    clock.on_arrival(0, T0 + 5)
    clock.on_statement(960, T0)
    clock.on_arrival(1920, T0 + 9)
    assert clock.carried
    assert clock.capture(960 + 48_000) == T0 + 1
    assert clock.timestamp_at(T0 + 2) == 960 + 96_000


def test_reset_forgets_the_tie() -> None:
    clock = CaptureClock()
    clock.on_statement(0, T0)
    clock.reset()
    assert not clock.known
    assert clock.capture(0) is None
    assert clock.timestamp_at(T0) is None


def test_timestamp_at_is_the_inverse_of_capture() -> None:
    clock = CaptureClock()
    clock.on_arrival(777, T0)
    captured = clock.capture(777 + 12_345)
    assert captured is not None
    assert clock.timestamp_at(captured) == 777 + 12_345
