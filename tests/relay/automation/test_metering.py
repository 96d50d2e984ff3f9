"""The level of what the mixer reads, asked by another thread meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from relay.automation.metering import MeteredFeed
from tests.support.hand_mixer import HandSource
from tests.support.interleaving import at_every_turn

LEVEL = -20.0
BLOCK = np.zeros((2, 960), np.float32)


def metered() -> MeteredFeed:
    """A feed of which every block has the same level, read for a while."""
    sound = np.full(96_000, 10 ** (LEVEL / 20), np.float32)
    feed = MeteredFeed(HandSource(sound, state="playing"))
    feed.read(BLOCK)
    assert feed.level_dbfs() == pytest.approx(LEVEL)
    feed.read(BLOCK)
    return feed


def test_it_says_nothing_of_a_time_in_which_nothing_was_read() -> None:
    feed = metered()
    assert feed.level_dbfs() == pytest.approx(LEVEL)
    assert feed.level_dbfs() is None


def test_a_block_that_comes_while_the_level_is_asked_counts_whole_or_not_at_all() -> None:
    feeds: list[MeteredFeed] = []

    def make() -> tuple[Callable[[], float | None], Callable[[], None]]:
        feed = metered()
        feeds.append(feed)
        return feed.level_dbfs, lambda: read(feed)

    def read(feed: MeteredFeed) -> None:
        assert feed.read(BLOCK)

    assert list(at_every_turn(make)) == pytest.approx([LEVEL] * len(feeds))
    later = [level for feed in feeds if (level := feed.level_dbfs()) is not None]
    assert later == pytest.approx([LEVEL] * len(later))


def test_so_does_one_in_the_middle_of_which_it_is_asked() -> None:
    asked: list[float | None] = []

    def make() -> tuple[Callable[[], bool], Callable[[], None]]:
        feed = metered()
        return lambda: feed.read(BLOCK), lambda: asked.append(feed.level_dbfs())

    assert all(at_every_turn(make))
    assert asked == pytest.approx([LEVEL] * len(asked))
