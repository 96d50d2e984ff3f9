import math

import numpy as np
import pytest
from numpy.typing import NDArray

from loaedge.playout.rate import LARGEST_RATIO_ERROR, VariableRate

RATE = 48_000
BLOCK = 960


class Tape:
    """An endless input of which every sample is known: a sine, or any function of the position."""

    def __init__(self, hertz: float = 1000.0, channels: int = 1) -> None:
        self.omega = 2 * math.pi * hertz / RATE
        self.channels = channels
        self.position = 0
        self.asked: list[int] = []

    def read(self, count: int) -> NDArray[np.float32]:
        self.asked.append(count)
        at = np.arange(self.position, self.position + count)
        self.position += count
        mono = (0.5 * np.sin(self.omega * at)).astype(np.float32)
        return np.repeat(mono[:, None], self.channels, axis=1)


def play(
    rate: VariableRate, tape: Tape, ratios: list[float]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A block for each ratio; (samples of the first channel, input position each of them claims to play)."""
    sound, positions = [], []
    for ratio in ratios:
        rate.ratio = ratio
        start = tape.position - rate.lead()
        sound.append(rate.pull(BLOCK, tape.read)[:, 0])
        positions.append(start + rate.ratio * np.arange(BLOCK))
    return np.concatenate(sound), np.concatenate(positions)


def swept(blocks: int) -> list[float]:
    """The ratio over its whole range and back, as fast as the controller ever slews: 5 ppm a block."""
    return [1 + 500e-6 * math.sin(k * 5 / 500) for k in range(blocks)]


def sinad_db(sound: NDArray[np.float32], hertz: float) -> float:
    """Power of the tone over everything else, dB; Blackman-Harris, over a second."""
    n = np.arange(len(sound)) * (2 * np.pi / len(sound))
    window = 0.35875 - 0.48829 * np.cos(n) + 0.14128 * np.cos(2 * n) - 0.01168 * np.cos(3 * n)
    power = np.abs(np.fft.rfft(sound.astype(np.float64) * window)) ** 2
    centre = round(hertz * len(sound) / RATE)
    tone = np.zeros(len(power), bool)
    tone[max(0, centre - 20) : centre + 21] = True
    power[:5] = 0.0
    return float(10 * np.log10(power[tone].sum() / power[~tone].sum()))


@pytest.mark.parametrize("ratio", [1.0, 1.0005, 0.9995, 1.000_013])
@pytest.mark.parametrize("frames", [1, 37, 960, 2880])
def test_exactly_as_many_samples_as_asked_for_and_read_in_proportion(ratio, frames):
    rate, tape = VariableRate(), Tape()
    rate.ratio = ratio
    pulls = 20_000 // frames
    for _ in range(pulls):
        sound = rate.pull(frames, tape.read)
        assert sound.shape == (frames, 1)
        assert sound.dtype == np.float32

    assert tape.position - rate.lead() == pytest.approx(pulls * frames * ratio, abs=2)
    assert 235 < rate.lead() < 250


def test_no_frames_read_nothing():
    rate, tape = VariableRate(), Tape()
    assert rate.pull(0, tape.read).shape == (0, 1)
    assert tape.asked == []


def test_one_read_a_block_is_enough():
    rate, tape = VariableRate(), Tape()
    play(rate, tape, swept(500))
    assert len(tape.asked) < 1.1 * 500


@pytest.mark.parametrize(
    "ratios", [[1.0] * 500, [1.0005] * 500, [0.9995] * 500, swept(500)], ids=["1", "+", "-", "swept"]
)
@pytest.mark.parametrize("hertz", [200.0, 1000.0, 3000.0])
def test_what_it_says_it_plays_is_what_it_plays(hertz, ratios):
    """`lead` to a hundredth of a sample, 0.2 µs, from the first second to the last."""
    rate, tape = VariableRate(), Tape(hertz)
    sound, positions = play(rate, tape, ratios)
    for second in (1, 9):
        part = slice(second * RATE, (second + 1) * RATE)
        reference = np.stack(
            [np.sin(tape.omega * positions[part]), np.cos(tape.omega * positions[part])], axis=1
        )
        (in_phase, quadrature), *_ = np.linalg.lstsq(reference, sound[part].astype(np.float64), rcond=None)
        assert math.hypot(in_phase, quadrature) == pytest.approx(0.5, rel=1e-3)
        assert math.atan2(quadrature, in_phase) / tape.omega == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 7000.0, 15_000.0])
@pytest.mark.parametrize("ratio", [1.0, 1.0003, 0.9996])
def test_a_tone_stays_a_tone(hertz, ratio):
    sound, _ = play(VariableRate(), Tape(hertz), [ratio] * 150)
    assert sinad_db(sound[RATE : 2 * RATE], hertz) > 90


@pytest.mark.parametrize(
    ("hertz", "least"), [(200.0, 90), (1000.0, 90), (3000.0, 80), (7000.0, 74), (15_000.0, 67)]
)
def test_a_change_of_the_ratio_is_no_click(hertz, least):
    """SINAD over 80 dB where speech is, up and down across 1 at the greatest slew.

    Further up the steps of 5 ppm a block show as sidebands 50 Hz beside the tone, which it masks.
    """
    sound, _ = play(VariableRate(), Tape(hertz), swept(500))
    assert min(sinad_db(sound[k * RATE : (k + 1) * RATE], hertz) for k in range(1, 9)) > least


def test_a_click_would_be_noticed():
    sound, _ = play(VariableRate(), Tape(), [1.0] * 200)
    skipped = np.concatenate([sound[: RATE + RATE // 2], sound[RATE + RATE // 2 + 1 :]])
    assert sinad_db(skipped[RATE : 2 * RATE], 1000.0) < 60


def test_channels_stay_together():
    mono, stereo = VariableRate(1), VariableRate(2)
    left, _ = play(mono, Tape(), swept(50))
    tape = Tape(channels=2)
    for k, ratio in enumerate(swept(50)):
        stereo.ratio = ratio
        both = stereo.pull(BLOCK, tape.read)
        assert both.shape == (BLOCK, 2)
        np.testing.assert_array_equal(both[:, 0], both[:, 1])
        np.testing.assert_array_equal(both[:, 0], left[k * BLOCK : (k + 1) * BLOCK])


def test_the_count_does_not_drift():
    """A pulse ten minutes later, as it happens 28.8 million samples, is where `lead` says."""
    rate = VariableRate()
    rate.ratio = 1 + 123e-6
    pulse_at = 600 * RATE + 5000
    read = 0

    def pulse(count: int) -> NDArray[np.float32]:
        nonlocal read
        at = np.arange(read, read + count)
        read += count
        return np.exp(-(((at - pulse_at) / 20.0) ** 2)).astype(np.float32)[:, None]

    for _ in range(60):
        rate.pull(10 * RATE, pulse)
    start = read - rate.lead()
    sound = rate.pull(10 * BLOCK, pulse)[:, 0].astype(np.float64)
    heard_at = float(np.sum(np.arange(len(sound)) * sound**2) / np.sum(sound**2))

    assert start + rate.ratio * heard_at == pytest.approx(pulse_at, abs=0.02)


def test_reset_forgets_the_sound_and_keeps_the_ratio():
    rate, tape = VariableRate(), Tape()
    rate.ratio = 1.0002
    rate.pull(BLOCK, tape.read)
    kept = rate.ratio
    rate.reset()
    assert rate.ratio == kept
    assert abs(rate.lead()) < 2
    sound = rate.pull(BLOCK, lambda count: np.zeros((count, 1), np.float32))
    assert not sound.any()


def test_a_change_of_ratio_is_counted_however_small():
    rate = VariableRate()
    rate.ratio = 1 + 1e-6
    assert rate.ratio == pytest.approx(1 + 1e-6, abs=1e-9)


@pytest.mark.parametrize("ratio", [0.0, -1.0, 1 + 1.01 * LARGEST_RATIO_ERROR, math.nan, math.inf])
def test_impossible_ratios_are_refused(ratio):
    rate = VariableRate()
    with pytest.raises(ValueError, match="ratio"):
        rate.ratio = ratio
    assert rate.ratio == 1.0


def test_a_short_read_is_an_error():
    with pytest.raises(ValueError, match="was given"):
        VariableRate().pull(BLOCK, lambda count: np.zeros((count - 1, 1), np.float32))
