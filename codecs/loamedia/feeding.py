"""The thread of a source: it opens, decodes into a ring, waits where it is ahead, and comes back after a loss."""

from __future__ import annotations

import logging
import threading
import time
import traceback
import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from loacodecs.backoff import Backoff

from .decoding import SAMPLE_RATE, Block, DecodeStats, decode, seek
from .errors import SourceError
from .opening import Medium, open_medium
from .pacing import Regulator, Speed
from .parts import Parts
from .policy import Policy, Resolve
from .ring import Ring
from .spec import SourceSpec
from .web import Transfer

log = logging.getLogger("loa.source")

PUSHED: Final = frozenset({"rtsp", "srt", "alsa"})
"""Kinds that cannot be made to wait: what does not fit any more is lost, the oldest first."""
RESERVE_MAX_S: Final = 6.0
RESERVE_S: Final = {"http": 1.0, "rtsp": 0.5, "srt": 0.3, "alsa": 0.08, "file": 0.0, "tone": 0.0}
"""Sound in hand before a live source is heard; it grows when the source runs dry."""
_PART: Final = SAMPLE_RATE // 10
_TITLE_EVERY: Final = SAMPLE_RATE // 2
_SETTLED_S: Final = 10.0
_UNHEARD_LOOK_S: Final = 0.1
_UNHEARD_SLACK_S: Final = 10.0
_UNHEARD_SPEED: Final = 2.0
"""What nobody takes of a station is let go of no faster than that, whoever sends how fast."""
_LEAVE_S: Final = 2.0
"""How long a program that ends waits for such a thread: soxr aborts the process when it is in there at the end."""


@dataclass(frozen=True)
class PlayerSettings:
    """How to play.

    channels        1 or 2
    loop            a file begins again at its end, without a gap
    reconnect       a stream that breaks off or does not answer is tried again, for ever
    start_s         a file begins so far into it, its first round; at its beginning where that cannot be found
    open_timeout_s  until a source must have begun to sound
    read_timeout_s  until a connection that is silent is given up
    """

    channels: int = 2
    loop: bool = False
    reconnect: bool = True
    start_s: float = 0.0
    open_timeout_s: float = 10.0
    read_timeout_s: float = 10.0
    backoff_first_s: float = 0.5
    backoff_limit_s: float = 20.0


@dataclass
class PlayerStats:
    """What became of the sound; all but `ratio` only grow."""

    decoded: DecodeStats = field(default_factory=DecodeStats)
    connections: int = 0
    """Times that it was opened."""
    failures: int = 0
    """Times that it could not be opened, or broke off."""
    dry: int = 0
    """Times that it had nothing ready, and went on later."""
    ratio: float = 1.0
    """Speed of a live source against our clock, as it is followed."""


class _Stopped(Exception):  # noqa: N818 - no error: the way out of the thread
    pass


@dataclass(slots=True)
class _Leaving:
    """How far the end of a thread has come; `until` is monotonic seconds, from its stop on."""

    stopped: threading.Event
    room: threading.Event
    left: threading.Event = field(default_factory=threading.Event)
    until: float = 0.0

    def wait(self) -> None:
        """The program ends: stop the thread if nobody did, and let it leave FFmpeg and soxr."""
        self.stopped.set()
        self.room.set()
        self.left.wait(max(0.0, (self.until or time.monotonic() + _LEAVE_S) - time.monotonic()))


class Feeder:
    """Fills `ring` from `spec` until the end, a failure for good, or `stop`. Its attributes are for reading only.

    phase    opening, open, over (everything is in the ring), failed (`reason` says why)
    fault    why the last attempt failed, for whoever waits for no other
    flowing  set by the consumer: whether it takes sound at its pace just now
    news     set whenever there is something to look at
    """

    def __init__(
        self, spec: SourceSpec, policy: Policy, settings: PlayerSettings, ring: Ring, stats: PlayerStats,
        *, clock: Callable[[], float], random: Callable[[int], bytes], resolve: Resolve,
    ) -> None:  # fmt: skip
        self.phase: Literal["opening", "open", "over", "failed"] = "opening"
        self.reason = self.fault = ""
        self.title = ""
        self.duration_s: float | None = None
        self.live = spec.kind in PUSHED
        self.rounds: tuple[int, ...] = (0,)
        """At which sample of the ring each round of a looped file begins, from the one that is played on; replaced
        whole, since it is looked at from any thread.

        Of a file that did not start at its beginning, the first lies before the ring's first sample.
        """
        self.flowing = False
        self.news = threading.Event()
        self._spec = spec
        self._policy = policy
        self._settings = settings
        self._ring = ring
        self._stats = stats
        self._clock = clock
        self._resolve = resolve
        self._backoff = Backoff(random, first_s=settings.backoff_first_s, limit_s=settings.backoff_limit_s)
        self._regulator = Regulator(RESERVE_S[spec.kind] / 2, RESERVE_MAX_S)
        self._speed: Speed | None = None
        self._station = False
        self._gone_at: float | None = None
        """When the next part may go that nobody takes; None while somebody does."""
        self._transfer: Transfer | None = None
        self._parts = Parts()
        self._stopped = threading.Event()
        self._room = threading.Event()
        self._leaving = _Leaving(self._stopped, self._room)
        self._waiting = False

    def start(self) -> None:
        """Begin. FFmpeg may hold the thread for a while after `stop`; nobody need wait for it but at exit."""
        weakref.finalize(self, self._leaving.wait)
        threading.Thread(target=self._run, name=f"loa-{self._spec.kind}", daemon=True).start()

    def stop(self) -> None:
        """End soon; from any thread."""
        self._leaving.until = self._leaving.until or time.monotonic() + _LEAVE_S
        self._stopped.set()
        self._room.set()
        transfer = self._transfer
        if transfer is not None:
            transfer.cut("was closed")

    def taken(self) -> None:
        """The consumer has taken something: wake the thread when half of the ring is free."""
        if self._waiting and self._ring.room > self._ring.fill:
            self._room.set()

    def starved(self) -> None:
        """The consumer waits for sound."""
        self._room.set()

    def _run(self) -> None:
        try:
            while True:
                began = self._clock()
                error = self._attempt()
                if error is None:
                    self.phase = "over"
                    return
                self._check()
                self._stats.failures += 1
                if not (error.passing and self._settings.reconnect):
                    self.fault = self.reason = str(error)
                    self.phase = "failed"
                    return
                if self._clock() - began > _SETTLED_S or self._parts.renewed:
                    self._backoff.reset()
                self._pause(str(error))
        except _Stopped:
            pass
        finally:
            self._leaving.left.set()
            self.news.set()

    def _attempt(self) -> SourceError | None:
        """From opening to the end; what it failed of, None when it came to its end."""
        try:
            self._session()
        except SourceError as error:
            _let_go(error)
            return SourceError(str(error), passing=error.passing)
        except _Stopped:
            raise
        except Exception as error:  # who waits for sound must learn that none will come
            self._check()
            log.exception("the thread of %s failed", self._spec.name)
            _let_go(error)
            passing = self.live or not self._ring.written
            return SourceError(f"{self._spec.name} failed: {type(error).__name__}", passing=passing)
        return None

    def _pause(self, why: str) -> None:
        pause = self._backoff.next_pause()
        self.fault = why
        self.phase, self.reason = "opening", f"{why}; trying again in {pause:.1f} s"
        self.news.set()
        self._stopped.wait(pause)
        self._check()

    def _session(self) -> None:
        """From opening to the end. Raises SourceError, `passing` only when it makes sense to begin anew."""
        heard = False
        while True:
            before = self._ring.written
            medium = self._open()
            try:
                self._play_links(medium)
            except SourceError as error:
                # A file that broke off in the middle must not begin again from its beginning by itself.
                passing = error.passing and (medium.live or self._ring.written == before) and not heard
                raise SourceError(str(error), passing=passing) from error
            finally:
                if medium.live:
                    self._parts.keep()
                medium.close()
            if medium.live:
                raise SourceError(f"{self._spec.name} ended", passing=True)
            if self._ring.written == before:
                raise SourceError(f"{self._spec.name} has not a single sample of sound in it")
            if not self._settings.loop:
                return
            heard = True
            played = round_at(self.rounds, self._ring.read)
            self.rounds = (*self.rounds[played:], self._ring.written)

    def _open(self) -> Medium:
        settings = self._settings
        self._transfer = Transfer(
            self._policy, timeout_s=settings.read_timeout_s, resolve=self._resolve, parts=self._parts
        )
        self._parts.begin()
        self._check()  # a stop that came just before found no transfer to cut
        self._stats.connections += 1
        medium = open_medium(self._spec, self._transfer, open_timeout_s=settings.open_timeout_s)
        self.live, self.duration_s, self._station = medium.live, medium.duration_s, medium.station
        self._speed = Speed(settings.channels) if medium.live else None
        self._regulator.restart()
        return medium

    def _play_links(self, medium: Medium) -> None:
        while True:
            try:
                self._play(medium)
                return
            except SourceError:
                if not medium.follow():
                    raise
                self._stats.decoded.changes += 1

    def _play(self, medium: Medium) -> None:
        title_at = 0
        samples = 0
        start_s = self._start(medium)
        for block in decode(
            medium.container, self._spec.name, self._settings.channels, self._stats.decoded, start_s=start_s
        ):
            if samples >= title_at:
                self.title, title_at = medium.title, samples + _TITLE_EVERY
            samples += block.shape[1]
            if self._speed is not None:
                self._speed.set(self._stats.ratio)
                block = self._speed.convert(block)
            for at in range(0, block.shape[1], _PART):
                self._write(block[:, at : at + _PART])
            self.phase, self.reason = "open", ""

    def _start(self, medium: Medium) -> float:
        """How far into the file to begin."""
        wanted, duration_s = self._settings.start_s, medium.duration_s
        if medium.live or self._ring.written or not wanted or duration_s is None or wanted >= duration_s:
            return 0.0
        if not seek(medium.container, wanted):
            return 0.0
        self.rounds = (-round(wanted * SAMPLE_RATE),)
        return wanted

    def _write(self, part: Block) -> None:
        self._check()
        waited = False
        while self._spec.kind not in PUSHED and self._ring.room < part.shape[1]:
            if self._station and self._may_go(part.shape[1] / SAMPLE_RATE):
                waited = True
                break
            self._room.clear()
            self._waiting = waited = True
            # A stop that came just before the clearing will not wake it again.
            if self._ring.room < part.shape[1] and not self._stopped.is_set():
                self.phase, self.reason = "open", ""
                self._room.wait(_UNHEARD_LOOK_S if self._station else None)
            self._waiting = False
            self._check()
        if self.live:
            self._follow(waited)
        self._ring.write(part)
        self.news.set()

    def _may_go(self, seconds: float) -> bool:
        """Whether so much of the oldest may be overwritten: of a station that nobody takes, as time passes, or it would
        be heard late by as much when somebody does."""
        now = self._clock()
        if self.flowing or self._gone_at is None:
            self._gone_at = None if self.flowing else now
            return False
        if now < self._gone_at:
            return False
        self._gone_at = max(self._gone_at, now - _UNHEARD_SLACK_S) + seconds / _UNHEARD_SPEED
        return True

    def _follow(self, waited: bool) -> None:
        if waited or not self.flowing:
            self._regulator.restart()
            self._stats.ratio = 1.0
        else:
            self._stats.ratio = self._regulator.note(self._ring.fill / SAMPLE_RATE, self._clock())

    def _check(self) -> None:
        if self._stopped.is_set():
            raise _Stopped


def _let_go(error: BaseException | None) -> None:
    """Of what was in the calls that an error and those before it came through: calls that know their error are a circle
    with all they had, and whoever sets aside what is old never finds it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def round_at(rounds: Sequence[int], sample: int) -> int:
    """Which of `rounds`, each told by its first sample, has `sample` in it."""
    return max(0, bisect_right(rounds, sample) - 1)
