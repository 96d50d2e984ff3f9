"""From the feeds to the input rows: take all, make mono of stereo where asked for, let nothing in that is no sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numba import carray, njit
from numpy.typing import NDArray

from relay.mixer.block import FRAME, PEAK_LIMIT, QUIETEST, Block, Rows
from relay.mixer.lent import pointer
from relay.mixer.meter import Meter, MeterColumns, measure, note

_GROUP: Final = 64
"""Feeds read before their samples are looked at: few enough for these to be in the cache still."""
_LINE_BYTES: Final = 4 * FRAME
TAIL: Final = 3
"""Blocks that a row goes on after its feed has nothing more, for what filters hold back."""


class Feed(Protocol):
    """Where an input's sound comes from; called by the thread that mixes, once a block."""

    def read(self, out: NDArray[np.float32]) -> bool:
        """Fill `out` (2, FRAME), left and right (a mono sound on both), or say False: nothing there now.

        Never blocks and never raises. What `out` held before is anything, and on False is not looked at.
        """


@runtime_checkable
class LendingFeed(Protocol):
    """A feed whose samples are mixed from where they lie: a decoder's own buffer, a ring, a mapped file."""

    @property
    def store(self) -> NDArray[np.float32]:
        """(places, 1 or 2, FRAME), C-contiguous: mono or left and right. Always the same array."""

    def lend(self) -> int:
        """Which place of `store` holds the next block, left alone until the next call; -1: nothing there now.

        Never blocks and never raises. A place that `store` does not have is nothing, too.
        """


AnyFeed = Feed | LendingFeed
_Calls = list[tuple[Callable[[Block], bool], Block]]


class Reading(Protocol):
    """What the intake asks of an input: its rows and its feed."""

    first: int
    channels: int

    @property
    def feed(self) -> AnyFeed:
        """Where its sound comes from."""


class _Group:
    """Inputs that are asked one after another, before their samples are looked at.

    `sources` (inputs, 6) has the columns first row, channels, address, bytes from place to place, places, sides.
    """

    def __init__(self, inputs: Sequence[Reading], stores: Sequence[NDArray[np.float32]]) -> None:
        self.stores = stores  # held: their addresses are in the columns
        self.answers = np.zeros(len(inputs), np.int64)
        self.sources = np.array(
            [
                (each.first, each.channels, store.ctypes.data, store.strides[0], len(store), store.shape[1])
                for each, store in zip(inputs, stores, strict=True)
            ],
            np.int64,
        ).reshape(-1, 6)


class Intake:
    """`block` (rows, FRAME) holds the samples of the inputs, which `meter` has measured.

    After `read`, `rows[:sounding]` are the rows in which something sounds, `idle[:resting]` the others in use, and
    `ended[:ending]` those that have just come to rest. `faults` (rows,) counts samples that were no sound: NaN,
    infinite, or beyond PEAK_LIMIT; silence takes their place. By an input's first row, `came` (rows,) says whether its
    feed delivered the last block and `missing` (rows,) counts those that it did not.
    """

    def __init__(self, rows: int, meter: Meter) -> None:
        self.block = np.zeros((rows, FRAME), np.float32)
        self.faults, self.missing = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self.came = np.zeros(rows, np.bool_)
        self.rows, self.idle, self.ended = (np.zeros(rows, np.int64) for _ in range(3))
        self.sounding = self.resting = self.ending = 0
        self._meter = meter
        self._tails = np.zeros(rows, np.int64)
        self._scratch = np.zeros((_GROUP, 1, 2, FRAME), np.float32)
        self._inputs: list[Reading] = []
        self._lends: list[Callable[[], int]] = []
        self._lenders = _Group([], [])
        self._readers: list[tuple[_Group, _Calls]] = []

    def use(self, inputs: Sequence[Reading]) -> None:
        """Take these from the next block on. Raises ValueError for a LendingFeed whose store is none."""
        lenders, readers = [], []
        for each in inputs:
            feed = each.feed
            if isinstance(feed, LendingFeed):
                lenders.append((each, _checked(feed.store), feed.lend))
            else:
                readers.append((each, feed.read))
        self._inputs = list(inputs)
        self._lends = [lend for _, _, lend in lenders]
        self._lenders = _Group([each for each, _, _ in lenders], [store for _, store, _ in lenders])
        self._readers = []
        for start in range(0, len(readers), _GROUP):
            part = readers[start : start + _GROUP]
            scratch = self._scratch[: len(part)]
            calls: _Calls = [(read, view[0]) for (_, read), view in zip(part, scratch, strict=True)]
            self._readers.append((_Group([each for each, _ in part], list(scratch)), calls))

    def refresh(self) -> None:
        """The feeds of the inputs in use have changed."""
        self.use(self._inputs)

    def reset(self, row: int) -> None:
        """Forget a row: something else sounds there from now on."""
        self.block[row] = 0
        for column in (self._tails, self.faults, self.missing, self.came):
            column[row] = 0

    def read(self) -> None:
        """Take a block from every feed."""
        self.sounding = self.resting = self.ending = 0
        if self._lends:
            self._lenders.answers[:] = [lend() for lend in self._lends]
            self._take(self._lenders, 0)
        for group, calls in self._readers:
            group.answers[:] = [read(view) for read, view in calls]
            self._take(group, 1)

    def _take(self, group: _Group, first_place: int) -> None:
        self.sounding, self.resting, self.ending = _take(
            group.answers,
            first_place,
            group.sources,
            (self.block, self._tails, self.faults, self.missing, self.came),
            self._meter.columns,
            (self.rows, self.idle, self.ended),
            (self.sounding, self.resting, self.ending),
        )


def _checked(store: NDArray[np.float32]) -> NDArray[np.float32]:
    """`store`, whose memory is going to be read by its address. Raises ValueError."""
    fits = store.ndim == 3 and store.shape[1] in (1, 2) and store.shape[2] == FRAME
    if not fits or store.dtype != np.float32 or not store.flags.c_contiguous:
        raise ValueError(
            f"a lending feed's store must be C-contiguous float32 (places, 1 or 2, {FRAME}), "
            f"not {store.dtype} {store.shape}"
        )
    return store


_Columns = tuple[Block, Rows, Rows, Rows, NDArray[np.bool_]]
_Lists = tuple[Rows, Rows, Rows]
_Counts = tuple[int, int, int]


@njit(nogil=True, cache=True)
def _take(
    answers: Rows,
    first_place: int,
    sources: NDArray[np.int64],
    columns: _Columns,
    meter: MeterColumns,
    lists: _Lists,
    counts: _Counts,
) -> _Counts:
    block, tails, faults, missing, came = columns
    rows, idle, ended = lists
    sounding, resting, ending = counts
    for number in range(len(answers)):
        first, channels, address, stride, places, sides = sources[number]
        place = answers[number] - first_place
        here = 0 <= place < places
        came[first] = here
        if here:
            _copy(address + place * stride, sides, first, channels, block, faults, meter)
        else:
            missing[first] += 1
        for row in range(first, first + channels):
            if here:
                tails[row] = TAIL
            elif tails[row] == 0:
                idle[resting] = row
                resting += 1
                continue
            else:
                tails[row] -= 1
                block[row] = np.float32(0)
                note(row, 0.0, 0.0, meter)
                if tails[row] == 0:
                    ended[ending] = row
                    ending += 1
            rows[sounding] = row
            sounding += 1
    return sounding, resting, ending


@njit(nogil=True, cache=True)
def _copy(
    address: int, sides: int, first: int, channels: int, block: Block, faults: Rows, meter: MeterColumns
) -> None:
    """One block of one input, from where it lies to its rows."""
    left = carray(pointer(address), FRAME, np.float32)
    right = carray(pointer(address + (sides - 1) * _LINE_BYTES), FRAME, np.float32)
    mixed = sides == 2 and channels == 1
    for row in range(first, first + channels):
        side = left if row == first else right
        bits, energy = _mean(left, right, block[row]) if mixed else _pass(side, block[row])
        if bits > _LIMIT:  # or no number
            if not mixed:
                block[row] = side
            faults[row] += _mend(block[row])
            measure(block[row], row, meter)
        else:
            note(row, float(np.int32(bits).view(np.float32)), energy, meter)


# Magnitudes are compared by their bits: those are in the same order, NaN and infinity beyond all others, and a
# processor finds the largest of eight or sixteen at once.
_MAGNITUDE: Final = np.int32(0x7FFFFFFF)
_LIMIT: Final = np.float32(PEAK_LIMIT).view(np.int32)
_QUIETEST: Final = np.float32(QUIETEST).view(np.int32)
_FAST: Final = {"reassoc", "contract", "nsz"}


@njit(nogil=True, cache=True, fastmath=_FAST)
def _pass(line: Block, out: Block) -> tuple[int, float]:
    """Copy a line, but for what is too quiet; returns the bits of the largest magnitude and the sum of the squares."""
    bits = line.view(np.int32)
    most, energy = np.int32(0), np.float32(0)
    for t in range(FRAME):
        magnitude = bits[t] & _MAGNITUDE
        most = max(most, magnitude)
        sample = line[t] if magnitude > _QUIETEST else np.float32(0)
        energy += sample * sample
        out[t] = sample
    return int(most), float(energy)


@njit(nogil=True, cache=True, fastmath=_FAST)
def _mean(left: Block, right: Block, out: Block) -> tuple[int, float]:
    """As `_pass`, of the mean of both sides."""
    most, energy = np.int32(0), np.float32(0)
    for t in range(FRAME):
        sample = np.float32(0.5) * (left[t] + right[t])
        magnitude = np.float32(sample).view(np.int32) & _MAGNITUDE
        most = max(most, magnitude)
        sample = sample if magnitude > _QUIETEST else np.float32(0)
        energy += sample * sample
        out[t] = sample
    return int(most), float(energy)


@njit(nogil=True, cache=True)
def _mend(line: Block) -> int:
    """Silence in the place of what is no sound; returns how many samples were none."""
    count = 0
    for t in range(FRAME):
        size = abs(line[t])
        if not size <= PEAK_LIMIT:
            count += 1
        if not QUIETEST < size <= PEAK_LIMIT:
            line[t] = np.float32(0)
    return count
