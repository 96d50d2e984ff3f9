"""PulseAudio or PipeWire: a stream whose every sample knows when it is heard.

What the server's latency reports are worth, measured on a null sink behind a remap sink: libpulse's interpolated
figure (`pa_stream_get_latency`) wanders by 0.2 ms, and by 7 ms when the machine is busy, since it smooths over whatever
the answer's way took. The raw answer holds the read index, the sink's latency and the wall-clock time at which the
server looked, which lies between our question and its answer: nine in ten lie within 0.01 ms of a line, and the others
are late by no more than their way was long. So answers with a short way are taken, each is put on the monotonic clock
at once, and a DeviceClock draws the line through them.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from loacodecs.opus import SAMPLE_RATE

from . import pulse_lib
from .commit import LateCommit
from .deviceclock import DeviceClock
from .output import DeviceSettings, Ready, Render, all_ready
from .pulse_link import Server, Stream, connected, playing
from .samples import encode, frame_bytes

_SETTLE_REPORTS: Final = 20
"""Reports, 10 ms apart, before the first sound: enough to know the line to a tenth of a millisecond."""
_SETTLE_EVERY_S: Final = 0.01
_REPORT_EVERY_S: Final = 0.2
_WAY_S: Final = 0.0005
"""An answer that took longer than this is taken only when none was quicker for a while."""
_PATIENCE: Final = 10
_TURN_S: Final = 0.5
_SINK_S: Final = 0.02
"""What the sink shall hold of it: little, since only what is still with the server can be filled late."""


class PulseOutput:
    """Plays on a sink of the PulseAudio server; "" is the server's default sink."""

    def __init__(self, sink: str, settings: DeviceSettings) -> None:
        """Raises OutputError when libpulse is not installed."""
        pulse_lib.library()
        self.name = f"pulse:{sink}" if sink else "pulse"
        self.latency_s = 0.0
        self.underruns = 0
        self._sink = sink
        self._settings = settings
        self.commit_s = LateCommit(settings.block, settings.latency_s).commit_s

    def play(self, render: Render, stop: threading.Event, ready: Ready = all_ready) -> None:
        """Play until `stop` is set. Raises OutputError when the server or the sink goes away."""
        settings = self._settings
        # Whatever the server is not asked for in blocks it gives the sink, half of it for each.
        block = round(max(settings.latency_s / 4, settings.latency_s / 2 - _SINK_S) * SAMPLE_RATE)
        with connected() as server, playing(server, self._sink, settings, block) as stream:
            commit = LateCommit(block, settings.latency_s)
            _Session(self, server, stream, settings, commit).run(render, ready, stop)


class _Session:
    """One opened stream: `frame` counts in the server's write index, which goes on through underruns."""

    def __init__(
        self,
        output: PulseOutput,
        server: Server,
        stream: Stream,
        settings: DeviceSettings,
        commit: LateCommit,
    ) -> None:
        self._output = output
        self._server = server
        self._stream = stream
        self._settings = settings
        self._commit = commit
        self._frame_bytes = frame_bytes(settings)
        self._sink_s = _SINK_S
        self._clock = DeviceClock()
        self._index = 0
        self._reports = 0
        self._passed_over = 0
        self._next_report = 0.0

    def run(self, render: Render, ready: Ready, stop: threading.Event) -> None:
        self._prime()
        rest = _TURN_S
        while not stop.is_set():
            now = time.monotonic()
            if now >= self._next_report:
                self._stream.ask_timing(now)
                self._next_report = now + self._pause()
            self._server.turn(min(rest, max(0.0, self._next_report - time.monotonic())))
            self._stream.check()
            self._listen()
            rest = self._fill(render, ready, stop)

    def _pause(self) -> float:
        return _REPORT_EVERY_S if self._settled else _SETTLE_EVERY_S

    @property
    def _settled(self) -> bool:
        return self._reports >= _SETTLE_REPORTS

    def _prime(self) -> None:
        """Fill the buffer with silence from where the server reads; how far that is, its next report tells."""
        frames = round(self._settings.latency_s * SAMPLE_RATE)
        self._stream.write(bytes(frames * self._frame_bytes), pulse_lib.SEEK_RELATIVE_ON_READ)
        # After an underrun the clock still holds: the read index went on without us.
        self._reports = min(self._reports, _SETTLE_REPORTS - 1)
        self._next_report = 0.0

    def _listen(self) -> None:
        """Take the server's report of where it is, if there is one."""
        info = self._stream.timing()
        if info is None:
            return
        wall = time.time()
        monotonic = time.monotonic()
        way = info.transport_usec * 1e-6
        if way > _WAY_S and self._passed_over < _PATIENCE:
            self._passed_over += 1
            return
        self._passed_over = 0
        # Server and we share the wall clock, and between its look and now there is hardly time for a step of it.
        looked = monotonic - (wall - info.seconds - info.microseconds * 1e-6)
        if not 0 <= monotonic - looked < 1.0:
            return
        index = info.write_index // self._frame_bytes
        queued = (info.write_index - info.read_index) / (self._frame_bytes * SAMPLE_RATE)
        latency = info.sink_usec * 1e-6 + queued
        self._index = index
        self._clock.note(index, latency, looked)
        self._output.latency_s = max(0.0, latency)
        self._sink_s = info.configured_sink_usec * 1e-6
        self._reports += 1

    def _fill(self, render: Render, ready: Ready, stop: threading.Event) -> float:
        """Write blocks as long as the server wants them; gives how long to rest at most."""
        commit = self._commit
        while (room := self._stream.writable() // self._frame_bytes) >= commit.block and not stop.is_set():
            frames = commit.block
            if not self._settled:
                self._stream.write(bytes(frames * self._frame_bytes))
            else:
                heard_at = self._clock.heard_at(self._index)
                ahead = heard_at - time.monotonic()
                if ahead < 0:
                    self._output.underruns += 1
                    self._prime()
                    return 0.0
                # The sink fetches so much at once, and what it holds then can no more be filled.
                held = ahead - self._sink_s
                self._output.commit_s = commit.commit_s + self._sink_s
                frames = commit.frames(room, held, heard_at, ready)
                if not frames:
                    return commit.rest_s(room, held)
                self._stream.write(encode(render(frames, heard_at), frames, self._settings))
            self._index += frames
        return _TURN_S
