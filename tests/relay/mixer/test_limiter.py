"""True peaks under the ceiling whatever comes, and nothing done to what is under it anyway."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from loacodecs.errors import ConfigurationError
from relay.mixer.block import SAMPLE_RATE
from relay.mixer.limiter import LATENCY, Limiter
from tests.relay.mixer.signals import run

COUNT = 96_000
TIME = np.arange(COUNT)

# ITU-R BS.1770-4 annex 2, as it is printed: here once more, so that a slip in the product's table is found.
OUTER = (
    0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
    0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
)  # fmt: skip
INNER = (
    -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
    0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip


def true_peak(sound):
    """dBTP by annex 2 and by scipy's polyphase interpolation, whichever is higher."""
    phases = (OUTER, INNER, INNER[::-1], OUTER[::-1])
    printed = max(np.abs(signal.lfilter(phase, 1, sound, axis=-1)).max() for phase in phases)
    return 20 * np.log10(max(printed, np.abs(signal.resample_poly(sound, 4, 1, axis=-1)).max()))


def limited(sound, channels=1, **options):
    limiter = Limiter(channels, **options)
    limiter.reset(0, channels)
    return run(limiter, np.atleast_2d(sound))


def sine(hz, degrees=0.0, amplitude=4.0):
    return amplitude * np.sin(2 * np.pi * hz * TIME / SAMPLE_RATE + np.radians(degrees))


def adversaries():
    rng = np.random.default_rng(7)
    bits = np.sign(rng.standard_normal(COUNT))
    noise = rng.standard_normal(COUNT)
    clicks = np.zeros(COUNT)
    clicks[rng.integers(0, COUNT, 80)] = rng.choice([-1, 1, 30, -60], 80)
    faulty = 4 * noise
    faulty[5000:5010] = np.nan
    faulty[9000], faulty[9100], faulty[9200] = np.inf, -np.inf, 3e38
    yield from (
        sine(SAMPLE_RATE / n, degrees) for n, degrees in ((4, 45), (4, 0), (6, 60), (8, 67.5), (3, 30))
    )
    yield from (sine(hz) for hz in (20, 997, 17_000, 20_000, 23_000, 23_900))
    yield np.sign(sine(441.7))
    yield np.clip(sine(3001, amplitude=10), -1, 1)
    yield rng.uniform(-1, 1, COUNT)
    yield 4 * noise
    yield bits
    yield 30 * bits
    yield clicks
    yield 0.9 * bits + clicks
    yield np.repeat(rng.uniform(-60, 60, COUNT // 480), 480)
    yield noise * np.repeat(10 ** rng.uniform(-2, 1.5, COUNT // 240), 240)
    yield bits * np.repeat(10 ** rng.uniform(-0.3, 1.5, COUNT // 48), 48)
    yield bits * np.repeat(10 ** rng.uniform(-0.3, 0.3, COUNT // 12), 12)
    yield sine(12_000, 45, 1) * np.repeat(10 ** rng.uniform(-1, 1.5, COUNT // 96), 96)
    yield 2 * signal.chirp(TIME / SAMPLE_RATE, 20, 2, 23_990)
    yield 2 * np.where(TIME % 2 == 0, 1.0, -1.0) * np.where(COUNT // 2 > TIME, 1, -1)
    yield faulty


def reference(sound, ceiling_dbtp):
    """What the limiter is to give for whole sounds (channels, samples): the same rules in float64, not by blocks."""
    aim, groups = 10 ** ((ceiling_dbtp - 0.05) / 20), sound.shape[1] // 8
    padded = np.pad(sound, ((0, 0), (9, 10)))
    quarters = (4 * signal.firwin(81, 1 / 4, window=("kaiser", 5.0)))[1:].reshape(20, 4).T[:3]
    filters = [np.pad(phase, 4) for phase in (OUTER, INNER, INNER[::-1], OUTER[::-1])] + list(quarters)
    points = [[np.correlate(line, taps, "valid") for taps in filters] for line in padded]
    peaks = np.maximum(np.abs(sound), np.abs(points).max(axis=1)).max(axis=0).reshape(groups, 8).max(axis=1)
    needs, held, left = np.ones(groups + 32), 1.0, 0
    for group, peak in enumerate(peaks):
        needed = min(aim / max(peak, 1e-30), 1.0)
        if needed <= 1.02 * held and needed < 1:
            held, left = min(held, needed), 150
        elif left:
            left -= 1
        else:
            held += (1 - held) * (1 - np.exp(-8 / SAMPLE_RATE / 0.15))
            held = min(held if held < 1 - 1e-6 else 1.0, needed)
        needs[16 + group] = held
    least = np.array([needs[at : at + 17].min() for at in range(groups + 16)])
    window = np.hanning(14)[1:-1] / np.hanning(14).sum()
    knots = 1 - np.correlate(1 - least, window, "valid")  # [at] is the gain where group at - 1 ends
    late = np.pad(sound, ((0, 0), (LATENCY, 0)))[:, : sound.shape[1]]
    gains = np.interp(np.arange(late.shape[1]), np.arange(len(knots)) * 8 + LATENCY - 8, knots)
    return late * gains


def test_sounds_are_limited_each_to_its_own_ceiling_as_the_reference_does():
    rng = np.random.default_rng(3)
    count = 48 * 960
    loud = rng.standard_normal((6, count)) * np.repeat(10 ** rng.uniform(-1, 0.5, count // 480), 480)
    loud = loud.astype(np.float32).astype(np.float64)
    limiter = Limiter(6)
    sounds = ((0, 1, -3.0), (1, 2, -0.1), (3, 1, None), (4, 2, -9.5))
    for first, channels, ceiling in sounds:
        limiter.reset(first, channels)
        if ceiling is not None:
            limiter.ceiling(first, ceiling)
    firsts = np.array([first for first, _, _ in sounds])
    blocks = [loud[:, at : at + 960].astype(np.float32) for at in range(0, count, 960)]
    for block in blocks:
        limiter.process(block, firsts)
    out = np.concatenate(blocks, axis=1)
    for first, channels, ceiling in sounds:
        rows = slice(first, first + channels)
        expected = reference(loud[rows], -1.0 if ceiling is None else ceiling)
        assert np.abs(out[rows] - expected).max() < 1e-5, ceiling


def test_no_true_peak_is_above_the_ceiling_of_its_sound():
    end = np.ones(COUNT)  # the meter would take the cut end for a click
    end[-4800:] = np.linspace(1, 0, 4800)
    end[-960:] = 0
    ceilings = (-1.0, -0.1, -4.0, -12.0)
    limiter = Limiter(len(ceilings))
    firsts = np.arange(len(ceilings))
    for number, sound in enumerate(adversaries()):
        for first, ceiling in enumerate(ceilings):
            limiter.reset(first, 1)
            limiter.ceiling(first, ceiling)
        out = run(limiter, np.tile(sound * end, (len(ceilings), 1)), rows=firsts)
        assert np.isfinite(out).all(), number
        for first, ceiling in enumerate(ceilings):
            assert ceiling - 0.2 < true_peak(out[first]) <= ceiling, (number, ceiling)


def test_the_ceiling_is_as_configured():
    assert -6.2 < true_peak(limited(sine(997) * np.hanning(COUNT), ceiling_dbtp=-6.0)) <= -6.0
    for ceiling in (0.1, -61, float("nan")):
        with pytest.raises(ConfigurationError):
            Limiter(1, ceiling)
        with pytest.raises(ConfigurationError):
            Limiter(1).ceiling(0, ceiling)


def test_a_ceiling_outlives_the_sound_and_may_change_in_it():
    limiter = Limiter(1)
    limiter.ceiling(0, -6.0)
    limiter.reset(0, 1)
    steady = np.atleast_2d(sine(997))

    def highest(skipped):
        return 20 * np.log10(np.abs(run(limiter, steady)[0, skipped:]).max())

    assert -6.1 < highest(0) <= -6.0
    limiter.ceiling(0, -3.0)
    assert -3.25 < highest(0) <= -3.0
    limiter.ceiling(0, -9.0)
    assert -9.1 < highest(960) <= -9.0


def test_nothing_is_done_below_the_ceiling():
    sound = (0.1 * np.random.default_rng(1).standard_normal(COUNT)).astype(np.float32).astype(np.float64)
    out = limited(sound)
    assert np.array_equal(out[0, LATENCY:], sound[:-LATENCY])
    assert not out[0, :LATENCY].any()


def test_gain_comes_back_to_one_exactly():
    sound = 0.05 * np.random.default_rng(1).standard_normal(3 * SAMPLE_RATE)
    sound[:4800] += 4 * np.sin(np.arange(4800))
    sound = sound.astype(np.float32).astype(np.float64)
    out = limited(sound)[0]
    assert np.array_equal(out[-19_200:], sound[-19_200 - LATENCY : -LATENCY])


@pytest.mark.parametrize("hz", [40, 100, 997, 5000])
def test_a_steady_sound_is_not_distorted(hz):
    """After the attack the gain stands: what is left beside the tone is below -80 dB."""
    out = limited(sine(hz, amplitude=2.0))[0, 48_000:]
    spectrum = np.abs(np.fft.rfft(out * np.blackman(len(out))))
    at = round(hz * len(out) / SAMPLE_RATE)
    power = spectrum**2
    assert power[: max(at - 10, 0)].sum() + power[at + 10 :].sum() < 1e-8 * power.sum()


def test_gain_is_reached_smoothly():
    """Before a loud tone breaks in, the gain falls over the look-ahead: a tone already there does not click."""
    sound = sine(100, amplitude=0.5) + np.where(TIME > 48_000, 1, 0) * sine(1000, amplitude=3)
    before = limited(sound)[0, 1000 : 48_000 + LATENCY - 16]
    steps = np.abs(np.diff(before, 2))
    assert steps.max() < 0.003
    assert abs(before[-1]) < 0.7 * abs(sound[47_983])


def test_channels_of_a_sound_get_the_same_gain():
    sound = np.stack((sine(997), sine(303, amplitude=0.1)))
    out = limited(sound, channels=2)
    alone = limited(sound[0])
    assert np.array_equal(out[0], alone[0])
    gain = out[1, 48_000:] / sound[1, 48_000 - LATENCY : -LATENCY]
    assert np.median(gain) == pytest.approx(10 ** (-1.05 / 20) / 4, rel=0.01)


def test_sounds_do_not_touch_one_another_and_are_forgotten():
    limiter = Limiter(3)
    limiter.reset(0, 1)
    limiter.reset(1, 2)
    rng = np.random.default_rng(2)
    loud = (3 * rng.standard_normal((3, 960))).astype(np.float32)
    quiet = (0.05 * rng.standard_normal((3, 960))).astype(np.float32)
    block = np.stack((loud[0], quiet[1], quiet[2]))
    limiter.process(block, np.array([0, 1]))
    assert limiter.reduction_db(0) > 6
    assert limiter.reduction_db(1) == 0
    assert np.array_equal(block[1:, LATENCY:], quiet[1:, :-LATENCY])
    limiter.reset(0, 1)
    block = quiet.copy()
    limiter.process(block, np.array([0]))
    assert np.array_equal(block[0, LATENCY:], quiet[0, :-LATENCY])
    assert np.array_equal(block[1:], quiet[1:])
