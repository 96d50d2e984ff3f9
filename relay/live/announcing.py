"""Announcements of a mixed channel: the chime before them, and whose sound waits until it has ended.

Decided by the mixer's thread, at the block it is about; `announce` may be called from any. An announcement is sound
above the threshold of ducking, or somebody who comes on air to speak; the chime sounds when there was none for
`chime_after`. In an emergency nobody waits for a chime.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loacodecs.chime import two_notes
from relay.live.moment import Moment
from relay.live.settings import ChimeName, MixSettings
from relay.live_ports import InputKind, Role
from relay.mixer.block import FRAME, SAMPLE_RATE, gain_of
from relay.mixer.chime import ChimeFeed
from relay.mixer.desk import Input
from relay.mixer.intake import Feed

Sound = NDArray[np.float32]

SPARE_S: Final = 1.0
"""Nobody is kept waiting for longer than the chime and this, whatever has become of the chime."""
BLOCK_S: Final = FRAME / SAMPLE_RATE
HUSH_S: Final = 0.05
_SOUNDS: Final[Mapping[ChimeName, Callable[[], Sound]]] = {
    "none": lambda: np.zeros(0, np.float32),
    "two-tone": two_notes,
}
_NOTHING: Final = np.zeros(0, np.float32)
_OPENING: Final = np.linspace(0, 1, 240, dtype=np.float32)
"""What is live opens within 5 ms."""


class Announcing:
    """Of one channel."""

    def __init__(self, settings: MixSettings, moment: Moment, is_emergency: Callable[[], bool]) -> None:
        self.configured = settings.chime != "none"
        self.is_emergency = is_emergency
        self._sound = _SOUNDS[settings.chime]() * np.float32(gain_of(settings.chime_gain))
        # ends where a block ends, so that what has waited follows on its last sample
        self.feed = ChimeFeed(np.concatenate((np.zeros(-len(self._sound) % FRAME, np.float32), self._sound)))
        self.threshold = gain_of(settings.duck.threshold)
        self._moment = moment
        self._after = settings.chime_after
        self._hold_s = settings.duck.hold + BLOCK_S
        self._input: Input | None = None
        self._lock = Lock()
        self._until = -math.inf
        self._item_until = -math.inf
        self._heard = -math.inf
        """When an announcement was last heard, or its chime ends."""
        self._spoken = -math.inf
        """The same without items of the queue."""

    def use(self, source: Input) -> None:
        """The engine's input that plays `feed`; one that is asked before all of the channel's others."""
        self._input = source

    @property
    def rests(self) -> bool:
        """Whether there is an input for the chime that has nothing to play."""
        return self.configured and not self.feed.sounding

    @property
    def live_chime(self) -> bool:
        """Whether a chime sounds that somebody waits for."""
        return self.feed.sounding and self._moment.now < self._until

    @property
    def sounding(self) -> bool:
        """Whether a chime sounds, this or one of the queue's."""
        return self.live_chime or self._moment.now < self._item_until

    def announce(self, now: float) -> None:
        """Something is put on air that deserves a chime, if there was none just now. `now` is monotonic seconds."""
        if not (self.is_emergency() or self.sounding):
            self._begin(now)

    def keeps_waiting(self, begins: bool, loud: bool) -> bool:
        """Whether a sound that is an announcement is not to be heard yet; asked once a block.

        `begins` says that the chime is due if there was no announcement for long, `loud` that it can be heard.
        """
        now = self._moment.now
        if self.is_emergency():
            self._hush()
        elif self.sounding or (begins and self._begin(now)):
            self._heard = max(now, self._heard)  # though the mixer be behind with the chime
            return True
        if loud:
            self._heard = self._spoken = max(now, self._spoken)
        return False

    def begin_item(self) -> Sound:
        """An item that asks for a chime begins: what comes before it, nothing if somebody is announcing."""
        now = self._moment.now
        if self.is_emergency() or self.sounding or now - self._spoken < self._after:
            return _NOTHING
        return self._sound

    def note_item(self, chiming: bool) -> bool:
        """Such an item plays in this block, or its chime; gives whether it is the only announcement."""
        now = self._moment.now
        self._heard = max(now, self._heard)
        if chiming:
            self._item_until = now + 1.5 * BLOCK_S
        return not self.live_chime and now - self._spoken > self._hold_s

    def _begin(self, now: float) -> bool:
        with self._lock:
            if not self.configured or now - self._heard < self._after:
                return False
            length_s = len(self._sound) / SAMPLE_RATE
            self._heard = now + length_s
            self._spoken = now
            self._until = now + length_s + SPARE_S
        if self._input is not None:  # without our lock: the mixer takes it while it has the engine's
            self._input.fade(0.0, 0.0)
        self.feed.start()
        return True

    def _hush(self) -> None:
        if self.live_chime:
            self._until = -math.inf
            if self._input is not None:
                self._input.fade(-math.inf, HUSH_S)


class Gate:
    """A Feed whose sound waits for the chime. Begins closed: `hear` says how loud it is on the bus."""

    def __init__(self, feed: Feed, announcing: Announcing, kind: InputKind, *, asks: bool = True) -> None:
        """Whether its sound `asks` for a chime, or only waits for those of others."""
        self.waiting = False
        """Whether it is kept from being heard now."""
        self._feed = feed
        self._announcing = announcing
        self._asks = asks
        self._arrives = kind in ("publisher", "file")
        """Whether to come on air is an announcement, loud or not: others are open day and night."""
        self._stands = kind == "file"
        """Whether it stands still while it is not read, so that nothing of it is lost."""
        self._kept: Sound | None = None
        self._fresh = self._arrives
        self._gain = 0.0

    @property
    def heard(self) -> bool:
        """Whether it is heard now: open, and found in a block since then to have nothing to wait for."""
        return bool(self._gain) and not self._fresh and not self.waiting

    def hear(self, db: float) -> None:
        """It is heard at that gain from now on; minus infinity is not at all."""
        gain = gain_of(db)
        if gain and not self._gain:
            self._fresh = self._arrives  # before it is open: a block may be read in between
        self._gain = gain

    def read(self, out: Sound) -> bool:
        """As the feed does, silence while it waits."""
        if self._kept is not None:
            out[:] = self._kept
        elif not self._feed.read(out):
            self.waiting = False
            return False
        waited, self.waiting = self.waiting, bool(self._gain) and self._has_to_wait(out)
        if not self.waiting:
            self._kept = None
            if waited and not self._stands:
                out[:, : len(_OPENING)] *= _OPENING  # in the middle of a sound
            return True
        if self._stands and self._kept is None:
            self._kept = out.copy()
        out[:] = 0.0
        return True

    def _has_to_wait(self, block: Sound) -> bool:
        fresh, self._fresh = self._fresh, False
        loud = bool(np.abs(block).max() * self._gain > self._announcing.threshold)
        return self._announcing.keeps_waiting(self._asks and (fresh or loud), loud)


class ItemChime:
    """What the queue knows of the chime (`relay.automation.decks.Chimes`); `take_role` changes its input's role."""

    def __init__(self, announcing: Announcing, take_role: Callable[[Role], None]) -> None:
        self._announcing = announcing
        self._take_role = take_role
        self._role: Role = "programme"

    def begin(self) -> Sound:
        """What is to be played before the item that begins now: (samples,)."""
        return self._announcing.begin_item()

    def note(self, playing: bool, chiming: bool) -> None:
        """Whether an item with a chime plays in this block, and whether that is the chime itself.

        It is an announcement then; a programme like any item while somebody speaks over it.
        """
        role: Role = "programme"
        if playing and self._announcing.note_item(chiming):
            role = "announcement"
        if role != self._role:
            self._role = role
            self._take_role(role)
