"""What listeners decode of speech is at -18 LUFS, and of loud speech too below -1 dBTP.

With a ceiling of -1 in front of Opus it is not below, and without makeup it is not as loud.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from tests.relay.mixer.signals import at_loudness, metered
from tests.support.mixing import FRAME, Ear, MixWorld
from tests.support.voice import voice

SECONDS = 8


class Shout:
    """A feed of speech, 12 dB beyond full scale unless told otherwise, on both sides."""

    def __init__(self, sound: NDArray[np.float64] | None = None) -> None:
        self._sound = (4 * voice(SECONDS) if sound is None else sound).astype(np.float32)
        self._at = 0

    def read(self, out: NDArray[np.float32]) -> bool:
        out[:] = self._sound[self._at : self._at + FRAME] * np.array([[1.0], [0.7]][: len(out)], np.float32)
        self._at += FRAME
        return True


def decoded(seconds: int, feed: Shout, **mix: object) -> NDArray[np.float64]:
    """What a listener of the channel decodes, (samples, channels)."""
    channels = int(str(mix.get("channels", 1)))
    with MixWorld(**mix) as world:
        ear = Ear(world.hub.channels["xa"], channels)
        world.mixed.add_input("speech", feed, channels=channels)
        world.ticks(seconds * 50)
        sound = ear.sound().astype(np.float64)
    assert len(sound) > (seconds - 0.1) * 48_000
    return sound


def true_peak(sound: NDArray[np.float64]) -> float:
    """dBTP, measured at four times the rate."""
    return float(20 * np.log10(np.abs(signal.resample_poly(sound, 4, 1)).max()))


def decoded_dbtp(**mix: object) -> float:
    """The true peak of what a listener of the channel decodes."""
    return true_peak(decoded(SECONDS, Shout(), **mix))


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
    assert -4.5 < decoded_dbtp(**mix) <= -1.0


@pytest.mark.parametrize("too_loud_db", [-15, 10])
@pytest.mark.parametrize("mix", [{"bitrate": 24_000} | VOICE, {"bitrate": 24_000, "frame": "60ms"}])
async def test_speech_of_high_peaks_is_decoded_at_minus_18_lufs(
    mix: dict[str, object], too_loud_db: float
) -> None:
    words = np.tile(voice(20), 2)
    words = at_loudness((np.sign(words) * np.abs(words) ** 1.6)[np.newaxis], -18 + too_loud_db)[0]

    def heard(leveller: bool) -> NDArray[np.float64]:
        gain = 1 if leveller else 10 ** (-too_loud_db / 20)
        return decoded(len(words) // 48_000, Shout(gain * words), leveller=leveller, **mix)

    def loudness(sound: NDArray[np.float64]) -> float:
        return metered(sound[15 * 48_000 :].T).integrated(0)

    assert loudness(heard(leveller=False)) < -19.1, "what the limiter takes when nothing gives it back"
    levelled = heard(leveller=True)
    assert loudness(levelled) == pytest.approx(-18, abs=1)
    assert true_peak(levelled) <= -1.0


@pytest.mark.parametrize("mix", [{}, {"bitrate": 24_000, "frame": "40ms"}, {"bitrate": 16_000} | VOICE])
async def test_the_headroom_is_needed(mix: dict[str, object]) -> None:
    assert decoded_dbtp(ceiling=-1.0, **mix) > -0.5


async def test_a_ceiling_of_ones_own_is_kept_to() -> None:
    with MixWorld(ceiling=-9.0, bitrate=128_000) as world:
        world.mixed.add_input("speech", Shout())
        peaks = []
        world.ticks(100, lambda: peaks.append(world.mixed.state().bus.peak_dbfs))
    assert -10 < max(peaks) <= -9
