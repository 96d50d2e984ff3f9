"""The queue as one sound: decks that follow one another at the very sample, or are cross-faded.

`read` is called by the mixer's thread and never waits for a source; everything else by the thread that decides. A lock
is held for the time that it takes to look at a list.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from relay.automation_ports import QueueItem

FRAME: Final = 960
SAMPLE_RATE: Final = 48_000
CUT_S: Final = 0.02
"""A cut in the middle of a sound takes so long, so that it does not click."""

Block = NDArray[np.float32]


class Playable(Protocol):
    """A source that was opened to wait: `relay.sources.feed.StreamFeed`."""

    def take(self, out: Block) -> int:
        """Fill the beginning of `out` (2, n); gives how many samples. Fewer, and `over`, is the exact end."""
        ...

    def play(self) -> None:
        """Let it be heard."""
        ...

    def pause(self) -> None:
        """Let it stand still."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...

    @property
    def state(self) -> str:
        """opening, playing, paused, ended, failed."""
        ...

    @property
    def reason(self) -> str:
        """Why it failed or is not heard."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it would be heard at once."""
        ...

    @property
    def title(self) -> str:
        """What is on."""
        ...

    @property
    def position_s(self) -> float:
        """How far it was played."""
        ...

    @property
    def duration_s(self) -> float | None:
        """How long it is."""
        ...


class Chimes(Protocol):
    """The channel's chime (`relay.live.announcing.ItemChime`), for the mixer's thread."""

    def begin(self) -> Block:
        """What is to be played before the item that begins now: (samples,), none if somebody is announcing."""
        ...

    def note(self, playing: bool, chiming: bool) -> None:
        """Whether an item with a chime plays in this block, and whether that is the chime itself."""
        ...


class Deck:
    """An item of the queue with its sound, and the chime before that if it asks for one."""

    def __init__(self, item: QueueItem, feed: Playable, chimes: Chimes | None = None) -> None:
        self.item = item
        self.feed = feed
        self.sounded = False
        """Whether anything of it was played."""
        self.done = False
        """Whether its turn is over: the next one has begun."""
        self.announces = item.chime and chimes is not None
        """Whether it is an announcement, for which programmes step back."""
        self.chimed = self.announces and not item.position_s
        """Whether it asks for a chime before it; one that goes on where it was left has had it."""
        self._gain = np.float32(10 ** (item.gain_db / 20))
        self._chimes = chimes if self.chimed else None
        self._chime = np.zeros(0, np.float32)
        """What is left of it."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.feed.state in ("ended", "failed")

    @property
    def chiming(self) -> bool:
        """Whether the chime has begun and not ended."""
        return len(self._chime) > 0

    def take(self, out: Block) -> int:
        """Fill the beginning of `out` (2, n) with its sound; gives how many samples."""
        before = self._take_chime(out)
        rest = out[:, before:]
        count = self.feed.take(rest) if before < out.shape[1] else 0
        if count and self._gain != 1:
            rest[:, :count] *= self._gain
        self.sounded = self.sounded or before + count > 0
        return before + count

    def _take_chime(self, out: Block) -> int:
        if self._chimes is not None and self.feed.ready:
            self._chime, self._chimes = self._chimes.begin(), None
        part, self._chime = self._chime[: out.shape[1]], self._chime[out.shape[1] :]
        out[:, : len(part)] = part
        return len(part)

    def length_s(self) -> float:
        """How long it is, infinity where nobody knows."""
        duration_s = self.feed.duration_s
        return math.inf if duration_s is None else duration_s

    def remaining_s(self) -> float:
        """How much is left, infinity where nobody knows."""
        return self.length_s() - self.feed.position_s


@dataclass(slots=True)
class _Crossing:
    """A fade from `old`, which is out of the order already, to the first deck; `at` of `length` samples are done."""

    old: Deck
    length: int
    at: int = 0


class DeckFeed:
    """An input of the mixer that plays the decks it is given in their order. Begins paused."""

    def __init__(self, crossfade_s: float = 0.0, chimes: Chimes | None = None) -> None:
        """Each deck fades into the next for `crossfade_s`; at 0, or with a chime, one begins where the other ends."""
        self.ended: deque[Deck] = deque()
        """Decks that are not played any more; whoever decides takes them off and closes them."""
        self._crossfade_s = crossfade_s
        self._chimes = chimes
        self._lock = Lock()
        self._decks: tuple[Deck, ...] = ()
        """Replaced whole when it changes: it is looked at without the lock."""
        self._crossing: _Crossing | None = None
        self._running = False
        self._begins = False
        """Whether a deck may begin; what has begun goes on without."""
        self._old = np.zeros((2, FRAME), np.float32)
        self._steps = np.arange(FRAME, dtype=np.float32)

    @property
    def current(self) -> Deck | None:
        """The deck that is played, or will be."""
        decks = self._decks
        return decks[0] if decks else None

    @property
    def title(self) -> str:
        """What is played."""
        deck = self.current
        return "" if deck is None else deck.item.title or deck.feed.title

    @property
    def reason(self) -> str:
        """Why it is not heard just now; "" when all is well."""
        deck = self.current
        return "" if deck is None else deck.feed.reason

    def order(self, decks: Sequence[Deck]) -> None:
        """Play these from now on. If the first is not the one that is played, that one is faded out for it.

        Those that are done are left out: what one who decides knows is a moment old.
        """
        with self._lock:
            wanted = tuple(deck for deck in decks if not deck.done)
            current = self._decks[0] if self._decks else None
            if current is not None and (not wanted or wanted[0] is not current):
                if self._running and current.sounded:
                    announced = bool(wanted) and wanted[0].chimed
                    self._cross(current, CUT_S if announced else max(self._crossfade_s, CUT_S))
                else:
                    self.ended.append(current)
            self._decks = wanted
            self._start()

    def run(self, *, begins: bool = True) -> None:
        """Go on; without `begins`, for whom nobody hears, only with what has begun: the next is to be heard whole."""
        with self._lock:
            self._running, self._begins = True, begins
            if self._decks and not self.plays(self._decks[0]):
                self._decks[0].feed.pause()
            self._start()

    def pause(self) -> None:
        """Stand still; a fade that is under way is over."""
        with self._lock:
            self._running = False
            self._drop_crossing()
            if self._decks:
                self._decks[0].feed.pause()

    def plays(self, deck: Deck) -> bool:
        """Whether it is the turn of that deck, and it goes on."""
        return deck is self.current and self._running and (self._begins or deck.sounded)

    def read(self, out: Block) -> bool:
        """The mixer's: fill `out` (2, FRAME), False when nothing sounds now."""
        with self._lock:
            if not self._running:
                self._note()
                return False
            self._begin_crossfade()
            first = self.current
            count = self._fill(out)
            self._note(first, self.current)
            if self._crossing is None:
                out[:, count:] = 0.0
                return count > 0
            out[:, count:] = 0.0
            return self._mix_old(self._crossing, out) or count > 0

    def _fill(self, out: Block) -> int:
        """Sound of the decks in their order, each from the sample after the last of the one before it."""
        count = 0
        while self._decks and count < FRAME:
            deck = self._decks[0]
            if not self.plays(deck):
                break
            count += deck.take(out[:, count:])
            if count == FRAME or not deck.over:
                break
            # asked after it was found to be over: what came in between is not lost
            more = deck.take(out[:, count:])
            count += more
            if not more:
                self._next()
        return count

    def _note(self, *decks: Deck | None) -> None:
        """Tell of what these play in this block."""
        if self._chimes is not None:
            announcing = [deck for deck in decks if deck is not None and deck.announces and deck.sounded]
            self._chimes.note(bool(announcing), any(deck.chiming for deck in announcing))

    def _next(self) -> None:
        self._decks[0].done = True
        ended, *rest = self._decks
        self.ended.append(ended)
        self._decks = tuple(rest)
        self._start()

    def _start(self) -> None:
        if self._decks and self.plays(self._decks[0]):
            self._decks[0].feed.play()

    def _begin_crossfade(self) -> None:
        if not (self._crossfade_s and self._begins) or self._crossing is not None or len(self._decks) < 2:
            return
        if self._decks[1].chimed:
            return  # who is called to listen by it hears what was before it to the end
        old, new = self._decks[0], self._decks[1]
        remaining_s = old.remaining_s()
        # what is shorter than two fades is heard in full for half of its time at least
        longest_s = min(self._crossfade_s, old.length_s() / 2, new.length_s() / 2)
        if new.feed.ready and 0 < remaining_s <= longest_s:
            old.done = True
            self._decks = self._decks[1:]
            self._cross(old, remaining_s)
            new.feed.play()

    def _cross(self, old: Deck, seconds: float) -> None:
        self._drop_crossing()
        self._crossing = _Crossing(old, max(1, round(seconds * SAMPLE_RATE)))

    def _drop_crossing(self) -> None:
        if self._crossing is not None:
            self.ended.append(self._crossing.old)
            self._crossing = None

    def _mix_old(self, crossing: _Crossing, out: Block) -> bool:
        """Fade `out` in and the old deck out beneath it, with equal power; True when the old one sounded."""
        place = np.minimum((crossing.at + self._steps) / crossing.length, 1.0) * np.float32(math.pi / 2)
        old = self._old
        count = crossing.old.take(old)
        out *= np.sin(place)
        out[:, :count] += old[:, :count] * np.cos(place[:count])
        crossing.at += FRAME
        if crossing.at >= crossing.length:
            self._drop_crossing()
        return count > 0
