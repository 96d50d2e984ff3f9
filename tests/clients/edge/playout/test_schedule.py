"""When positions are to be heard."""

from __future__ import annotations

import pytest

from loaedge.playout.schedule import BEYOND_REACH_S, PlayoutSettings, Schedule
from tests.support.playout_world import EPOCH, RATE, Clock


def tied(clock: Clock | None = None, settings: PlayoutSettings | None = None) -> Schedule:
    """Position 0 was captured at local time 10 and arrived 0.1 s later."""
    schedule = Schedule(clock or Clock(), settings or PlayoutSettings())
    schedule.capture.state(0, EPOCH + 10)
    schedule.arrival.on_arrival(0, 10.1)
    return schedule


def test_nothing_is_known_in_the_beginning() -> None:
    schedule = Schedule(Clock(), PlayoutSettings())
    assert schedule.position_at(5.0) is None
    assert schedule.local_time(0) is None
    assert schedule.newest_arrival(5.0) is None
    assert not schedule.tied


def test_captures_decide_with_delay_and_trim() -> None:
    schedule = tied(settings=PlayoutSettings(0.5, 0.25))
    assert schedule.position_at(11.75) == pytest.approx(RATE, abs=0.1)
    assert schedule.local_time(RATE) == pytest.approx(11.75, abs=1e-5)
    assert schedule.tied
    schedule.settings = PlayoutSettings(1.5, 0.25)
    assert schedule.position_at(12.75) == pytest.approx(RATE, abs=0.1)


def test_without_a_clock_arrivals_decide() -> None:
    schedule = tied(Clock(known=False))
    assert schedule.position_at(11.8) == pytest.approx(RATE, abs=0.1)
    assert schedule.local_time(RATE) == pytest.approx(11.8, abs=1e-5)
    assert not schedule.tied


def test_a_lost_clock_changes_nothing_at_once() -> None:
    clock = Clock()
    schedule = tied(clock)
    before = schedule.position_at(11.0)
    clock.known = False
    after = schedule.position_at(11.5)
    assert before is not None
    assert after == pytest.approx(before + RATE / 2, abs=0.1)
    assert schedule.local_time(after) == pytest.approx(11.5, abs=1e-5)


def test_what_cannot_be_reached_is_given_up_and_taken_up_again() -> None:
    schedule = tied(settings=PlayoutSettings(0.05))  # arrives 0.1 s after its capture
    assert schedule.position_at(11.05) == pytest.approx(RATE, abs=0.1)
    moments = [11.0 + tick * 0.02 for tick in range(round(BEYOND_REACH_S / 0.02) + 2)]
    changed = [schedule.on_frame(int((now - 10.1) * RATE), True, now) for now in moments]
    assert changed.count(True) == 1
    assert changed.index(True) >= round(BEYOND_REACH_S / 0.02) - 1
    assert schedule.position_at(20.15) == pytest.approx(10 * RATE, abs=0.1)  # by arrivals
    assert not schedule.tied
    schedule.settings = PlayoutSettings(0.5)
    moments = [21.0 + tick * 0.02 for tick in range(round(BEYOND_REACH_S / 0.02) + 2)]
    changed = [schedule.on_frame(int((now - 10.1) * RATE), False, now) for now in moments]
    assert changed.count(True) == 1
    assert schedule.position_at(30.5) == pytest.approx(20 * RATE, abs=0.1)
    assert schedule.tied


def test_now_and_then_too_late_is_no_reason_to_give_up() -> None:
    schedule = tied()
    for tick in range(2000):
        now = 11.0 + tick * 0.02
        assert not schedule.on_frame(int((now - 10.1) * RATE), tick % 50 != 0, now)


def test_captures_from_the_future_are_given_up_at_once() -> None:
    schedule = tied()
    schedule.capture.state(RATE, EPOCH + 1000, splice=True)
    assert schedule.on_capture(RATE, 11.1)
    assert not schedule.on_capture(RATE, 11.1)
    assert schedule.position_at(11.8) == pytest.approx(RATE, abs=0.1)
