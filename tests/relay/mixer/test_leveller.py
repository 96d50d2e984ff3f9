"""Speech of any level comes out at -18 LUFS; pauses are left as they are."""

from __future__ import annotations

import numpy as np
import pytest

from loacodecs.errors import ConfigurationError
from relay.mixer.block import SAMPLE_RATE
from relay.mixer.k_weighting import SILENCE_LUFS
from relay.mixer.leveller import MOST_GAIN_DB, RISE_DB_PER_S, Leveller
from tests.relay.mixer.signals import at_loudness, metered, run, speech

SPEECH = speech(25, 11)
OTHER = speech(35, 12)


def levelled(sound, gains=None):
    leveller = Leveller(2)
    leveller.reset(0, len(sound))
    leveller.switch(0, True)
    out = run(leveller, sound, lambda: gains is not None and gains.append(leveller.gain_db(0)))
    return out, leveller


@pytest.mark.parametrize("lufs", [-40, -30, -18, -12, -6])
def test_speech_of_any_level_comes_out_alike(lufs):
    out, leveller = levelled(at_loudness(SPEECH, lufs))
    assert metered(out[:, 10 * SAMPLE_RATE :]).integrated(0) == pytest.approx(-18, abs=1)
    assert leveller.loudness(0) == pytest.approx(lufs, abs=1.5)


@pytest.mark.parametrize(("before", "after"), [(-6, -40), (-40, -6), (-20, -32), (-28, -20)])
def test_another_speaker_is_brought_to_the_same_loudness(before, after):
    sound = np.concatenate((at_loudness(SPEECH, before), at_loudness(OTHER, after)), axis=1)
    out, _ = levelled(sound)
    assert metered(out[:, 45 * SAMPLE_RATE :]).integrated(0) == pytest.approx(-18, abs=1)


def test_loud_sound_is_turned_down_at_once():
    sound = np.concatenate((at_loudness(SPEECH, -40), at_loudness(OTHER, -6)[:, : 3 * SAMPLE_RATE]), axis=1)
    out, leveller = levelled(sound)
    assert leveller.gain_db(0) < 0
    assert metered(out[:, 26 * SAMPLE_RATE :]).momentary_max(0) < -6


@pytest.mark.parametrize("step", [6, 12, 20])
def test_music_louder_than_the_speech_before_it_is_no_longer_so_after_three_seconds(step):
    times = np.arange(6 * SAMPLE_RATE) / SAMPLE_RATE
    music = np.sin(2 * np.pi * 300 * times) * (1 + 0.2 * np.sin(2 * np.pi * 2 * times))
    sound = np.concatenate((at_loudness(SPEECH, -32), at_loudness(music[None, :], -32 + step)), axis=1)
    out, _ = levelled(sound)
    music = out[:, SPEECH.shape[1] :]
    assert metered(music[:, 3 * SAMPLE_RATE : 4 * SAMPLE_RATE]).momentary_max(0) < -16
    assert metered(music[:, 4 * SAMPLE_RATE :]).integrated(0) == pytest.approx(-18, abs=1.5)


@pytest.mark.parametrize("noise_lufs", [None, -60, -45, -38])
def test_pauses_are_not_pumped_up(noise_lufs):
    noise = np.random.default_rng(3).standard_normal((1, SPEECH.shape[1] + 60 * SAMPLE_RATE))
    sound = 0 * noise if noise_lufs is None else at_loudness(noise, noise_lufs)
    sound[:, : SPEECH.shape[1]] += at_loudness(SPEECH, -24)
    gains: list[float] = []
    levelled(sound, gains)
    spoken = gains[25 * 50 - 1]
    assert spoken == pytest.approx(6, abs=1.5)
    assert max(np.abs(np.array(gains[25 * 50 :]) - spoken)) < 0.7


def test_gain_is_limited_and_slow():
    gains: list[float] = []
    levelled(at_loudness(SPEECH, -48), gains)
    assert max(gains) <= MOST_GAIN_DB
    assert max(np.diff([0.0, *gains])) <= RISE_DB_PER_S / 50 + 1e-9


def test_gain_moves_in_straight_lines():
    """Against the same lines drawn in float64; for both channels alike."""
    sound = np.tile(at_loudness(SPEECH, -30)[:, : 6 * SAMPLE_RATE], (2, 1)) * np.array([[1.0], [0.3]])
    sound = sound.astype(np.float32).astype(np.float64)
    gains = [0.0]
    out, _ = levelled(sound, gains)
    knots = 10 ** (np.array(gains) / 20)
    drawn = np.interp(np.arange(1, sound.shape[1] + 1), np.arange(len(knots)) * 960, knots)
    assert knots[-1] > 2
    error = np.abs(out - sound * drawn)
    assert 20 * np.log10(error.max()) < -120


def test_switched_off_it_changes_nothing_and_comes_back():
    leveller = Leveller(1)
    leveller.reset(0, 1)
    sound = at_loudness(SPEECH, -30).astype(np.float32).astype(np.float64)
    assert np.array_equal(run(leveller, sound[:, :96_000]), sound[:, :96_000])
    assert leveller.loudness(0) == SILENCE_LUFS
    leveller.switch(0, True)
    run(leveller, sound)
    assert leveller.gain_db(0) > 6
    leveller.switch(0, False)
    run(leveller, sound)
    assert leveller.gain_db(0) == 0
    assert np.array_equal(run(leveller, sound[:, :96_000]), sound[:, :96_000])


def test_no_number_does_not_stay():
    sound = at_loudness(SPEECH, -24)
    sound[0, 480_000] = np.nan
    sound[0, 500_000] = np.inf
    out, leveller = levelled(sound)
    assert np.isfinite(leveller.gain_db(0))
    assert metered(out[:, 15 * SAMPLE_RATE :]).integrated(0) == pytest.approx(-18, abs=1)
    for target in (-41, -5, float("nan")):
        with pytest.raises(ConfigurationError):
            Leveller(1, target)
