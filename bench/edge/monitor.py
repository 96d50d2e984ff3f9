"""Where receivers play to: WAV files of their own, or two sinks of one PulseAudio server recorded by one monitor."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from bench.edge.hearing import Programme
from bench.edge.pulse import MONITOR, PAIR_MODULES, PAIRS, PulseServer
from bench.edge.recording import Recording
from bench.errors import BenchError
from loacodecs.opus import SAMPLE_RATE

_PLACE_S: Final = 4.0
_NEAR_S: Final = 5.0
_CLEAR: Final = 8.0

Taken = Callable[[], list[Recording] | None]


@dataclass(frozen=True, slots=True)
class Sinks:
    """Names of the receivers' outputs, none where each has a file; what their processes need to be told."""

    names: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    server: PulseServer | None = field(default=None, repr=False)

    @contextlib.contextmanager
    def recording(self) -> Iterator[Taken]:
        """Record while the block runs; what is given tells, within the block, what was recorded so far.

        None where the receivers' files do. A monitor does not say when its first sample was heard, only about when:
        `placed` finds out.
        """
        if self.server is None:
            yield lambda: None
            return
        began = time.monotonic()
        with self.server.recording(MONITOR, 4) as running:

            def taken() -> list[Recording]:
                samples = running.samples()
                return [Recording(samples[:, left].copy(), began, SAMPLE_RATE) for left in (0, 2)]

            yield taken


@contextlib.contextmanager
def sinks(output: str) -> Iterator[Sinks]:
    """What `--output` names. Raises BenchError."""
    if output == "wav":
        yield Sinks()
        return
    with PulseServer(PAIR_MODULES) as server:
        yield Sinks(tuple(f"pulse:{pair}" for pair in PAIRS), server.environment, server)


def placed(recording: Recording, programme: Programme, moment: float) -> Recording:
    """A recording of roughly known time, moved so that the sound due about `moment` is heard then.

    The programme repeats itself, so it is looked for near its place only.
    Recordings of one monitor have one clock: what places one places all. Raises BenchError.
    """
    size = round(_PLACE_S * SAMPLE_RATE)
    begin = round((moment - programme.due(0)) * SAMPLE_RATE)
    wanted = programme.sound[begin : begin + size]
    length = len(recording.sound) + size
    cross = np.fft.rfft(recording.sound, length) * np.conj(np.fft.rfft(wanted, length))
    found = np.fft.irfft(cross / np.maximum(np.abs(cross), 1e-12), length)
    about = recording.index(moment)
    low, high = max(0, round(about - _NEAR_S * SAMPLE_RATE)), round(about + _NEAR_S * SAMPLE_RATE)
    near = found[low : min(high, len(recording.sound))]
    peak = low + int(np.argmax(near)) if near.size else 0
    if found[peak] < _CLEAR * np.sqrt(np.mean(found**2)):
        raise BenchError("the programme is not to be heard in what the monitor recorded")
    return replace(recording, began=programme.due(begin) - peak / SAMPLE_RATE)
