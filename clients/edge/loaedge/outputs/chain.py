"""What the programme passes on its way to the device: chime, volume, limiter, level meter."""

from __future__ import annotations

import threading

from loacodecs.opus import SAMPLE_RATE

from ..level import Level, LevelMeter
from .chime import Chime
from .limiter import Limiter
from .output import Pcm, Ready, Render, all_ready
from .volume import Volume


class Chain:
    """A `Render` around a `Render`. The limiter's delay is made good: its source is asked for what is heard later."""

    def __init__(
        self,
        source: Render,
        volume: Volume,
        limiter: Limiter | None = None,
        chime: Chime | None = None,
        *,
        ready: Ready = all_ready,
    ) -> None:
        """`ready` is the source's."""
        self.volume = volume
        self.chime = chime
        self.limiter = limiter or Limiter()
        self._source = source
        self._ready = ready
        self._meter = LevelMeter()
        self._lock = threading.Lock()

    @property
    def delay_s(self) -> float:
        """So much earlier the source is asked for what is heard."""
        return self.limiter.delay / SAMPLE_RATE

    def ready(self, frames: int, heard_at: float) -> int:
        """How many of so many frames would not become better by waiting."""
        return self._ready(frames, heard_at + self.delay_s)

    def render(self, frames: int, heard_at: float) -> Pcm:
        """(frames, channels), heard from `heard_at` on."""
        ahead = heard_at + self.delay_s
        pcm = self._source(frames, ahead)
        if self.chime is not None:
            pcm = self.chime.process(pcm, ahead)
        heard = self.limiter.process(self.volume.process(pcm))
        with self._lock:
            self._meter.add(heard)
        return heard

    def take_level(self) -> Level:
        """What went to the device since it was asked last, for telemetry; from any thread."""
        with self._lock:
            return self._meter.take()
