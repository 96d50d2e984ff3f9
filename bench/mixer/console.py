"""A mixing engine with sound in it: what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relay.mixer.block import FRAME
from relay.mixer.desk import Bus
from relay.mixer.engine import MixEngine
from relay.mixer.intake import AnyFeed
from relay.mixer.matrix import Matrix
from relay.mixer.operators import Operators, bypass
from relay.mixer.standard import standard

BLOCKS = 4
"""Blocks of noise that a feed plays over and over: not the same samples each time, but no hour of sound either."""
_SIZE = 0.1


class Console(Protocol):
    """What has ticks."""

    def tick(self) -> None:
        """Mix one block."""


class Loop:
    """A feed that copies its next block, as one does that has decoded ahead."""

    def __init__(self, blocks: NDArray[np.float32]) -> None:
        self._blocks = list(blocks)
        self._at = 0

    def read(self, out: NDArray[np.float32]) -> bool:
        """The next of the blocks (FRAME,), on both sides."""
        self._at = (self._at + 1) % len(self._blocks)
        out[:] = self._blocks[self._at]
        return True


def loops(inputs: int, seed: int = 1) -> list[Loop]:
    """Noise for every input."""
    random = np.random.default_rng(seed)
    return [Loop(random.uniform(-_SIZE, _SIZE, (BLOCKS, FRAME)).astype(np.float32)) for _ in range(inputs)]


class Mapped:
    """A feed that lends the blocks of a file of raw samples, which is mapped into memory: read by nobody but the mixer.

    Each of several begins a block later than the one before, so that no two want the same samples at a time.
    """

    def __init__(self, file: Path, number: int) -> None:
        """`file` has float32 samples, mono, a block at the least."""
        samples = np.memmap(file, np.float32, "r")
        blocks = len(samples) // FRAME
        self.store = np.asarray(samples[: blocks * FRAME]).reshape(blocks, 1, FRAME)
        self._last = blocks - 1
        self._at = number % blocks

    def lend(self) -> int:
        """The next block, and after the last the first."""
        self._at = at = self._at + 1 if self._at < self._last else 0
        return at


class Nothing:
    """A feed that never has anything."""

    def read(self, out: NDArray[np.float32]) -> bool:
        """Nothing there now."""
        return False


def plain(feeds: Sequence[AnyFeed], buses: int) -> tuple[MixEngine, list[Bus]]:
    """A sum of all inputs on every bus, and nothing else."""
    return _wired(feeds, buses, bypass())


def full(
    feeds: Sequence[AnyFeed], buses: int, *, filters: bool = True, leveller: bool = True
) -> tuple[MixEngine, list[Bus]]:
    """All operators at work: every input has gain and filter, every bus hears all, and one of them ducks the others.

    Limiter, loudness, meters and silence detectors are always on.
    """
    engine, outputs = _wired(feeds, buses, standard(len(feeds), buses))
    inputs = engine.inputs
    for source in inputs:
        source.gain(-3)
        source.filter(filters)
    for number, bus in enumerate(outputs):
        bus.leveller(leveller)
        rule = engine.add_duck(bus)
        key = number % len(inputs)
        rule.key(inputs[key])
        for place, source in enumerate(inputs):
            rule.duck(source, place != key)
    return engine, outputs


def _wired(feeds: Sequence[AnyFeed], buses: int, operators: Operators) -> tuple[MixEngine, list[Bus]]:
    engine = MixEngine(len(feeds), buses, operators)
    inputs = [engine.add_input(feed) for feed in feeds]
    outputs = [engine.add_bus() for _ in range(buses)]
    for bus in outputs:
        for source in inputs:
            bus.route(source, -10 * np.log10(len(inputs)).item())
    return engine, outputs


class Bare:
    """The matrix alone, from samples that are in memory to one bus: the sum as such."""

    def __init__(self, inputs: int) -> None:
        self._matrix = Matrix(inputs, 1)
        for row in range(inputs):
            self._matrix.set(0, row, 1 / inputs)
        self._rows, self._bus = np.arange(inputs, dtype=np.int64), np.zeros(1, np.int64)
        random = np.random.default_rng(1)
        self._block = random.uniform(-_SIZE, _SIZE, (inputs, FRAME)).astype(np.float32)
        self._out = np.zeros((1, FRAME), np.float32)

    def tick(self) -> None:
        """Mix one block."""
        self._matrix.process(self._block, self._rows, self._out, self._bus)
