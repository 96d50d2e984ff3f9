"""A source that plays: its thread keeps some seconds ready, and the consumer sets the pace."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, Literal

import numpy as np

from .decoding import SAMPLE_RATE, Block
from .errors import SourceError
from .feeding import PUSHED, RESERVE_MAX_S, RESERVE_S, Feeder, PlayerSettings, PlayerStats, round_at
from .policy import ANYTHING, Policy, Resolve, system_resolve
from .ring import Ring
from .spec import SourceSpec
from .tone import Tone

State = Literal["opening", "playing", "paused", "ended", "failed"]

_RING_S: Final = {"http": 12.0, "rtsp": 4.0, "srt": 4.0, "alsa": 2.0, "file": 2.0, "tone": 0.0}
_LEAST_RESERVE_S: Final = 0.1
"""What is gathered at the least before a source that has run dry is heard again."""
_SLACK_S: Final = 1.0
"""How much more than its reserve a source that is pushed may hold before the oldest is dropped."""


class Player:
    """One source from its opening to its end.

    `take` never blocks and is for the thread of a mixer; `pull` waits and is for a thread of its own. One
    thread may use one of them; everything else may be called from any thread.
    """

    def __init__(
        self, spec: SourceSpec, policy: Policy = ANYTHING, settings: PlayerSettings | None = None,
        *, paused: bool = False, clock: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = os.urandom, resolve: Resolve = system_resolve,
    ) -> None:  # fmt: skip
        """Begin to open `spec`; with `paused` it is made ready and waits for `play`."""
        settings = settings or PlayerSettings()
        self.spec = spec
        self.stats = PlayerStats()
        self._channels = settings.channels
        self._ring = Ring(settings.channels, round(_RING_S[spec.kind] * SAMPLE_RATE))
        self._feeder = Feeder(
            spec, policy, settings, self._ring, self.stats, clock=clock, random=random, resolve=resolve
        )
        self._paused = paused
        self._closed = False
        self._gathering = True
        self._dry = False
        self._reserve_s = RESERVE_S[spec.kind]
        self._tone = Tone(float(spec.target)) if spec.kind == "tone" else None
        self._tone_samples = 0
        if self._tone is None:
            self._feeder.start()

    @property
    def state(self) -> State:
        """What is heard of it: opening means not yet, or not just now; ended and failed are for ever."""
        if self._closed:
            return "failed" if self._feeder.phase == "failed" else "ended"
        if self._tone is None:
            if self._over and not self._ring.fill:
                return "failed" if self._feeder.phase == "failed" else "ended"
            if self._gathering and not self._enough:
                return "opening"
        return "paused" if self._paused else "playing"

    @property
    def reason(self) -> str:
        """One sentence on why it failed or is not heard just now; "" when all is well."""
        if self._feeder.reason or not self._dry or self.state != "opening":
            return self._feeder.reason
        return f"{self.spec.name} sends less than is played"

    @property
    def title(self) -> str:
        """What is on: what the source says, else its name."""
        return self._feeder.title or self.spec.name

    @property
    def live(self) -> bool:
        """Whether it comes at a pace of its own; known when it is open."""
        return self._feeder.live or self._tone is not None

    @property
    def duration_s(self) -> float | None:
        """How long it is, None where nobody knows."""
        return self._feeder.duration_s

    @property
    def position_s(self) -> float:
        """How far it was played; of a looped file, since its beginning."""
        rounds, read = self._feeder.rounds, self._ring.read
        played = self._tone_samples + read - self._ring.dropped
        return (played - rounds[round_at(rounds, read)]) / SAMPLE_RATE

    @property
    def buffered_s(self) -> float:
        """How much sound is ready."""
        return self._ring.fill / SAMPLE_RATE

    @property
    def dropped_s(self) -> float:
        """How much sound was passed over because it came faster than it was played."""
        return self._ring.dropped / SAMPLE_RATE

    def play(self) -> None:
        """Let it be heard."""
        if self._paused and self._feeder.live:
            self._gathering = True  # it begins with what is now, not with what was when it was made ready
        self._paused = False

    def pause(self) -> None:
        """Keep it ready; a live source goes on meanwhile."""
        self._paused = True
        self._feeder.flowing = False

    def close(self) -> None:
        """Stop for ever, at once."""
        self._closed = True
        self._feeder.stop()
        self._feeder.news.set()

    def take(self, out: Block) -> int:
        """Fill `out` (channels, n) as far as there is sound now; gives how many samples. Never blocks.

        Fewer than n is a source that has nothing just now, or with the state "ended" or "failed" its exact end.
        """
        count = self._taken(out)
        if count < out.shape[1] and not self._gathering and not self._over:
            self._run_dry()
        return count

    def _taken(self, out: Block) -> int:
        if self._paused or self._closed:
            return 0
        if self._tone is not None:
            self._tone.fill(out)
            self._tone_samples += out.shape[1]
            everything: int = out.shape[1]
            return everything
        if self._gathering:
            if not self._enough:
                return 0
            self._gathering = False
            self.stats.dry += self._dry  # only now it is known that it had not come to its end
            self._dry = False
            self._pass_over(self._reserve_s)
        else:
            self._pass_over(self._reserve_s + _SLACK_S)
        count = self._ring.take(out)
        self._feeder.flowing = True
        if self._paused:  # just now: whoever did it may have had the last word on `flowing` before this
            self._feeder.flowing = False
        self._feeder.taken()
        return count

    def _run_dry(self) -> None:
        self._gathering = self._dry = True
        self._feeder.flowing = False
        self._reserve_s = min(max(self._reserve_s * 1.5, _LEAST_RESERVE_S), RESERVE_MAX_S)

    def pull(self, samples: int) -> Block:
        """The next samples (channels, samples), fewer at the end, none after it. Waits for them. Raises SourceError."""
        out = np.zeros((self._channels, samples), np.float32)
        have = 0
        while have < samples:
            self._feeder.news.clear()
            if self._closed:  # looked at after the clearing, or its news would be lost
                break
            over = self._over  # before the look into the ring, not after it
            have += self._taken(out[:, have:])
            if have == samples or (over and not self._ring.fill):
                break
            if self._feeder.live and not self._gathering and not over:
                self._run_dry()
            self._feeder.starved()
            self._feeder.news.wait()
        if not have and not self._closed and self._feeder.phase == "failed":
            raise SourceError(self._feeder.reason)
        return out[:, :have]

    def wait_opened(self) -> None:
        """Wait until the first attempt to open it has succeeded. Raises SourceError with why it did not."""
        feeder = self._feeder
        while self._tone is None:
            feeder.news.clear()
            if self._ring.written or self._closed:
                return
            if self._over or feeder.reason:
                if feeder.reason:
                    raise SourceError(feeder.fault)
                return
            feeder.news.wait()

    @property
    def _over(self) -> bool:
        return self._feeder.phase in ("over", "failed")

    @property
    def _enough(self) -> bool:
        """Whether there is so much in hand that it can begin."""
        reserve = max(1, round(self._reserve_s * SAMPLE_RATE))
        return self._ring.fill >= reserve or (self._over and self._ring.fill > 0)

    def _pass_over(self, most_s: float) -> None:
        """Of a source that is pushed, drop the oldest when more than `most_s` is in hand."""
        if self.spec.kind in PUSHED and self._ring.fill > most_s * SAMPLE_RATE:
            self._ring.skip_to(round(self._reserve_s * SAMPLE_RATE))
