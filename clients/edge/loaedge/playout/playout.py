"""A receiver's playout: packets of one or several sources in, the sound for any moment out.

Sans-I/O: `Source.on_rtp` and `render` are given the time. The receiver's clock, the relay's clock and the channel's
sample clock each run at their own pace; the playhead follows `Schedule` by resampling, and jumps only when it is
far off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from loacodecs.drift import DriftController
from loacodecs.opus import SAMPLE_RATE, Pcm

from .line import Line
from .rate import LOOK_AHEAD, LOOK_AHEAD_S, VariableRate
from .reader import FrameReader
from .schedule import PlayoutSettings, RelayClock
from .source import Source
from .stats import PlayoutStats

FADE: Final = 480
"""Samples of the fade before a jump: 10 ms; the reader fades in."""
SETTLED_S: Final = 0.0005
"""When settings change, a smaller error is not worth a jump."""
CALM_S: Final = 1.0
"""After a jump the controller is given so long to see that the error is gone."""
PATIENCE_S: Final = 1.0
"""How long a jump waits for a quiet moment."""
QUIET: Final = 0.003
"""-50 dBFS."""
ECHO_S: Final = 0.2
"""An error this large is worse for every second it lasts than a hole in the sound."""
SOUND_OCTETS: Final = 8
"""Shorter frames are silence: DTX, or an encoder's least for nothing."""
ABSENT_S: Final = 0.5
"""Nobody has asked for sound for so long: there was no device. What came meanwhile was neither heard nor concealed."""
_AROUND: Final = 5760
COMMIT_S: Final = 0.02
"""What is supposed of the device until it says more."""


class Playout:
    """The sound of a channel at `capture time + delay + trim`. Not thread-safe: its owner holds a lock.

    clock     the relay's, see `RelayClock`
    channels  of the sound that `render` gives, 1 or 2
    """

    def __init__(self, clock: RelayClock, settings: PlayoutSettings, *, channels: int = 1) -> None:
        self._line = line = Line(clock, settings)
        self.commit_s = COMMIT_S
        self._clock = clock
        self._channels = channels
        self._reader = FrameReader(line, channels)
        self._rate = VariableRate(channels)
        self._drift = DriftController()
        self._playing = False
        self._resettled = False
        self._calm_until = 0.0
        self._jump_by: float | None = None
        self._quiet = False
        self._rendered: float | None = None
        self._sources: dict[str, Source] = {}

    @property
    def stats(self) -> PlayoutStats:
        """Counters and newest readings."""
        return self._line.stats

    @property
    def settings(self) -> PlayoutSettings:
        """Delay and trim; a change is one jump at the next `render`."""
        return self._line.schedule.settings

    @settings.setter
    def settings(self, settings: PlayoutSettings) -> None:
        if settings != self._line.schedule.settings:
            self._line.schedule.settings = settings
            self._resettled = True

    @property
    def commit_s(self) -> float:
        """So long before it is heard sound is rendered at the latest, as the device says: packets are asked for
        again as long as they can come before that."""
        return self._commit_s

    @commit_s.setter
    def commit_s(self, seconds: float) -> None:
        self._commit_s = seconds
        self._line.ahead_s = seconds + LOOK_AHEAD_S

    def open(
        self,
        name: str,
        *,
        payload_type: int,
        red_payload_type: int | None,
        nack: bool,
        ssrc: int,
        cname: str,
        random: Callable[[int], bytes],
        capture_extension: int = 0,
    ) -> Source:
        """A source for the packets of a WHEP session; takes the place of an earlier one called `name`.

        `payload_type`, `red_payload_type`, `nack` (whether the relay answers requests) and `capture_extension` (id
        of abs-capture-time, 0 for none) as negotiated; `ssrc` and `cname` are the receiver's own; `random` gives as
        many random bytes as asked for.
        """
        self.close(name)
        source = Source(
            name,
            self._line,
            payload_type=payload_type,
            red_payload_type=red_payload_type,
            nack=nack,
            ssrc=ssrc,
            cname=cname,
            random=random,
            capture_extension=capture_extension,
        )
        self._sources[name] = source
        return source

    def close(self, name: str) -> None:
        """Forget a source; what it brought is played."""
        if self._sources.pop(name, None) is not None:
            self._line.close(name)

    def render(self, frames: int, heard_at: float) -> Pcm:
        """The sound to be heard from local time `heard_at` on: (frames, channels), an array of its own."""
        if self._rendered is not None and heard_at - self._rendered > ABSENT_S:
            self._playing = False
            self._reader.excuse()
        self._rendered = heard_at + frames / SAMPLE_RATE
        return self._render(frames, heard_at)

    def _render(self, frames: int, heard_at: float) -> Pcm:
        line = self._line
        wanted = line.schedule.position_at(heard_at)
        line.stats.tied = line.schedule.tied
        if wanted is None:
            return self._silence(frames)
        if not self._playing and not self._start(wanted, frames):
            return self._silence(frames)
        error = (wanted - self._playhead()) / SAMPLE_RATE
        correction = self._drift.update(error, heard_at)
        self._rate.ratio = correction.ratio
        line.stats.error_s = error
        line.stats.buffer_s = max(0.0, (line.buffer.newest - wanted) / SAMPLE_RATE)
        if self._must_jump(error, correction.jump, heard_at):
            return self._jump(frames, heard_at)
        sound = self._rate.pull(frames, self._reader.read)
        if self._reader.silent and line.buffer.after(self._reader.position) is None:
            self._playing = False
        if self._jump_by is not None:
            self._quiet = bool(np.abs(sound).max() < QUIET)
        return sound

    def ready(self, frames: int, heard_at: float) -> int:
        """How many of the `frames` heard from local time `heard_at` on would sound no better if rendered later.

        Not ready is what a hole in the line, or a packet that should be here by now, leaves open.
        """
        line = self._line
        wanted = line.schedule.position_at(heard_at)
        if wanted is None:
            return frames
        if self._playing:
            begin, lead = self._reader.needs, self._reader.needs - self._reader.position
            here = line.complete(begin, begin + frames + _AROUND)
            return min(frames, self._rate.reach(lead + here))
        begin = max(int(wanted), line.read)
        here = begin - int(wanted) + line.complete(begin, begin + frames + _AROUND)
        return min(frames, max(0, here - LOOK_AHEAD))

    def sounding_at(self, local: float) -> bool:
        """Whether frames with sound are held for local time `local`."""
        position = self._line.schedule.position_at(local)
        if position is None:
            return False
        around = self._line.buffer.between(int(position) - _AROUND, int(position) + _AROUND)
        return any(len(frame.data) > SOUND_OCTETS for frame in around)

    def _must_jump(self, error: float, wanted: bool, heard_at: float) -> bool:
        """Whether to jump now: after a change of settings, or when far off, in a quiet moment if one comes soon."""
        resettled, self._resettled = self._resettled, False
        if resettled and abs(error) > SETTLED_S:
            return True
        if not wanted or heard_at < self._calm_until:
            self._jump_by = None
            return False
        if self._jump_by is None:
            self._jump_by, self._quiet = heard_at + PATIENCE_S, False
        return self._quiet or heard_at >= self._jump_by or abs(error) > ECHO_S

    def _playhead(self) -> float:
        """The position of the next sample that will be rendered."""
        return self._reader.position - self._rate.lead()

    def _silence(self, frames: int) -> Pcm:
        return np.zeros((frames, self._channels), np.float32)

    def _start(self, wanted: float, frames: int) -> bool:
        """Begin to play when something is there for this block, or a frame that the resampler reads ahead."""
        line = self._line
        begin = max(int(wanted), line.read)
        line.buffer.floor = begin
        following = line.buffer.at(begin) or line.buffer.after(begin)
        if following is None or following.start >= int(wanted) + frames or begin >= int(wanted) + frames:
            line.stats.error_s = line.stats.buffer_s = 0.0
            return False
        self._playing, self._resettled = True, False
        self._rate.reset()
        self._reader.seek(round(wanted + self._rate.lead()))
        self._drift.restart()
        return True

    def _jump(self, frames: int, heard_at: float) -> Pcm:
        """Fade out, go where we should be, fade in; backwards is a wait, for nothing is played twice."""
        self._line.stats.jumps += 1
        self._jump_by = None
        self._calm_until = heard_at + CALM_S
        before = min(frames, FADE)
        out = self._silence(frames)
        out[:before] = self._rate.pull(before, self._reader.read)
        out[:before] *= np.linspace(1, 0, before, dtype=np.float32)[:, None]
        self._playing = False
        rest = frames - before
        if rest:
            out[before:] = self._render(rest, heard_at + before / SAMPLE_RATE)
        return out
