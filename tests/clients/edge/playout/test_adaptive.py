"""A receiver and the relay's rule for redundancy: the reports of one are all that the other has to go by."""

from __future__ import annotations

import itertools

from relay.channels.adaptive import AdaptiveRedundancy
from tests.support.playout_world import RATE, Encoding, World, damaged, ideal, station

BAD_S = 14.0


def test_losses_bring_redundancy_that_mends_them_and_good_times_take_it_away_again() -> None:
    """A link whose round trip is longer than the delay: to ask again is of no use there."""
    packets = station(80.0, Encoding(frame_ms=60))
    world = World()
    relay = world.join("a", adaptive=AdaptiveRedundancy(), answers=False)
    sent = itertools.count()
    relay.hold = lambda now: now < BAD_S and next(sent) % 25 == 7
    world.broadcast(packets)
    levels: list[int] = []
    for second in range(1, 81):
        world.run(float(second))
        levels.append(relay.red_level)
    assert levels[0] == 0
    raised = levels.index(1)
    assert raised < 12
    assert set(levels) == {0, 1}
    assert levels[-1] == 0
    assert levels[round(BAD_S) + 30] == 1, "not before it has been good for half a minute"
    reference = ideal(packets, 0.7, 80 * RATE)
    plain, mended = (
        damaged(world.between(begin, end), reference[round(begin * RATE) : round(end * RATE)])
        for begin, end in ((1.0, raised + 1.0), (raised + 2.0, BAD_S + 1.0))
    )
    assert plain > 0.02
    assert mended == 0.0
    assert world.playout.stats.recovered_red > 0
