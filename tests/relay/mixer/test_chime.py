"""The chime on an engine."""

from __future__ import annotations

import numpy as np

from loacodecs.chime import two_notes
from relay.mixer.block import FRAME
from relay.mixer.chime import ChimeFeed
from relay.mixer.engine import MixEngine


def test_it_sounds_once_from_the_next_block_on_and_again_when_started_again() -> None:
    engine, feed = MixEngine(1, 1), ChimeFeed()
    bus = engine.add_bus()
    bus.route(engine.add_input(feed), 0)
    engine.tick()
    assert not bus.samples.any()
    for _ in range(2):
        feed.start()
        heard = []
        for _ in range(feed.blocks + 1):
            engine.tick()
            heard.append(bus.samples[0].copy())
        sound = np.concatenate(heard)
        expected = two_notes()
        assert np.array_equal(sound[: len(expected)], expected)
        assert not sound[len(expected) :].any()


def test_the_last_block_ends_in_silence_whatever_was_there_before() -> None:
    feed = ChimeFeed(np.full(FRAME + 10, 0.5, np.float32))
    feed.start()
    out = np.full((2, FRAME), 9, np.float32)
    assert feed.read(out)
    assert feed.read(out)
    assert (out[:, :10] == 0.5).all()
    assert not out[:, 10:].any()
    assert not feed.read(out)
    assert feed.blocks == 2
