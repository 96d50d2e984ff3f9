"""The chime before an announcement, as a feed of its own: the same two notes that a receiver can play (see
`loacodecs.chime`).
"""

from __future__ import annotations

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from loacodecs.chime import two_notes
from relay.mixer.block import FRAME


class ChimeFeed:
    """A Feed that has nothing until `start`, then the chime once; may be started from any thread."""

    def __init__(self, sound: NDArray[np.float32] | None = None) -> None:
        """`sound` (samples,) is what is played, by default the two notes."""
        self._sound = two_notes() if sound is None else sound
        self._lock = Lock()
        self._at = len(self._sound)
        self._gave = False

    @property
    def blocks(self) -> int:
        """How many blocks it lasts: after so many ticks the announcement may begin."""
        return -(-len(self._sound) // FRAME)

    @property
    def sounding(self) -> bool:
        """Whether the last block had something of it, or the next one will."""
        return self._gave or self._at < len(self._sound)

    def start(self) -> None:
        """Sound from the next block on, from the beginning if it sounds already."""
        with self._lock:
            self._at = 0

    def read(self, out: NDArray[np.float32]) -> bool:
        """A block of the chime; False when it is over."""
        with self._lock:
            part = self._sound[self._at : self._at + FRAME]
            self._at += len(part)
            self._gave = len(part) > 0
        if not len(part):
            return False
        out[:, : len(part)] = part
        out[:, len(part) :] = 0
        return True
