"""A receiver as a user runs it: `loa edge` in a process of its own, into a WAV file or nowhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.leash import leashed

RATE = 48_000


@dataclass(frozen=True)
class Heard:
    """What a receiver played: mono float64, and the monotonic time of the first sample."""

    pcm: NDArray[np.float64]
    begins: float

    def since(self, moment: float) -> NDArray[np.float64]:
        """The samples heard from the monotonic time `moment` on."""
        return self.pcm[max(0, round((moment - self.begins) * RATE)) :]


class EdgeProcess:
    """Starts on entry, is killed on exit and when the tests end, if it is there. `lines` are added to the file."""

    def __init__(
        self, folder: Path, relays: list[str], *lines: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "edge.toml"
        self.wav = folder / "played.wav"
        head = [f"relays = {relays!r}", 'state_dir = "state"']
        defaults = {
            "output": f'output = "wav:{self.wav}"',
            "quiet_hours": 'quiet_hours = "never"',
            "control": "control = false",
        }
        said = {line.partition("=")[0].strip() for line in lines}
        head += [line for key, line in defaults.items() if key not in said]
        self.config.write_text("\n".join([*head, *lines]) + "\n")
        self.log = folder / "edge.log"
        self._environment = environment or {}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EdgeProcess:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it at once, if it is still there."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def start(self) -> None:
        """Run it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                leashed([sys.executable, "-m", "loaedge", "edge", "--config", str(self.config)]),
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
            )

    def stop(self) -> int:
        """Ask it to end; gives its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def memory_mb(self) -> float:
        """Resident memory."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) / 1024  # type: ignore[index]  # it is always there

    def heard(self) -> Heard:
        """What was played so far; the file's header need not be final."""
        data = self.wav.read_bytes() if self.wav.exists() else b""
        comment = re.search(rb"heard_at=([\d.]+)", data)
        if comment is None:
            return Heard(np.zeros(0), 0.0)
        begin = data.index(b"data", comment.end()) + 8
        samples = np.frombuffer(data[begin : begin + (len(data) - begin) // 2 * 2], "<i2")
        return Heard(samples / 32768.0, float(comment[1]))

    def wait_for(self, met: Callable[[], bool], patience_s: float = 30.0) -> None:
        """Look every 50 ms until `met`. Raises AssertionError with the log."""
        assert self.process is not None
        deadline = time.monotonic() + patience_s
        while not met():
            assert self.process.poll() is None, f"the receiver ended: {self.log.read_text()}"
            assert time.monotonic() < deadline, f"it never came to that: {self.log.read_text()}"
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue

    def wait_for_sound(self, seconds: float = 1.0, patience_s: float = 30.0) -> None:
        """Wait until the last `seconds` played sound throughout."""
        size = round(seconds * RATE)

        def sounding() -> bool:
            pcm = self.heard().pcm
            return len(pcm) > size and quietest(pcm[-size:]) > 0.05

        self.wait_for(sounding, patience_s)


def levels(pcm: NDArray[np.float64], window_s: float = 0.01) -> NDArray[np.float64]:
    """RMS of successive windows."""
    size = round(window_s * RATE)
    whole = pcm[: len(pcm) // size * size].reshape(-1, size)
    power: NDArray[np.float64] = np.mean(whole**2, axis=1)
    return np.asarray(np.sqrt(power))


def quietest(pcm: NDArray[np.float64]) -> float:
    """The lowest level of any 10 ms."""
    return float(levels(pcm).min(initial=1.0))


def silence_s(pcm: NDArray[np.float64], below: float = 0.05) -> float:
    """How long it was silent, in all."""
    return float(np.count_nonzero(levels(pcm) < below)) * 0.01


def is_whole(path: Path) -> bool:
    """Whether the WAV file was closed in good order."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() * 2 <= path.stat().st_size and file.getnframes() > 0
