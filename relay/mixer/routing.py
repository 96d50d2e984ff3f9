"""Who hears whom, in inputs and buses; the matrix knows rows only."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from relay.mixer.block import gain_of
from relay.mixer.matrix import Matrix
from relay.mixer.pan import coefficients


class Rows(Hashable, Protocol):
    """Rows that belong together."""

    first: int
    channels: int


class Placed(Rows, Protocol):
    """Those of an input, which stands at a place from -1 (left) to 1 (right)."""

    place: float


class Aside(Hashable, Protocol):
    """A ducking rule: `side` is the first of the rows in which what it ducks is mixed apart from the rest."""

    side: int


class Routing:
    """Sets the cells of a matrix: route gain times pan, in the bus' own rows or in those of a ducking rule."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._gains: dict[Placed, dict[Rows, float]] = {}
        self._ducks: dict[tuple[Placed, Rows], Aside] = {}

    def route(self, bus: Rows, source: Placed, db: float | None) -> None:
        """Let a bus hear an input, or not."""
        heard = self._gains.setdefault(source, {})
        if db is None:
            heard.pop(bus, None)
        else:
            heard[bus] = gain_of(db)
        self._apply(bus, source)

    def repan(self, source: Placed) -> None:
        """The input stands elsewhere now."""
        for bus in self._gains.get(source, {}):
            self._apply(bus, source)

    def duck(self, bus: Rows, source: Placed, duck: Aside | None) -> None:
        """Mix an input of a bus in the rows of a rule, or in the bus' own."""
        old = self._ducks.pop((source, bus), None)
        if duck is not None:
            self._ducks[source, bus] = duck
        if old is not None and old is not duck:
            self._set(old.side, bus, source, 0.0)
        self._apply(bus, source)

    def forget_duck(self, duck: Aside) -> None:
        """The inputs of a rule go back to the rows of its bus."""
        for source, bus in [place for place, each in self._ducks.items() if each is duck]:
            self.duck(bus, source, None)

    def forget_input(self, source: Placed) -> None:
        """Nobody hears the input, at once."""
        self._gains.pop(source, None)
        for place in [place for place in self._ducks if place[0] is source]:
            del self._ducks[place]
        for row in range(source.first, source.first + source.channels):
            self._matrix.clear_input(row)

    def forget_bus(self, bus: Rows) -> None:
        """The bus hears nobody, at once."""
        for heard in self._gains.values():
            heard.pop(bus, None)
        for place in [place for place in self._ducks if place[1] is bus]:
            del self._ducks[place]
        for row in range(bus.first, bus.first + bus.channels):
            self._matrix.clear_output(row)

    def _apply(self, bus: Rows, source: Placed) -> None:
        gain = self._gains.get(source, {}).get(bus, 0.0)
        duck = self._ducks.get((source, bus))
        self._set(bus.first, bus, source, 0.0 if duck else gain)
        if duck:
            self._set(duck.side, bus, source, gain)

    def _set(self, first: int, bus: Rows, source: Placed, gain: float) -> None:
        cells = coefficients(source.channels, bus.channels, source.place) * gain
        for i in range(bus.channels):
            for j in range(source.channels):
                self._matrix.set(first + i, source.first + j, float(cells[i, j]))
