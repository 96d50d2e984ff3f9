from __future__ import annotations

import random

import pytest

from loacodecs.clocksync import ClockSync
from loaedge.receiver.oneway import OneWay

EPOCH = 1_700_000_000.0


def test_a_delay_that_wanders_does_not_run_away_with_the_clock() -> None:
    """60 ms each way at least, up to 300 more; consent checks are rare, so that their round trip says nothing."""
    generator = random.Random(1)
    one_way, clock = OneWay(), ClockSync()
    round_trip = 0.28
    for number in range(240):
        sent = 100.0 + number * 0.5
        if number % 10 == 0:
            round_trip = 0.12 + abs(generator.gauss(0, 0.05)) + abs(generator.gauss(0, 0.05))
        came = sent + 0.06 + abs(generator.gauss(0, 0.08))
        clock.add(one_way.exchange(EPOCH + sent, came, round_trip))
        told = clock.relay_time(came)
        assert told is not None
        if number > 10:
            assert told - came - EPOCH == pytest.approx(0.0, abs=0.06)
    assert abs(clock.rate_ppm) < 200


def test_the_slower_a_report_the_less_it_says() -> None:
    one_way = OneWay()
    quick = one_way.exchange(EPOCH + 10.0, 10.06, 0.12)
    slow = one_way.exchange(EPOCH + 15.0, 15.16, 0.12)
    assert quick.round_trip == pytest.approx(0.24), "of a single one nobody knows how quick it was"
    assert slow.round_trip == pytest.approx(0.32, abs=0.003)
    assert slow.offset == pytest.approx(quick.offset, abs=0.002)


def test_ever_quicker_reports_do_not_set_the_clock_running() -> None:
    """A control link that stalls for 13 s while the delay of the media creeps down, then exchanges again."""
    one_way, clock = OneWay(), ClockSync()
    delays = (0.112, 0.095, 0.120, 0.089, 0.110, 0.125, 0.084, 0.070, 0.098, 0.075, 0.067, 0.090, 0.110)
    for number, delay in enumerate(delays):
        sent = 100.0 + number * 1.17
        clock.add(one_way.exchange(EPOCH + sent, sent + delay, 0.28))
    stopped = 100.0 + len(delays) * 1.17
    assert abs(clock.rate_ppm) < 200
    told = [clock.relay_time(at) for at in (stopped, stopped + 20.0)]
    assert told[0] is not None
    assert told[1] is not None
    assert told[1] - told[0] == pytest.approx(20.0, abs=0.005)
