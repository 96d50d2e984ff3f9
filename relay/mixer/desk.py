"""The handles of an engine: an input, a bus, a ducking rule. Their methods may be called from any thread.

What is set is heard from the next block on, ramped so that nothing clicks.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock

from relay.mixer.block import SAMPLE_RATE, Block
from relay.mixer.ducking import DuckSettings
from relay.mixer.intake import AnyFeed
from relay.mixer.meter import Level
from relay.mixer.parts import Parts
from relay.mixer.silence import Silence, SilenceDetector, SilenceSettings

RAMP_S = 0.01


@dataclass(frozen=True, slots=True)
class LoudnessReading:
    """LUFS of a bus (ITU-R BS.1770-4), SILENCE_DBFS where there was no sound."""

    momentary: float
    short_term: float
    integrated: float


class Input:
    """A sound that comes in: one row when it is mono, two when it is stereo."""

    def __init__(self, first: int, channels: int, feed: AnyFeed, parts: Parts, lock: RLock) -> None:
        self.first = first
        self.channels = channels
        self.place = 0.0
        """Where it stands: -1 (left) to 1 (right); pan of a mono input, balance of a stereo one."""
        self._feed = feed
        self._parts = parts
        self._lock = lock

    @property
    def feed(self) -> AnyFeed:
        """Where its sound comes from; another one is asked from the next block on (ValueError as of `add_input`)."""
        return self._feed

    @feed.setter
    def feed(self, feed: AnyFeed) -> None:
        with self._lock:
            before, self._feed = self._feed, feed
            try:
                self._parts.intake.refresh()
            except ValueError:
                self._feed = before
                raise

    @property
    def missing(self) -> int:
        """Blocks that the feed did not deliver."""
        return int(self._parts.intake.missing[self.first])

    @property
    def came(self) -> bool:
        """Whether it delivered the last."""
        return bool(self._parts.intake.came[self.first])

    @property
    def rows(self) -> range:
        """Its rows."""
        return range(self.first, self.first + self.channels)

    @property
    def faults(self) -> int:
        """Samples of the feed that were no sound (NaN, infinite, far too large), silenced."""
        return int(self._parts.intake.faults[self.first : self.first + self.channels].sum())

    def gain(self, db: float, seconds: float = RAMP_S) -> None:
        """Go to a gain in dB, linear in amplitude; minus infinity is silence."""
        with self._lock:
            for row in self.rows:
                self._parts.gain.set(row, db, round(seconds * SAMPLE_RATE))

    def mute(self, muted: bool) -> None:
        """Close or open the input."""
        with self._lock:
            for row in self.rows:
                self._parts.gain.mute(row, muted)

    def fade(self, db: float, seconds: float) -> None:
        """Fade to `db`, 0 or less, along a quarter of a sine; two opposite fades are an equal-power cross-fade.

        The fade is a fader of its own: its dB add to those of `gain`.
        """
        with self._lock:
            for row in self.rows:
                self._parts.fade.set(row, db, round(seconds * SAMPLE_RATE))

    def pan(self, place: float) -> None:
        """Put it at a place from -1 (left) to 1 (right), on every bus that hears it."""
        with self._lock:
            self.place = place
            self._parts.routing.repan(self)

    def filter(self, on: bool) -> None:
        """Switch the horn filter."""
        with self._lock:
            for row in self.rows:
                self._parts.operators.filters.switch(row, on)

    def level(self) -> Level:
        """What the feed delivers, before filter, gain, mute and fade: who is muted still sees that he speaks."""
        return self._parts.input_meter.level(self.first, self.channels)

    def block_dbfs(self) -> float:
        """RMS of the last block alone in dBFS, before everything: for a silence detector of one's own."""
        return self._parts.input_meter.block_dbfs(self.first, self.channels)


class Bus:
    """A mix that goes out."""

    def __init__(self, first: int, channels: int, parts: Parts, lock: RLock) -> None:
        self.first = first
        self.channels = channels
        self.samples: Block = parts.mix[first : first + channels]
        """The last block, (channels, FRAME); the next tick overwrites it."""
        self.detector = SilenceDetector(None, parts.silences, first)
        self._parts = parts
        self._lock = lock

    def route(self, source: Input, db: float | None) -> None:
        """Let the bus hear an input at a gain in dB, None for not at all; a bus without one input is its mix-minus."""
        with self._lock:
            self._parts.routing.route(self, source, db)

    def leveller(self, on: bool) -> None:
        """Switch the slow leveller, and with it the makeup of what the limiter takes of its loudness."""
        with self._lock:
            self._parts.operators.makeup.switch(self.first, on)
            self._parts.operators.leveller.switch(self.first, on)

    def ceiling(self, dbtp: float) -> None:
        """Let no true peak go out above `dbtp`, for what comes in from the next block on; -1 at first.

        Raises ConfigurationError when it is none: -60 to 0.
        """
        with self._lock:
            self._parts.operators.limiter.ceiling(self.first, dbtp)

    def watch(self, settings: SilenceSettings) -> None:
        """Other settings for the silence detector, which begins anew."""
        with self._lock:
            self.detector = SilenceDetector(settings, self._parts.silences, self.first)

    @property
    def silence(self) -> Silence:
        """Whether anything is to be heard."""
        return self.detector.state

    @property
    def sounding(self) -> bool:
        """False when the last block is all zeros because nothing has come in for a while."""
        return bool(self._parts.awake[self.first])

    def level(self) -> Level:
        """What goes out."""
        return self._parts.bus_meter.level(self.first, self.channels)

    def loudness(self) -> LoudnessReading:
        """What goes out, as the ear takes it."""
        meter = self._parts.operators.loudness
        return LoudnessReading(
            meter.momentary(self.first), meter.short_term(self.first), meter.integrated(self.first)
        )


class Duck:
    """A rule of a bus: while any of `keys` is heard, `ducked` step back on that bus."""

    def __init__(
        self, rule: int, bus: Bus, side: int, settings: DuckSettings, parts: Parts, lock: RLock
    ) -> None:
        self.rule = rule
        self.bus = bus
        self.side = side
        """First of the rows in which the ducked inputs are mixed apart from the rest."""
        self._settings = settings
        self._parts = parts
        self._lock = lock

    @property
    def settings(self) -> DuckSettings:
        """How far and how fast."""
        return self._settings

    @settings.setter
    def settings(self, settings: DuckSettings) -> None:
        with self._lock:
            self._settings = settings
            self._parts.ducking.set(self.rule, settings)

    def key(self, source: Input, is_key: bool = True) -> None:
        """Whether an input, as it is heard (after gain, mute and fade), brings the others down."""
        with self._lock:
            for row in source.rows:
                self._parts.ducking.key(self.rule, row, is_key)

    def duck(self, source: Input, ducked: bool = True) -> None:
        """Whether an input steps back. On one bus it can do so for one rule only: the last that was named."""
        with self._lock:
            self._parts.routing.duck(self.bus, source, self if ducked else None)

    def hold(self, held: bool) -> None:
        """Keep the ducked inputs down whatever the keys do, or leave it to the keys."""
        with self._lock:
            self._parts.ducking.hold(self.rule, held)

    @property
    def gain(self) -> float:
        """The factor of the ducked inputs at the end of the last block."""
        return self._parts.ducking.gain(self.rule)
