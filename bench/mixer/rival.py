"""CPU of another program that mixes the same samples: a long run less a short one, so that its start costs nothing."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from bench.errors import BenchError
from relay.mixer.block import FRAME, SAMPLE_RATE

SHORT_S = 1.0
PATIENCE_S = 120.0
"""A program that takes longer hangs."""
_BLOCKS_PER_S = SAMPLE_RATE / FRAME


@dataclass(frozen=True, slots=True)
class Noise:
    """Raw samples in files, float32, mono: `long` has `seconds` of them, `short` the first SHORT_S of these."""

    long: Path
    short: Path
    seconds: float


class Rival(Protocol):
    """What mixes files of noise elsewhere."""

    def costs(self) -> dict[str, float]:
        """CPU microseconds for 20 ms of every input, by the way it is fed. Raises BenchError."""


def noise(folder: Path, seconds: float) -> Noise:
    """Make the files in `folder`; `seconds` are more than SHORT_S."""
    samples = np.random.default_rng(1).uniform(-0.1, 0.1, int(seconds * SAMPLE_RATE)).astype(np.float32)
    made = Noise(folder / "noise.f32", folder / "noise-short.f32", seconds)
    samples.tofile(made.long)
    samples[: int(SHORT_S * SAMPLE_RATE)].tofile(made.short)
    return made


def us_per_block(
    sound: Noise, command: Callable[[Path], Sequence[str]], reason: Callable[[str], str]
) -> float:
    """CPU of all threads of `command(file)` for a block of 20 ms.

    Raises BenchError when it fails; `reason` finds in what it said the line that says why.
    """
    short, long = (_cpu_s(command(file), reason) for file in (sound.short, sound.long))
    return max(long - short, 0.0) / (sound.seconds - SHORT_S) / _BLOCKS_PER_S * 1e6


def _cpu_s(command: Sequence[str], reason: Callable[[str], str]) -> float:
    with _one_core():
        process = subprocess.Popen(  # noqa: S603
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"LC_ALL": "C"},
        )
    assert process.stderr is not None
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    try:
        said = process.stderr.read().decode(errors="replace").strip()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:  # by Ctrl-C, too: neither the program nor the timer, which is waited for, outlives the measurement
        watchdog.cancel()
        process.stderr.close()
        if process.returncode is None:
            process.kill()
            process.wait()
    if process.returncode:
        why = reason(said) if said else f"exit code {process.returncode}"
        raise BenchError(f"{Path(command[0]).name} failed: {why}")
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _one_core() -> Iterator[None]:
    """What is started meanwhile stays on one core: many threads that take turns there do not contend for a lock."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
