"""Outputs without a sound card: nothing, or a WAV file, both at the pace of the clock.

They behave like a card: they keep `latency_s` in an imagined buffer, and who comes too late finds that the time has
gone by. `rate_ppm` lets them run fast or slow, as the crystals of real cards do.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from loacodecs.opus import SAMPLE_RATE

from ..wav import WavWriter
from .commit import LateCommit
from .output import DeviceSettings, OutputError, Ready, Render, all_ready
from .samples import encode, frame_bytes

MOST_MISSED_S: Final = 60.0
"""A longer pause (a suspended machine) is not filled with silence: the timeline begins anew."""

Clock = Callable[[], float]
Wait = Callable[[threading.Event, float], None]
"""`wait(stop, seconds)`: until `stop` is set or the time is over."""


class Keeper(Protocol):
    """Takes the encoded blocks of a paced output."""

    def begin(self, heard_at: float) -> None:
        """The first frame from now on is heard at the local time `heard_at`."""

    def write(self, data: bytes) -> None:
        """Add whole frames."""

    def close(self) -> None:
        """The output stops."""


class PacedOutput:
    """Plays into a keeper at 48 kHz by the clock."""

    def __init__(
        self,
        name: str,
        keeper: Callable[[], contextlib.AbstractContextManager[Keeper]],
        settings: DeviceSettings,
        *,
        rate_ppm: float = 0.0,
        clock: Clock = time.monotonic,
        wait: Wait | None = None,
    ) -> None:
        self.name = name
        self.latency_s = settings.latency_s
        self.underruns = 0
        self._keeper = keeper
        self._settings = settings
        self._commit = LateCommit(settings.block, settings.latency_s)
        self.commit_s = self._commit.commit_s
        self._rate = SAMPLE_RATE * (1 + rate_ppm * 1e-6)
        self._clock = clock
        self._wait = wait or _wait

    def play(self, render: Render, stop: threading.Event, ready: Ready = all_ready) -> None:
        """Play until `stop` is set. Raises OutputError when the file cannot be written."""
        with self._keeper() as keeper:
            while not stop.is_set():
                self._run(keeper, render, stop, ready)

    def _run(self, keeper: Keeper, render: Render, stop: threading.Event, ready: Ready) -> None:
        """One timeline, from its beginning to the stop or to a pause too long to fill."""
        commit = self._commit
        start = self._clock() + self.latency_s
        frame = 0
        keeper.begin(start)
        while not stop.is_set():
            heard_at = start + frame / self._rate
            ahead = heard_at - self._clock()
            if ahead < 0:
                self.underruns += 1
                if -ahead > MOST_MISSED_S:
                    return
                frame += self._skip(keeper, self.latency_s - ahead)
                continue
            room = round((self.latency_s - ahead) * SAMPLE_RATE)
            frames = commit.frames(room, ahead, heard_at, ready)
            if frames:
                keeper.write(encode(render(frames, heard_at), frames, self._settings))
                frame += frames
            else:
                self._wait(stop, commit.rest_s(room, ahead))

    def _skip(self, keeper: Keeper, seconds: float) -> int:
        """Silence for the time that went by unplayed; gives its frames."""
        missed = round(seconds * self._rate)
        for done in range(0, missed, SAMPLE_RATE):
            keeper.write(bytes(min(SAMPLE_RATE, missed - done) * frame_bytes(self._settings)))
        return missed


def null_output(
    settings: DeviceSettings,
    *,
    rate_ppm: float = 0.0,
    clock: Clock = time.monotonic,
    wait: Wait | None = None,
) -> PacedOutput:
    """Discards the sound, at its pace."""
    return PacedOutput(
        "null",
        lambda: contextlib.nullcontext(_Nowhere()),
        settings,
        rate_ppm=rate_ppm,
        clock=clock,
        wait=wait,
    )


def wav_output(
    path: Path,
    settings: DeviceSettings,
    *,
    rate_ppm: float = 0.0,
    clock: Clock = time.monotonic,
    wait: Wait | None = None,
) -> PacedOutput:
    """Writes a 16-bit WAV file, at its pace.

    The file's comment (ICMT) is `heard_at=SECONDS`, the local time of its first frame, by which recordings made on
    one machine can be laid side by side.
    """
    settings = DeviceSettings(settings.latency_s, settings.channels, "s16")
    return PacedOutput(
        f"wav:{path}",
        lambda: _wav_keeper(path, settings.channels),
        settings,
        rate_ppm=rate_ppm,
        clock=clock,
        wait=wait,
    )


class _Nowhere:
    def begin(self, heard_at: float) -> None:
        """Nothing is kept."""

    def write(self, data: bytes) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""


class _WavKeeper:
    """A file that is created when its first moment is known."""

    def __init__(self, file: BinaryIO, channels: int) -> None:
        self._file = file
        self._channels = channels
        self._writer: WavWriter | None = None

    def begin(self, heard_at: float) -> None:
        if self._writer is not None:
            raise OutputError("the machine was suspended: a WAV file cannot skip so much time")
        self._writer = WavWriter(self._file, self._channels, comment=f"heard_at={heard_at:.6f}")

    def write(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._file.close()


@contextlib.contextmanager
def _wav_keeper(path: Path, channels: int) -> Iterator[Keeper]:
    """Create the file, close it at the end, and turn what the system says into an OutputError."""
    try:
        with contextlib.closing(_WavKeeper(path.open("wb"), channels)) as keeper:
            yield keeper
    except OSError as error:
        raise OutputError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def _wait(stop: threading.Event, seconds: float) -> None:
    stop.wait(seconds)
