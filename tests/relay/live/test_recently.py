"""What went wrong is told for a minute or two after it was last seen to."""

from __future__ import annotations

from relay.live.recently import Recently


def test_what_grows_is_told_until_it_has_been_still_for_a_while() -> None:
    count = Recently(100.0)
    assert count.grown(0, 100.0) == 0
    assert count.grown(7, 130.0) == 7
    assert [count.grown(7, 130.0 + second) > 0 for second in (1, 29, 59)] == [True, True, True]
    assert count.grown(7, 260.0) == 0
    assert count.grown(9, 270.0) == 2


def test_what_grew_while_nobody_looked_is_told_at_the_next_look() -> None:
    count = Recently(100.0)
    assert count.grown(3, 5000.0) == 3
