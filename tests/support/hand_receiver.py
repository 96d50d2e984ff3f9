"""A receiver's selector with a hand clock: live sound made up, local files real."""

from __future__ import annotations

import wave
from datetime import datetime
from pathlib import Path

import numpy as np

from loacodecs.ogg import OggOpusWriter
from loacodecs.opus import OpusEncoder, Pcm
from loaedge.local.cache import verify
from loaedge.local.director import Director, Fallback
from loaedge.local.quiet import QuietHours
from loaedge.local.selector import LiveState, Selector, SelectorSettings
from loaedge.local.timetable import Entry, Timetable
from loaedge.local.wallclock import WallClock, find_zone

RATE = 48_000
ZONE = find_zone()


def unix(text: str) -> float:
    """Unix time of an ISO time of day in Vietnam."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()


def write_wav(path: Path, seconds: float, level: float = 0.25, rate: int = RATE, channels: int = 1) -> Path:
    """A WAV file of one constant value: what is heard can be told sample by sample."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        frames = np.full((round(seconds * rate), channels), round(level * 32768), "<i2")
        file.writeframes(frames.tobytes())
    return path


def write_opus(path: Path, seconds: float, hz: float = 440.0, channels: int = 1) -> Path:
    """An Ogg Opus file of a tone, its end trimmed to the sample."""
    encoder = OpusEncoder(channels)
    total = round(seconds * RATE) + encoder.lookahead
    pages: list[bytes] = []
    writer = OggOpusWriter(pages.append, channels, encoder.lookahead, serial=7)
    for start in range(0, total, 960):
        moment = np.arange(start, start + 960, dtype=np.float32) / RATE
        frame = np.repeat((0.5 * np.sin(2 * np.pi * hz * moment))[:, None], channels, 1).astype(np.float32)
        writer.write_packet(encoder.encode(frame), min(960, total - start))
    writer.close()
    path.write_bytes(b"".join(pages))
    return path


class HandLive:
    """Live sound of a constant value, while `on` says so; keeps what it was asked."""

    def __init__(self, level: float = 0.5, channels: int = 1) -> None:
        self.on = False
        self.level = level
        self.channels = channels

    def render(self, frames: int, heard_at: float) -> Pcm:
        assert np.isfinite(heard_at)
        return np.full((frames, self.channels), self.level if self.on else 0.0, np.float32)

    def sounding_at(self, local: float) -> bool:
        assert np.isfinite(local)
        return self.on


class HandReceiver:
    """Selector, director and clocks; `run` lets time go by in blocks of 20 ms and gives what was heard."""

    def __init__(
        self,
        start: str | None,
        entries: tuple[Entry, ...] = (),
        *,
        quiet: QuietHours | None = None,
        fallback: Fallback | None = None,
        settings: SelectorSettings | None = None,
        chime: Pcm | None = None,
    ) -> None:
        self.now = 1000.0
        self.live = HandLive()
        self.quiet = quiet or QuietHours()
        self.wall = WallClock(None, ZONE)
        if start is not None:
            self.wall.note_system(unix(start), self.now)
        self.director = Director(Timetable(entries, ZONE), self.quiet, fallback, verify=verify)
        self.selector = Selector(self.live, self.director, self.quiet, self.wall, settings, chime=chime)

    def link(self, connected: bool, **more: object) -> None:
        """The session stands, or falls, now."""
        self.selector.live_state = LiveState(connected, self.now, **more)  # type: ignore[arg-type]

    def leap(self, seconds: float) -> None:
        """Time goes by without sound being asked for."""
        self.now += seconds

    def run(self, seconds: float, block: int = 960) -> Pcm:
        """The sound of the next `seconds`, shape (samples,); the worker ticks twice a second."""
        heard = []
        for index in range(round(seconds * RATE / block)):
            if index % max(1, RATE // 2 // block) == 0:
                self.selector.tick(self.now)
            heard.append(self.selector.render(block, self.now)[:, 0])
            self.now += block / RATE
        return np.concatenate(heard)
