"""One local programme: a file, the files of a folder or a playlist, played without a gap.

Two threads share it. The worker calls `fill`, which reads and decodes a few seconds ahead; the sound thread
calls `take`, which never waits for a disk. Between them lies a queue of bounded length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from loacodecs.errors import LoaError
from loacodecs.opus import SAMPLE_RATE, Pcm

from ..disk import reason
from .audiofile import SUFFIXES, AudioFile, ProgrammeError, open_audio, to_channels
from .timetable import BulletinClass

AHEAD_S: Final = 5.0
FADE_OUT_S: Final = 0.5
"""How a programme ends that reaches its limit."""
_MAX_FILES: Final = 2000
_PLAYLISTS: Final = frozenset({".m3u", ".m3u8"})
_PLAYLIST_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Spec:
    """What to play and how: see `timetable.Entry`.

    `repeat` begins again at the end; `without_time` plays even while the time of day is unknown.
    """

    name: str
    play: Path
    kind: BulletinClass = "normal"
    limit_s: float | None = None
    volume_db: float = 0.0
    repeat: bool = False
    without_time: bool = False


class Programme:
    """Plays `spec`; `on_fault` hears of every file that is skipped or ends early, in the worker's thread.

    Raises LoaError, what is wrong with its last file, when there is nothing that can be played at all.
    """

    def __init__(
        self,
        spec: Spec,
        channels: int,
        on_fault: Callable[[LoaError], None] = lambda _fault: None,
        verify: Callable[[Path], None] = lambda _path: None,
    ) -> None:
        """`verify` looks at each file before it is played, see `cache`; it raises LoaError when that is damaged."""
        self.spec = spec
        self.starved = 0
        """Samples of silence because the disk was slower than the sound."""
        self._channels = channels
        self._on_fault = on_fault
        self._verify = verify
        self._gain = np.float32(10 ** (spec.volume_db / 20))
        self._limit = None if spec.limit_s is None else round(spec.limit_s * SAMPLE_RATE)
        self._queue: deque[Pcm] = deque()
        self._produced = 0
        self._taken = 0
        self._exhausted = False
        self._open: AudioFile | None = None
        self._sound = self._play(files_of(spec.play))
        first = next(self._sound, None)
        if first is None:
            raise self._last_fault or ProgrammeError(spec.play, "empty")
        self._put(first)

    _last_fault: LoaError | None = None

    @property
    def ended(self) -> bool:
        """Whether the last sample has been taken."""
        return self._exhausted and self._taken >= self._produced

    @property
    def buffered(self) -> int:
        """Samples that can be taken now."""
        return self._produced - self._taken

    def fill(self) -> None:
        """Decode up to AHEAD_S ahead. Worker's thread."""
        while not self._exhausted and self.buffered < AHEAD_S * SAMPLE_RATE:
            block = next(self._sound, None)
            if block is None:
                self._exhausted = True
            else:
                self._put(block)

    def take(self, frames: int) -> Pcm:
        """The next `frames` samples, (frames, channels), filled up with silence. The sound thread's."""
        out = np.zeros((frames, self._channels), np.float32)
        got = 0
        while got < frames and self._queue:
            block = self._queue.popleft()
            size = min(frames - got, len(block))
            out[got : got + size] = block[:size]
            if size < len(block):
                self._queue.appendleft(block[size:])
            got += size
        self._taken += got
        if got < frames and not self._exhausted:
            self.starved += frames - got
        return out

    def close(self) -> None:
        """Read no more; what is decoded can still be taken. Worker's thread."""
        self._exhausted = True
        self._close_file()

    def _put(self, block: Pcm) -> None:
        pcm = to_channels(block, self._channels) * self._gain
        if self._limit is not None:
            pcm = self._limited(pcm, self._limit)
        # In this order: `buffered` may be too small for a moment, never too large.
        self._queue.append(pcm)
        self._produced += len(pcm)

    def _limited(self, pcm: Pcm, limit: int) -> Pcm:
        """Cut at the limit, with a fade before it."""
        left = limit - self._produced
        fade = round(FADE_OUT_S * SAMPLE_RATE)
        if left <= len(pcm) + fade:
            ramp = np.clip((left - np.arange(len(pcm), dtype=np.float32)) / fade, 0.0, 1.0)
            pcm = pcm * ramp.astype(np.float32)[:, None]
        if left <= len(pcm):
            self._exhausted = True
            self._close_file()
            return pcm[: max(0, left)]
        return pcm

    def _play(self, files: tuple[Path, ...]) -> Iterator[Pcm]:
        while True:
            sounded = False
            for path in files:
                for block in self._blocks(path):
                    sounded = True
                    yield block
            if not self.spec.repeat or not sounded:
                return

    def _blocks(self, path: Path) -> Iterator[Pcm]:
        """One file; what is wrong with it is told, and the next one follows."""
        try:
            self._verify(path)
            self._open = open_audio(path)
            yield from self._open.blocks()
        except LoaError as fault:
            self._last_fault = fault
            self._on_fault(fault)
        finally:
            self._close_file()

    def _close_file(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def files_of(path: Path) -> tuple[Path, ...]:
    """The files behind a file, folder or playlist, in order. Raises ProgrammeError."""
    try:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        elif path.suffix.lower() in _PLAYLISTS:
            found = _listed(path)
        else:
            return (path,)
    except FileNotFoundError:
        raise ProgrammeError(path, "missing") from None
    except OSError as error:
        raise ProgrammeError(path, "unreadable", reason(error)) from error
    if not found:
        raise ProgrammeError(path, "empty")
    return tuple(found[:_MAX_FILES])


def _listed(path: Path) -> list[Path]:
    with path.open("rb") as file:
        text = file.read(_PLAYLIST_LIMIT).decode("utf-8-sig", "replace")
    names = (line.strip() for line in text.splitlines())
    # A NUL in a name would be an exception of its own kind when the file is opened.
    return [path.parent / name for name in names if name and not name.startswith("#") and "\0" not in name]
