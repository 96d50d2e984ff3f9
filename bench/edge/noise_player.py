"""A player of noise that every instance knows by heart: what the output layer alone does to synchronism.

`python -m bench.edge.noise_player DEVICE START SECONDS LATENCY SEED` plays the noise of SEED on DEVICE so that its
first sample is heard at the local time START; the rate is held by the receiver's own controller and resampler. It
ends with one line of JSON: underruns, processor time, how unsteady the times were that the device announced.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loacodecs.drift import DriftController
from loaedge.outputs.opening import open_output
from loaedge.outputs.player import Player
from loaedge.playout.rate import VariableRate

RATE = 48000
LENGTH = 1 << 21
"""Samples of noise, 44 s; then it begins again."""


class NoiseProgramme:
    """Noise at its time."""

    def __init__(self, seed: int, start: float, amplitude: float = 0.1) -> None:
        noise = np.random.default_rng(seed).standard_normal(LENGTH) * amplitude
        self._noise: NDArray[np.float32] = noise.astype(np.float32)
        self._start = start
        self._drift = DriftController()
        self._rate = VariableRate()
        self._next: int | None = None
        self.jumps = 0
        self.errors_ms: list[float] = []

    def render(self, frames: int, heard_at: float) -> NDArray[np.float32]:
        """(frames, 1), to be heard from `heard_at` on; the resampler removes what error there is."""
        wanted = (heard_at - self._start) * RATE
        if self._next is None:
            self._next = round(wanted)
            return self._rate.pull(frames, self._read)
        error_s = (wanted - (self._next - self._rate.lead())) / RATE
        self.errors_ms.append(1000 * error_s)
        correction = self._drift.update(error_s, heard_at)
        self._rate.ratio = correction.ratio
        if correction.jump:
            self.jumps += 1
            self._next += round(error_s * RATE)
            self._drift = DriftController()
        return self._rate.pull(frames, self._read)

    def _read(self, count: int) -> NDArray[np.float32]:
        assert self._next is not None
        taken = np.take(self._noise, np.arange(self._next, self._next + count), mode="wrap")
        self._next += count
        return taken.reshape(-1, 1)


def main(arguments: Sequence[str]) -> None:
    """Play, then say how it went."""
    device, start, seconds, latency, seed = arguments
    programme = NoiseProgramme(int(seed), float(start))
    player = Player(lambda: open_output(device, latency_s=float(latency)), programme.render)
    began, used = time.monotonic(), time.process_time()
    player.start()
    threading.Event().wait(float(seconds))
    state = player.state
    used, lasted = time.process_time() - used, time.monotonic() - began
    player.stop()
    settled = np.array(programme.errors_ms[len(programme.errors_ms) // 4 :] or [0.0])
    print(
        json.dumps(
            {
                "device": state.device,
                "problem": state.problem,
                "latency_ms": state.latency_ms,
                "underruns": state.underruns,
                "lost": state.lost,
                "jumps": programme.jumps,
                "cpu_share": round(used / lasted, 4),
                "error_ms_sd": round(float(settled.std()), 4),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
