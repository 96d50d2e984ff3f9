"""What `loa publish` can send (all that `loamedia` plays), and the pace it is sent at.

A source gives mono float32 samples at 48 kHz when asked. It may block, so the caller reads it in a thread.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loamedia.decoding import SAMPLE_RATE
from loamedia.errors import SourceError
from loamedia.feeding import PlayerSettings
from loamedia.player import Player
from loamedia.policy import ANYTHING
from loamedia.spec import parse_spec

__all__ = ["SAMPLE_RATE", "SampleClock", "Samples", "Source", "SourceError", "open_source"]

Samples = NDArray[np.float32]


class Source(Protocol):
    """Something that sounds; one thread at a time may use it."""

    @property
    def title(self) -> str:
        """What to call it on a status line."""

    def read(self, samples: int) -> Samples:
        """The next `samples` samples, mono float32, full scale ±1; fewer at the end, none after it.

        May block. Raises SourceError.
        """

    def close(self) -> None:
        """Let go of files and devices; from any thread. A `read` that waits ends."""


class PlayedSource:
    """Whatever `loamedia` plays, in mono; see docs/commands.md for what that is."""

    def __init__(self, player: Player) -> None:
        """`player` gives one channel, and is closed with this."""
        self._player = player

    @property
    def title(self) -> str:
        return self._player.title

    def read(self, samples: int) -> Samples:
        mono: Samples = np.clip(self._player.pull(samples)[0], -1.0, 1.0)
        return mono

    def close(self) -> None:
        self._player.close()


def open_source(text: str, *, loop: bool = False) -> Source:
    """Open what `text` names: what this machine's user may read, may be sent. Waits until it sounds.

    Raises SourceError, ConfigurationError.
    """
    spec = parse_spec(text)
    player = Player(spec, ANYTHING, PlayerSettings(channels=1, loop=loop))
    try:
        player.wait_opened()
    except BaseException:  # Ctrl-C as well
        player.close()
        raise
    return PlayedSource(player)


class SampleClock:
    """Ties samples to a monotonic clock, so that nothing drifts: sample n is captured at start + n / rate.

    A block is due when its last sample has been captured. A sender that comes late catches up by up to
    `max_lag_s`; beyond that the clock skips, because a burst of old packets only fills the receivers' buffers.
    The skipped time shows as a gap in the timestamps.
    """

    def __init__(self, start: float, *, rate: int = SAMPLE_RATE, max_lag_s: float = 0.1) -> None:
        self.position = 0
        """Samples since the start, skipped ones included."""
        self.skipped = 0
        """Samples skipped."""
        self._start = start
        self._rate = rate
        self._max_lag = max_lag_s

    def time_of(self, sample: int) -> float:
        """When `sample` is captured (monotonic seconds)."""
        return self._start + sample / self._rate

    def sample_at(self, now: float) -> int:
        """The sample that is captured at `now`."""
        return round((now - self._start) * self._rate)

    def due(self, block: int) -> float:
        """When the next `block` samples are complete and to be sent (monotonic seconds)."""
        return self.time_of(self.position + block)

    def advance(self, block: int) -> None:
        """Count `block` samples as sent."""
        self.position += block

    def catch_up(self, now: float, block: int) -> int:
        """Skip whole blocks when too late at `now`; gives the samples skipped."""
        late = now - self.due(block)
        if late <= self._max_lag:
            return 0
        skip = math.floor(late * self._rate / block) * block
        self.position += skip
        self.skipped += skip
        return skip
