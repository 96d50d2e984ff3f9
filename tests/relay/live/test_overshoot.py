"""What listeners decode of loud speech stays below -1 dBTP; with that ceiling in front of Opus it did not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from tests.support.mixing import FRAME, Ear, MixWorld
from tests.support.voice import voice

SECONDS = 8


class Shout:
    """A feed of speech, 12 dB beyond full scale, on both sides."""

    def __init__(self) -> None:
        self._sound = (4 * voice(SECONDS)).astype(np.float32)
        self._at = 0

    def read(self, out: NDArray[np.float32]) -> bool:
        out[:] = self._sound[self._at : self._at + FRAME] * np.array([[1.0], [0.7]][: len(out)], np.float32)
        self._at += FRAME
        return True


def decoded_dbtp(**mix: object) -> float:
    """The true peak of what a listener of the channel decodes, measured at four times the rate."""
    channels = int(str(mix.get("channels", 1)))
    with MixWorld(**mix) as world:
        ear = Ear(world.hub.channels["xa"], channels)
        world.mixed.add_input("speech", Shout(), channels=channels)
        world.ticks(SECONDS * 50)
        sound = ear.sound().astype(np.float64)
    assert len(sound) > (SECONDS - 0.1) * 48_000
    return float(20 * np.log10(np.abs(signal.resample_poly(sound, 4, 1)).max()))


VOICE = {"application": "voip"}


@pytest.mark.parametrize(
    "mix",
    [
        {"leveller": True},
        {"bitrate": 16_000} | VOICE,
        {"bitrate": 24_000, "frame": "60ms", "leveller": True} | VOICE,
        {"bitrate": 32_000, "complexity": 10} | VOICE,
        {"bitrate": 24_000},
        {"bitrate": 24_000, "frame": "40ms"},
        {"bitrate": 48_000},
        {"bitrate": 64_000},
        {"bitrate": 96_000, "channels": 2},
    ],
)
async def test_loud_speech_is_decoded_below_minus_one_dbtp(mix: dict[str, object]) -> None:
    decoded = decoded_dbtp(**mix)
    assert decoded <= -1.0
    assert decoded > -4.5


@pytest.mark.parametrize("mix", [{}, {"bitrate": 24_000, "frame": "40ms"}, {"bitrate": 16_000} | VOICE])
async def test_the_headroom_is_needed(mix: dict[str, object]) -> None:
    assert decoded_dbtp(ceiling=-1.0, **mix) > -0.5


async def test_a_ceiling_of_ones_own_is_kept_to() -> None:
    with MixWorld(ceiling=-9.0, bitrate=128_000) as world:
        world.mixed.add_input("speech", Shout())
        peaks = []
        world.ticks(100, lambda: peaks.append(world.mixed.state().bus.peak_dbfs))
    assert -10 < max(peaks) <= -9
