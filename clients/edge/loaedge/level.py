"""How loud it is, and the line that shows it to a person who waits.

Levels are dBFS: 0 is a full-scale square wave; a full-scale sine has an RMS of -3.0 dBFS and a peak of 0.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

FLOOR_DBFS = -96.0
"""What digital silence is shown as: the quantisation step of 16-bit samples."""
SILENCE_DBFS = -60.0
"""Below this a window counts as silent: under the noise of any microphone that is open."""

_CELLS = 16


@dataclass(frozen=True)
class Level:
    """RMS and sample peak of a window, dBFS, not below FLOOR_DBFS; `samples` long."""

    rms: float
    peak: float
    samples: int

    @property
    def silent(self) -> bool:
        return self.rms < SILENCE_DBFS


class LevelMeter:
    """Gathers samples; `take` gives the level since the last `take`, `mean` that of everything."""

    def __init__(self) -> None:
        self._squares = 0.0
        self._peak = 0.0
        self._samples = 0
        self._total_squares = 0.0
        self._total_samples = 0

    def add(self, pcm: NDArray[np.float32]) -> None:
        """Take float32 samples of any shape, full scale ±1; NaN and infinity count as full scale."""
        flat = pcm.reshape(-1)
        if not flat.size:
            return
        squares = float(np.dot(flat, flat))
        if not math.isfinite(squares):
            flat = np.nan_to_num(flat, nan=1.0, posinf=1.0, neginf=-1.0)
            squares = float(np.dot(flat, flat))
        self._squares += squares
        self._samples += flat.size
        self._peak = max(self._peak, float(np.abs(flat).max()))
        self._total_squares += squares
        self._total_samples += flat.size

    @property
    def pending(self) -> int:
        """Samples gathered since the last `take`."""
        return self._samples

    def take(self) -> Level:
        """The level since the last `take`; the window starts anew."""
        level = Level(_rms_dbfs(self._squares, self._samples), dbfs(self._peak), self._samples)
        self._squares, self._peak, self._samples = 0.0, 0.0, 0
        return level

    @property
    def mean(self) -> float:
        """RMS of all samples so far, dBFS."""
        return _rms_dbfs(self._total_squares, self._total_samples)


def dbfs(amplitude: float) -> float:
    """Amplitude 0…1 in dBFS, not below FLOOR_DBFS."""
    return max(FLOOR_DBFS, 20 * math.log10(amplitude)) if amplitude > 0 else FLOOR_DBFS


def audio_level(pcm: NDArray[np.float32]) -> int:
    """The level octet's low seven bits of RFC 6464 §3: -dBov, 0 (loudest) … 127 (silence)."""
    flat = pcm.reshape(-1)
    mean_square = float(np.dot(flat, flat)) / flat.size if flat.size else 0.0
    if not mean_square > 0:
        return 127
    return max(0, min(127, round(-10 * math.log10(mean_square))))


def bar(level: float, *, cells: int = _CELLS, unicode: bool = True) -> str:
    """A bar of `cells` characters for -60 … 0 dBFS."""
    filled = round(max(0.0, min(1.0, (level + 60) / 60)) * cells)
    full, empty = ("█", "░") if unicode else ("#", ".")
    return full * filled + empty * (cells - filled)


def clock(seconds: float) -> str:
    """Elapsed time as 0:07, 12:34 or 1:02:03."""
    whole = int(seconds)
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


class StatusLine:
    """One line rewritten in place on a terminal; elsewhere a plain line every `log_interval_s`.

    `say` prints a line that stays.
    """

    def __init__(self, stream: TextIO, *, refresh_s: float = 0.1, log_interval_s: float = 10.0) -> None:
        self._stream = stream
        self.terminal = stream.isatty()
        self.unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
        self._interval = refresh_s if self.terminal else log_interval_s
        self._next: float | None = None
        self._shown = False

    def due(self, now: float) -> bool:
        """Whether `show` would print at `now` (monotonic seconds), at first after one interval."""
        if self._next is None:
            self._next = now + self._interval
        return now >= self._next

    def show(self, text: str, now: float) -> None:
        """Show the state of things, not more often than the stream wants it."""
        if not self.due(now):
            return
        self._next = now + self._interval
        if self.terminal:
            columns = shutil.get_terminal_size().columns
            self._write(f"\r{text[: columns - 1]}\x1b[K")
            self._shown = True
        else:
            self._write(f"{text}\n")

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.clear()
        self._write(f"{text}\n")

    def clear(self) -> None:
        """Take the rewritten line away."""
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def _write(self, text: str) -> None:
        """That nothing can be told, since the disk with the log is full, ends no sound; that nobody reads does."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError:
            return


def _rms_dbfs(squares: float, samples: int) -> float:
    return dbfs(math.sqrt(squares / samples)) if samples else FLOOR_DBFS
