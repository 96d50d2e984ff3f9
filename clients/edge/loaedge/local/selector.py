"""What is heard now: the live sound, a local programme, or silence.

The selector sits between the playout and the volume. `tick` decides, about once a second and off the sound
thread; `render` only mixes. Live and local sound meet in an equal-power cross-fade, and each goes through a gate
that the quiet hours close: early enough to be silent when they begin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np

from loacodecs.opus import SAMPLE_RATE, Pcm

from .director import FALLBACK_NAME, Director, Situation
from .mixing import Chime, CrossFade, Gate, PauseFinder, ramp
from .programme import Programme
from .quiet import QuietHours
from .timetable import BulletinClass
from .wallclock import WallClock

QUIET_WORD: Final = "quiet hours"
"""One of `Selector.words`: what is on air, if anything, is not heard now."""
_BLOCK: Final = SAMPLE_RATE // 5
_LEAP_S: Final = 0.5
"""A longer gap between two renders is no continuous sound: gates snap instead of fading."""
_SWAP_S: Final = 0.1
"""How a local programme gives way to another one."""
_SPEECH_PAUSE_S: Final = 1.0
"""Live sound that pauses for so long has not ended."""
_LIVE_GAP_S: Final = 10.0
"""Live sound that was believed and pauses for no longer goes on."""
_ON_AIR_S: Final = 60.0
"""Live sound heard so long before the link failed: the channel was on air."""
_PROBE_EVERY_S: Final = 10.0


class Live(Protocol):
    """What `loaedge.playout.Playout` offers; whoever shares it between threads wraps it in a lock."""

    def render(self, frames: int, heard_at: float) -> Pcm:
        """What is to be heard from local time `heard_at` on, (frames, channels)."""

    def sounding_at(self, local: float) -> bool:
        """Whether packets with sound are there for that moment."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """What the shell knows about the sessions that bring live sound; replaced whole.

    connected  at least one session stands
    since      monotonic time since when that is so; infinite while nobody knows
    unanswered monotonic time of the oldest question to the relay that has no answer yet, or None
    kind       class of what is on air
    """

    connected: bool = False
    since: float = math.inf
    unanswered: float | None = None
    kind: BulletinClass = "normal"


@dataclass(frozen=True, slots=True)
class SelectorSettings:
    """down_after_s   without a session for so long, local programmes play
    answer_s       a relay that does not answer within this is down, whatever the session seems to be
    probe_before_s the link is asked about so long before a programme is due
    fade_s         length of a cross-fade
    back           the way back to live: at a "pause" of the local programme, or at its "end"
    back_within_s  without a pause the way back is taken after so long
    settle_s       live sound must have lasted so long before it is believed
    chime_rest_s   a chime precedes a programme after so much silence
    lead_s         a local programme out of silence waits so long: the amplifier is switched on meanwhile
    """

    down_after_s: float = 5.0
    answer_s: float = 8.0
    probe_before_s: float = 20.0
    fade_s: float = 1.0
    back: Literal["pause", "end"] = "pause"
    back_within_s: float = 10.0
    settle_s: float = 2.0
    chime_rest_s: float = 60.0
    lead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sounding:
    """What is heard: `source`, the programme's name ("" when live) and class; `quiet` when hours forbid it."""

    source: Literal["live", "local", "silence"] = "silence"
    programme: str = ""
    kind: BulletinClass = "normal"
    quiet: bool = False


class Selector:
    """Give it the live sound, a director, quiet hours and a clock; set `live_state` whenever it changes.

    `chime` is PCM (samples, channels) to be heard before a programme, or None. `sounding` says what is heard.
    """

    def __init__(
        self,
        live: Live,
        director: Director,
        quiet: QuietHours,
        wall: WallClock,
        settings: SelectorSettings | None = None,
        *,
        channels: int = 1,
        chime: Pcm | None = None,
    ) -> None:
        self.live_state = LiveState()
        self.sounding = Sounding()
        self._live = live
        self._director = director
        self._quiet = quiet
        self._wall = wall
        self._settings = settings or SelectorSettings()
        self._channels = channels
        self._chime = Chime(chime, rest_s=self._settings.chime_rest_s)
        self._live_gate, self._local_gate = Gate(), Gate()
        self._fade = CrossFade(self._settings.fade_s)
        self._pauses = PauseFinder()
        self._playing: Programme | None = None
        self._playing_level = 1.0
        self._lead_left = 0.0
        self._return_by: float | None = None
        self._going_back = False
        self._live_since: float | None = None
        self._live_at: float | None = None
        self._next: float | None = None
        self._probed: float | None = None

    # The worker's thread

    def tick(self, now: float) -> None:
        """Decide and read ahead; call it about once a second (monotonic seconds)."""
        settings, director = self._settings, self._director
        down_s = self._down_s(now)
        was_on_air = self._live_at is not None and now - self._live_at < _ON_AIR_S + down_s
        situation = Situation(self._wall.local_time(now), down_s, self._settled(now), was_on_air)
        director.tick(situation, down_after_s=settings.down_after_s)
        emergency = self.live_state.kind == "emergency" and self._live_since is not None
        back = emergency or situation.live or self._gives_way(now)
        if director.current is None or down_s >= settings.down_after_s or not back:
            self._return_by = None
        elif self._going_back and self._fade.share <= 0.0:
            director.stop()
        elif emergency:
            self._return_by = now
        elif self._return_by is None and (settings.back == "pause" or director.current.spec.repeat):
            self._return_by = now + settings.back_within_s

    def probe_due(self, now: float) -> bool:
        """Whether to ask the relay for a sign of life now: a programme is due, and nothing live is heard.

        An idle session is looked at once a minute only, which is too late for a programme that must not wait.
        True at most every 10 s; put the question into `live_state.unanswered` until there is an answer.
        """
        wall = self._wall.local_time(now)
        if wall is None or not self.live_state.connected or self._settled(now):
            return False
        if self._probed is not None and now - self._probed < _PROBE_EVERY_S:
            return False
        near = self._director.timetable.near(wall, self._settings.probe_before_s)
        if near:
            self._probed = now
        return near

    def words(self, now: float) -> tuple[str, ...]:
        """What is out of the ordinary, for telemetry and the console."""
        found = []
        wall = self._wall.local_time(now)
        if wall is None:
            found.append("time unknown: no timetable" + ("" if self._quiet.never else ", quiet"))
        elif self._quiet.quiet_at(wall):
            found.append(QUIET_WORD)
        found += [f"{name}: {sentence}" for name, sentence in self._director.all_faults.items()]
        return tuple(found)

    def close(self) -> None:
        """Close the files."""
        self._director.stop()

    def _down_s(self, now: float) -> float:
        state = self.live_state
        if not state.connected:
            return max(0.0, now - state.since)
        if state.unanswered is None or self._settled(now):  # what is heard needs no other proof
            return 0.0
        silent = now - state.unanswered
        return silent if silent >= self._settings.answer_s else 0.0

    def _gives_way(self, now: float) -> bool:
        """Whether what plays locally has to end though nothing live is heard just now.

        Live sound to which the way back has begun may pause; a fallback has nothing to stand in for once the link
        is back, whether or not anything is on air.
        """
        state, current = self.live_state, self._director.current
        if not state.connected or state.unanswered is not None or current is None:
            return False
        if self._return_by is not None and self._live_at is not None and now - self._live_at <= _LIVE_GAP_S:
            return True
        return current.spec.name == FALLBACK_NAME and now - state.since >= self._settings.down_after_s

    def _settled(self, now: float) -> bool:
        return self._live_since is not None and now - self._live_since >= self._settings.settle_s

    # The sound thread

    def render(self, frames: int, heard_at: float) -> Pcm:
        """What is to be heard from monotonic time `heard_at` on: (frames, channels), full scale ±1."""
        if self._next is not None and abs(heard_at - self._next) > _LEAP_S:
            self._live_gate.snap()
            self._local_gate.snap()
        self._next = heard_at + frames / SAMPLE_RATE
        if frames <= _BLOCK:
            return self._block(frames, heard_at)
        blocks = [
            self._block(min(_BLOCK, frames - start), heard_at + start / SAMPLE_RATE)
            for start in range(0, frames, _BLOCK)
        ]
        return np.concatenate(blocks)

    def _block(self, frames: int, at: float) -> Pcm:
        live_sounds = self._note_live(at)
        live_open = self._open(self.live_state.kind, at, frames)
        live = self._live_gate.apply(self._live.render(frames, at), open_=live_open)
        playing = self._choose()
        local_open = playing is not None and self._open(
            playing.spec.kind, at, frames, without_time=playing.spec.without_time
        )
        if (playing is not None and local_open and self._lead_left <= 0) or (
            live_open and self._live_comes(at)
        ):
            self._chime.begin()
        local = None if playing is None else self._local(playing, frames)
        if local is not None:
            self._going_back = self._return_by is not None and (
                self._going_back or at >= self._return_by or self._pauses.pauses(local)
            )
            local = self._local_gate.apply(local, open_=local_open)
        elif self._live_since is None:
            self._fade.share = 0.0  # nothing to fade from, nothing to fade to
        out = self._fade.mix(live, local, target=0.0 if local is None or self._going_back else 1.0)
        self._tell(live_sounds, live_open, local_open)
        sounds = self.sounding.source != "silence"
        return self._chime.add(out, sounds=sounds, open_=live_open or local_open)

    def _note_live(self, at: float) -> bool:
        sounds = self._live.sounding_at(at)
        if sounds:
            self._live_since = at if self._live_since is None else self._live_since
            self._live_at = at
        elif self._live_at is None or at - self._live_at > _SPEECH_PAUSE_S:
            self._live_since = None
        return sounds

    def _live_comes(self, at: float) -> bool:
        return self._live_since is not None or self._live.sounding_at(at + self._chime.seconds)

    def _open(self, kind: BulletinClass, at: float, frames: int, *, without_time: bool = False) -> bool:
        """Whether quiet hours allow `kind` from `at` until the gate could be closed."""
        wall = self._wall.local_time(at)
        if wall is None and without_time:
            return True
        closed = self._wall.local_time(at + frames / SAMPLE_RATE + Gate.RAMP_S + _BLOCK / SAMPLE_RATE)
        return not (self._quiet.forbids(kind, wall) or self._quiet.forbids(kind, closed))

    def _choose(self) -> Programme | None:
        """The local programme to be played from now on."""
        wanted = self._director.current
        if self._playing is not None and (self._playing.ended or self._playing_level <= 0.0):
            self._playing = None
        if self._playing is None and wanted is not None and not wanted.ended:
            self._playing, self._playing_level = wanted, 1.0
            self._local_gate.snap()  # as it was left by another programme, at another time of day
            if self._live_since is None:
                self._fade.share = 1.0  # out of silence there is nothing to fade from
            self._lead_left = self._settings.lead_s if self.sounding.source == "silence" else 0.0
        return self._playing

    def _local(self, playing: Programme, frames: int) -> Pcm:
        if playing is self._director.current:
            waits = self._lead_left > 0 or self._chime.ringing  # for the amplifier, and for its chime
            self._lead_left -= frames / SAMPLE_RATE
            if waits:
                return np.zeros((frames, self._channels), np.float32)
            return playing.take(frames)
        # Another one is wanted, or none: this one goes first, softly.
        begin = self._playing_level
        self._playing_level = max(0.0, begin - frames / (_SWAP_S * SAMPLE_RATE))
        faded: Pcm = playing.take(frames) * ramp(begin, self._playing_level, frames)
        return faded

    def _tell(self, live_sounds: bool, live_open: bool, local_open: bool) -> None:
        playing = self._playing
        if playing is not None and self._fade.share > 0.5:
            said = Sounding("local", playing.spec.name, playing.spec.kind, not local_open)
        elif live_sounds:
            said = Sounding("live", "", self.live_state.kind, not live_open)
        else:
            said = Sounding(quiet=not live_open)
        if said != self.sounding:
            self.sounding = said
