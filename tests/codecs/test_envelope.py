import random

import pytest

from loacodecs.envelope import Envelope, Tie
from loacodecs.linetrack import wander_variance

AHEAD = 0.4
"""How far the other clock is ahead of the local one, at local time 0."""
LEAST = 0.06


def envelope() -> Envelope:
    return Envelope(rate_sigma=70e-6, wander=wander_variance(1.0, 600.0), noise=150e-6)


def add(to: Envelope, at: float, there: float, back: float, rate: float = 0.0) -> None:
    """An exchange whose ways take so long."""
    arrived = at + there + back
    to.add(at, there + AHEAD + rate * at, arrived, back - AHEAD - rate * arrived)


def estimate(of: Envelope, at: float) -> Tie:
    tie = of.estimate(at)
    assert tie is not None
    return tie


def delay(source: random.Random) -> float:
    """P2, and a segment that TCP has to repeat now and then."""
    return LEAST + abs(source.gauss(0, 0.083)) + (0.2 if source.random() < 0.02 else 0.0)


def test_nothing_is_known_from_a_few_exchanges():
    one = envelope()
    assert one.estimate(0.0) is None
    for at in range(3):
        add(one, float(at), LEAST, LEAST)
    assert one.estimate(3.0) is None


def test_no_exchange_need_be_quick_both_there_and_back():
    """Each way is quick now and then, never both: the best round trip would be 100 ms off."""
    one = envelope()
    for at in range(40):
        slow = 0.2 + 0.01 * (at % 7)
        there, back = (0.001 * (at % 5), slow) if at % 4 == 0 else (slow, 0.002 * (at % 3))
        add(one, at * 0.5, LEAST + there, LEAST + back)
    assert estimate(one, 20.0).value(20.0) == pytest.approx(AHEAD, abs=2e-3)


@pytest.mark.parametrize("rate", [60e-6, -60e-6])
def test_a_drift_is_found_and_carried_on(rate: float):
    source, one = random.Random(3), envelope()
    for step in range(180):
        add(one, step * 5.0, delay(source), delay(source), rate)
    tie = estimate(one, 900.0)
    assert tie.rate == pytest.approx(rate, abs=6e-6)
    assert tie.value(960.0) == pytest.approx(AHEAD + rate * 960.0, abs=4e-3)


def test_errors_are_as_large_as_it_says():
    shares = []
    for seed in range(60):
        source, one = random.Random(seed), envelope()
        for step in range(60):
            add(one, step * 1.0, delay(source), delay(source))
        tie = estimate(one, 60.0)
        shares.append(abs(tie.offset - AHEAD) / tie.sigma)
    assert sum(share > 1 for share in shares) < 30
    assert max(shares) < 4


def test_what_is_not_known_grows_with_time():
    one = envelope()
    for at in range(20):
        add(one, float(at), LEAST, LEAST)
    tie = estimate(one, 20.0)
    assert tie.deviation(20.0) < 1e-3
    assert tie.deviation(20.0) < tie.deviation(620.0) < tie.deviation(3620.0)


def test_one_reading_below_all_others_moves_nothing_until_there_are_others():
    source, one = random.Random(5), envelope()
    for step in range(100):
        add(one, float(step), LEAST + 0.002 * source.random(), LEAST + 0.002 * source.random())
    add(one, 100.0, LEAST - 0.05, LEAST)
    assert estimate(one, 101.0).value(101.0) == pytest.approx(AHEAD, abs=1e-3)
    for step in range(101, 106):
        add(one, float(step), LEAST - 0.05, LEAST)
    assert estimate(one, 106.0).value(106.0) == pytest.approx(AHEAD - 0.025, abs=2e-3)


def test_a_way_that_got_longer_is_not_held_against_the_clock():
    """The quickest of before is still true; what is slower now says nothing new."""
    source, one = random.Random(6), envelope()
    for step in range(400):
        longer = 0.03 if step >= 200 else 0.0
        add(one, step * 5.0, LEAST + longer + 0.01 * source.random(), LEAST + 0.01 * source.random())
    assert estimate(one, 2000.0).value(2000.0) == pytest.approx(AHEAD, abs=4e-3)


def test_what_was_before_a_change_can_be_forgotten():
    one = envelope()
    for step in range(50):
        add(one, step * 1.0, LEAST, LEAST)
    for step in range(50, 60):
        one.add(step * 1.0, LEAST + AHEAD + 0.02, step + 0.12, LEAST - AHEAD - 0.02)
    assert estimate(one, 60.0).value(60.0) == pytest.approx(AHEAD + 0.01, abs=6e-3)
    one.forget(before=50.0)
    assert estimate(one, 60.0).value(60.0) == pytest.approx(AHEAD + 0.02, abs=1e-3)
    one.forget()
    assert one.estimate(60.0) is None
