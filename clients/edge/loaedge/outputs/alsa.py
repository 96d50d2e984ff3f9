"""ALSA: plays on a sound card, or through whatever libasound's configuration puts before it.

A driver reports the frames not yet played together with the moment it looked (`snd_pcm_status` with a monotonic time
stamp), which is exact to the card's own pointer. Where a plug-in gives no stamp the moment is that of the call, and
answers that took long (another thread held the interpreter) are passed over. After an underrun the timeline begins
anew. ALSA's plug-in for PulseAudio answers with libpulse's smoothed guess, which wanders by a millisecond: a receiver
with a sound server does better with `pulse`.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from loacodecs.opus import SAMPLE_RATE

from . import alsa_lib
from .alsa_pcm import Pcm, Underrun, opened
from .commit import LateCommit
from .deviceclock import DeviceClock
from .output import DeviceSettings, OutputError, Ready, Render, all_ready, largest_block
from .samples import encode, frame_bytes

HANG_S: Final = 2.0
"""A running card that takes no sound for so long hangs."""
_SETTLE_REPORTS: Final = 20
_SETTLE_EVERY_S: Final = 0.01
_REPORT_EVERY_S: Final = 0.2
_UNSURE_S: Final = 0.0005
_PATIENCE: Final = 10
_FASTEST: Final = 1.005
"""No card's crystal is further from its nominal rate."""


class AlsaOutput:
    """Plays on the PCM `name` of libasound's configuration, for example "default" or "plughw:CARD=Device"."""

    def __init__(self, name: str, settings: DeviceSettings) -> None:
        """Raises OutputError when libasound is not installed."""
        alsa_lib.library()
        self.name = f"alsa:{name}"
        self.latency_s = 0.0
        self.underruns = 0
        self._pcm = name
        self._settings = settings
        self.commit_s = LateCommit(settings.block, settings.latency_s).commit_s

    def play(self, render: Render, stop: threading.Event, ready: Ready = all_ready) -> None:
        """Play until `stop` is set. Raises OutputError when the card is lost or hangs."""
        with opened(self._pcm, self._settings) as pcm:
            while not stop.is_set():
                try:
                    _Run(self, pcm, self._settings).run(render, ready, stop)
                except Underrun:
                    self.underruns += 1
                    pcm.restart()


class _Run:
    """From a start of the card to its next underrun."""

    def __init__(self, output: AlsaOutput, pcm: Pcm, settings: DeviceSettings) -> None:
        self._output = output
        self._pcm = pcm
        self._settings = settings
        self._frame_bytes = frame_bytes(settings)
        # The buffer may be larger than was asked for; no more is kept in it than that.
        self._target = min(pcm.capacity, round(settings.latency_s * SAMPLE_RATE))
        self._reserve = pcm.capacity - self._target
        self._commit = LateCommit(largest_block(self._target), self._target / SAMPLE_RATE)
        self._clock = DeviceClock()
        self._written = 0
        self._reports = 0
        self._passed_over = 0
        self._next_report = 0.0
        self._began = self._took_at = time.monotonic()

    def run(self, render: Render, ready: Ready, stop: threading.Event) -> None:
        """Raises Underrun, OutputError."""
        self._silence(max(0, self._room()))
        while not stop.is_set():
            now = time.monotonic()
            if now >= self._next_report:
                self._listen()
                self._next_report = now + (_REPORT_EVERY_S if self._settled else _SETTLE_EVERY_S)
            if frames := self._fill(render, ready):
                self._took_at = now
                if self._pcm.free() >= self._pcm.capacity:
                    # A device that swallows everything at once (ALSA's null) is played to by the clock.
                    stop.wait(frames / SAMPLE_RATE)
            elif now - self._took_at > HANG_S:
                raise OutputError(f"{self._output.name} hangs: it has taken no sound for {HANG_S:g} s")
            else:
                self._rest(stop)

    def _rest(self, stop: threading.Event) -> None:
        """Until the card wants a block or a report is due."""
        began = time.monotonic()
        if self._room() >= self._commit.block:
            stop.wait(self._commit.rest_s(self._room(), self._held_s()))
            return
        self._pcm.wait(max(0.001, self._next_report - began))
        if time.monotonic() - began < 0.0005:
            # Some plug-ins say at once that they want more, and then have no room for it.
            stop.wait(_SETTLE_EVERY_S / 2)

    @property
    def _settled(self) -> bool:
        return self._reports >= _SETTLE_REPORTS

    def _listen(self) -> None:
        """Take the card's report of how far it is."""
        report = self._pcm.report()
        if report is None:
            return
        if report.unsure_s > _UNSURE_S and self._passed_over < _PATIENCE:
            self._passed_over += 1
            return
        self._passed_over = 0
        latency = max(0, report.delay) / SAMPLE_RATE
        self._clock.note(self._written, latency, report.at)
        self._output.latency_s = latency
        self._reports += 1

    def _fill(self, render: Render, ready: Ready) -> int:
        """Write a block if there is room for it, and sound for it or no more time to wait; gives the frames written."""
        room, commit = self._room(), self._commit
        if room < commit.block:
            return 0
        if not self._settled:
            self._silence(commit.block)
            return commit.block
        held, heard_at = self._held_s(), self._clock.heard_at(self._written)
        self._output.commit_s = commit.commit_s + max(0.0, heard_at - time.monotonic() - held)
        frames = commit.frames(room, held, heard_at, ready)
        if frames:
            self._pcm.write(encode(render(frames, heard_at), frames, self._settings))
            self._written += frames
        return frames

    def _held_s(self) -> float:
        """How long the card can go on with what is in its buffer; what lies behind that is not ours to fill."""
        return (self._pcm.capacity - self._pcm.free()) / SAMPLE_RATE

    def _room(self) -> int:
        """Frames wanted now. Some plug-ins want their buffer filled twice at first and then nothing for seconds:
        nobody gets more than the buffer and what could have been played since.
        """
        playable = (time.monotonic() - self._began) * SAMPLE_RATE * _FASTEST
        return min(self._pcm.free() - self._reserve, round(self._target + playable) - self._written)

    def _silence(self, frames: int) -> None:
        self._pcm.write(bytes(frames * self._frame_bytes))
        self._written += frames
