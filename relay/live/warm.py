"""Loads or compiles all that the mixer is made of before the first tick: that has 20 ms, a compiler takes seconds."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.mixer.engine import MixEngine
from relay.mixer.standard import standard

_BLOCKS: Final = 60


class _Noise:
    """Loud for a second, then nothing; sounds that every operator has to do with."""

    def __init__(self) -> None:
        self._left = 30
        self._block = np.random.default_rng(1).uniform(-1, 1, (2, 960)).astype(np.float32)

    def read(self, out: NDArray[np.float32]) -> bool:
        """As a Feed does."""
        self._left -= 1
        out[:] = self._block
        return self._left > 0


def warm_up() -> None:
    """Mix some blocks that nobody hears."""
    engine = MixEngine(6, 6, standard(6, 6))
    for channels in (1, 2):
        bus, keyed = engine.add_bus(channels), engine.add_input(_Noise(), channels)
        ducked = engine.add_input(_Noise(), channels)
        bus.leveller(True)
        duck = engine.add_duck(bus)
        duck.key(keyed)
        duck.duck(ducked)
        for source in (keyed, ducked):
            source.filter(True)
            source.gain(-3.0, 0.1)
            source.fade(-60.0, 0.3)
            source.pan(0.3)
            bus.route(source, 0.0)
    for _ in range(_BLOCKS):
        engine.tick()
    for bus in engine.buses:
        bus.loudness()
        bus.level()
