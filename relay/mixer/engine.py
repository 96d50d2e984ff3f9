"""The engine: reads a block from every feed, mixes it into every bus, and keeps what the operators know of each.

    feeds → intake, meter → filter → gain → fade → matrix → ducked rows →
                                               ↘ ducking: curves ↗
    → leveller → makeup → limiter → loudness, meter, silence
                    ↖ what it took ←↙

One tick is one block. A feed that has nothing is silence and delays nobody; a row without sound and a bus that hears
none are left out of every loop. `tick` belongs to one thread; everything else may be called from any: a lock keeps
changes between two ticks, so a caller waits for the length of a tick at most.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

import numpy as np

from relay.mixer.block import Block, MixerFull, Rows, blocks_of
from relay.mixer.buses import add_ducked, settle
from relay.mixer.desk import Bus, Duck, Input
from relay.mixer.ducking import DuckSettings
from relay.mixer.intake import AnyFeed
from relay.mixer.operators import Operators, bypass
from relay.mixer.parts import Parts
from relay.mixer.rowpool import RowPool

TAIL = blocks_of(4)
"""A bus goes on for so long after its last sound: until the look-ahead and all windows of loudness have run empty."""

STAGES = (
    "feeds",
    "filter",
    "gain",
    "fade",
    "ducking",
    "matrix",
    "leveller",
    "makeup",
    "limiter",
    "loudness",
    "bus_meter",
    "silence",
)
"""The steps of a tick in their order, as `mark` is told of them."""

Mark = Callable[[str], None]


class MixEngine:
    """Room for `inputs` rows of inputs and `buses` rows of buses; a mono sound takes one, a stereo one two."""

    def __init__(self, inputs: int, buses: int, operators: Operators | None = None) -> None:
        self._parts = Parts(inputs, buses, bypass() if operators is None else operators)
        self._lock = RLock()
        self._inputs: list[Input] = []
        self._buses: list[Bus] = []
        self._ducks: list[Duck] = []
        self._input_pool = RowPool(inputs, "inputs")
        self._bus_pool = RowPool(buses, "buses")
        self._side_pool = RowPool(buses, "ducking")
        self._rule_pool = RowPool(buses, "rules of ducking")
        self._capacity = buses
        self._places = np.zeros((buses, 3), np.int64)
        self._rules = np.zeros(0, np.int64)
        self._outputs = np.zeros(0, np.int64)
        self._bus_places = np.zeros((0, 2), np.int64)
        self._bus_firsts = np.zeros(0, np.int64)
        self._levels = np.zeros(0)
        self._quiet = np.zeros(2 * buses, np.int64)
        self._audible = (np.zeros(inputs, np.int64), np.zeros(inputs, np.int64))
        self._found = (np.zeros(buses, np.int64), np.zeros(buses, np.int64))

    @property
    def latency(self) -> int:
        """Samples from a feed to a bus, apart from the tick itself: the limiter's look-ahead."""
        return self._parts.operators.limiter.latency

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Those there are, in the order in which they came."""
        return tuple(self._inputs)

    @property
    def buses(self) -> tuple[Bus, ...]:
        """Those there are, in the order in which they came."""
        return tuple(self._buses)

    def bus(self, bus: Bus) -> Block:
        """The last block of a bus, (1 or 2, FRAME); the next tick overwrites it."""
        return bus.samples

    def add_input(self, feed: AnyFeed, channels: int = 1) -> Input:
        """Take an input at 0 dB, in the middle, which no bus hears yet.

        Raises MixerFull, and ValueError for a LendingFeed whose store cannot be used.
        """
        with self._lock:
            first = self._input_pool.take(channels)
            found = Input(first, channels, feed, self._parts, self._lock)
            for row in found.rows:
                self._parts.reset_input(row)
            try:
                self._parts.intake.use([*self._inputs, found])
            except ValueError:
                self._input_pool.give_back(first, channels)
                raise
            self._inputs.append(found)
            return found

    def remove_input(self, source: Input) -> None:
        """Let an input go, at once: fade it first. Raises ValueError for one that is gone already."""
        with self._lock:
            self._inputs.remove(source)
            self._parts.routing.forget_input(source)
            for duck in self._ducks:
                duck.key(source, False)
            self._input_pool.give_back(source.first, source.channels)
            self._parts.intake.use(self._inputs)

    def add_bus(self, channels: int = 1) -> Bus:
        """Take a bus that hears nothing yet. Raises MixerFull."""
        with self._lock:
            first = self._bus_pool.take(channels)
            found = Bus(first, channels, self._parts, self._lock)
            self._parts.reset_bus(first, channels)
            self._buses.append(found)
            self._rebuild()
            return found

    def remove_bus(self, bus: Bus) -> None:
        """Let a bus and its ducking rules go. Raises ValueError for one that is gone already."""
        with self._lock:
            self._buses.remove(bus)
            for duck in [each for each in self._ducks if each.bus is bus]:
                self.remove_duck(duck)
            self._parts.routing.forget_bus(bus)
            self._bus_pool.give_back(bus.first, bus.channels)
            self._rebuild()

    def add_duck(self, bus: Bus, settings: DuckSettings | None = None) -> Duck:
        """Take a ducking rule of a bus, without keys and ducked inputs yet. Raises MixerFull."""
        with self._lock:
            rule = self._rule_pool.take(1)
            try:
                side = self._capacity + self._side_pool.take(bus.channels)
            except MixerFull:
                self._rule_pool.give_back(rule, 1)
                raise
            self._parts.ducking.reset(rule)
            found = Duck(rule, bus, side, settings or DuckSettings(), self._parts, self._lock)
            found.settings = found.settings
            self._ducks.append(found)
            self._rebuild()
            return found

    def remove_duck(self, duck: Duck) -> None:
        """Let a ducking rule go; what it ducked is back at full within a block. Raises ValueError if it is gone."""
        with self._lock:
            self._ducks.remove(duck)
            self._parts.routing.forget_duck(duck)
            for row in range(duck.side, duck.side + duck.bus.channels):
                self._parts.matrix.clear_output(row)
            self._rule_pool.give_back(duck.rule, 1)
            self._side_pool.give_back(duck.side - self._capacity, duck.bus.channels)
            self._rebuild()

    def _rebuild(self) -> None:
        """The row lists of a tick, made anew when buses or rules come or go."""
        buses, ducks = self._buses, self._ducks
        rows = [row for bus in buses for row in range(bus.first, bus.first + bus.channels)]
        rows += [row for duck in ducks for row in range(duck.side, duck.side + duck.bus.channels)]
        self._outputs = np.array(rows, np.int64)
        self._bus_places = np.array([(bus.first, bus.channels) for bus in buses], np.int64).reshape(-1, 2)
        self._bus_firsts = self._bus_places[:, 0].copy()
        self._levels = np.zeros(len(buses))
        self._rules = np.array([duck.rule for duck in ducks], np.int64)
        for duck in ducks:
            self._places[duck.rule] = duck.bus.first, duck.side, duck.bus.channels

    def tick(self, mark: Mark | None = None) -> None:
        """Mix one block; `mark` is called with the name of each of STAGES when it is done."""
        with self._lock:
            heard = self._take(mark)
            self._mix(heard, mark)
            self._finish(mark)

    def _take(self, mark: Mark | None) -> Rows:
        """The inputs' part; returns the rows that can be heard."""
        parts, intake = self._parts, self._parts.intake
        intake.read()
        _done(mark, "feeds")
        rows, idle = intake.rows[: intake.sounding], intake.idle[: intake.resting]
        parts.operators.filters.process(intake.block, rows)
        for row in intake.ended[: intake.ending].tolist():
            parts.operators.filters.reset(row)
            parts.input_meter.reset(row)
        _done(mark, "filter")
        # asked before they work: the block in which a row falls silent is still heard
        opened, unfaded = self._audible
        count = parts.gain.ramp.audible(rows, opened)
        heard = unfaded[: parts.fade.ramp.audible(opened[:count], unfaded)]
        parts.gain.process(intake.block, rows)
        if len(idle):
            parts.gain.ramp.advance(idle)
            parts.fade.ramp.advance(idle)
        _done(mark, "gain")
        parts.fade.process(intake.block, rows)
        _done(mark, "fade")
        return heard

    def _mix(self, heard: Rows, mark: Mark | None) -> None:
        parts, block = self._parts, self._parts.intake.block
        ducking, matrix = parts.ducking, parts.matrix
        if self._ducks:
            ducking.process(block, heard, self._rules)
        _done(mark, "ducking")
        matrix.process(block, heard, parts.mix, self._outputs, parts.blank)
        if self._ducks:
            add_ducked(parts.mix, self._rules, self._places, ducking.curves, ducking.even, matrix.sounding)
        _done(mark, "matrix")

    def _finish(self, mark: Mark | None) -> None:
        """The buses' part."""
        parts, operators, mix = self._parts, self._parts.operators, self._parts.mix
        sounds, lines = settle(
            self._bus_places,
            parts.matrix.sounding,
            self._quiet,
            TAIL,
            (parts.awake, parts.blank),
            self._found,
        )
        firsts, rows = self._found[0][:sounds], self._found[1][:lines]
        operators.leveller.process(mix, firsts)
        _done(mark, "leveller")
        operators.makeup.process(mix, firsts)
        _done(mark, "makeup")
        operators.limiter.process(mix, firsts)
        _done(mark, "limiter")
        operators.loudness.process(mix, firsts)
        _done(mark, "loudness")
        parts.bus_meter.process(mix, rows)
        _done(mark, "bus_meter")
        parts.bus_meter.blocks_dbfs(self._bus_places, self._levels)
        parts.silences.update(self._bus_firsts, self._levels)
        _done(mark, "silence")


def _done(mark: Mark | None, stage: str) -> None:
    if mark is not None:
        mark(stage)
