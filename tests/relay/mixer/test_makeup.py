"""What the limiter takes of levelled speech comes back, slowly; by hand, in pauses and for what is loud it does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from relay.mixer.block import FRAME, SAMPLE_RATE
from relay.mixer.leveller import Leveller
from relay.mixer.limiter import Limiter
from relay.mixer.loudness import LoudnessMeter
from relay.mixer.makeup import MOST_GAIN_DB, RATE_DB_PER_S, Makeup
from tests.relay.mixer.signals import at_loudness, metered, run, speech
from tests.support.voice import voice

CEILING = -3.5
VOICE = voice(30)[np.newaxis]
PEAKED = np.sign(VOICE) * np.abs(VOICE) ** 1.6
"""Speech with peaks 19 dB above its loudness."""
EVEN = speech(30, 5)
MUSIC = sum(np.sin(2 * np.pi * hz * np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE) for hz in (220, 277, 330))


class Chain:
    """Leveller, makeup, limiter and meter behind one another, as a bus has them; `gains` after each block."""

    def __init__(self, channels=1, on=True, makeup=True):
        self.leveller, self.meter = Leveller(2), LoudnessMeter(2)
        self.makeup = Makeup(2, self.leveller.power, self.meter.power)
        self.limiter = Limiter(2, CEILING)
        for operator in (self.leveller, self.makeup, self.limiter, self.meter):
            operator.reset(0, channels)
        self.leveller.switch(0, on)
        self.makeup.switch(0, on and makeup)
        self.gains = [0.0]

    def process(self, block, firsts):
        for operator in (self.leveller, self.makeup, self.limiter, self.meter):
            operator.process(block, firsts)
        self.gains.append(self.makeup.gain_db(0))

    def changes(self, seconds):
        """By how much the gain changes within so many seconds."""
        gains, blocks = np.array(self.gains), round(seconds * 50)
        return np.abs(gains[blocks:] - gains[:-blocks])


def loudness(sound, since=15):
    return metered(sound[:, since * SAMPLE_RATE :]).integrated(0)


def reference(powers):
    """The gain after each block, dB, from the pairs of powers (blocks, 2) before makeup and behind the limiter."""
    heard, gain, gains, rate, loud = [], 0.0, [], 0.0, 0
    for end in range(len(powers)):  # what is known in a block is of the blocks before it
        if end >= 20 and end % 5 == 0:
            now = powers[end - 20 : end].mean(axis=0)
            before, after = -0.691 + 10 * np.log10(np.maximum(now, 1e-30))
            rate, loud = 0.0, loud + 1 if after > -16 else 0
            if before > -28 and now[1] > 0:
                mean = now if not heard else heard[-1] + (now - heard[-1]) * max(
                    1 / (len(heard) + 1), 1 - np.exp(-0.1 / 3)
                )  # fmt: skip
                heard.append(mean)
                before, after = -0.691 + 10 * np.log10(mean)
                rise = 1 if len(heard) <= 100 else 0.33
                rate = -3 if loud >= 10 else np.clip((min(before, -17) - after) / 3, -0.33, rise)
        gain = np.clip(gain + 0.02 * rate, 0, 12)
        gains.append(gain)
    return np.array(gains)


def test_gains_are_those_of_the_reference_and_drawn_in_straight_lines():
    """Sounds of one and of two rows; the powers are made up, with pauses, loud passages and blocks without a number."""
    dice = np.random.default_rng(1)
    blocks, firsts = 4500, np.array([0, 1])
    level = np.repeat(dice.uniform(-34, -12, (blocks // 50, 2)), 50, axis=0) + dice.normal(0, 3, (blocks, 2))
    lost = np.repeat(dice.uniform(-3, 10, (blocks // 150, 2)), 150, axis=0)
    powers = 10 ** ((np.stack((level, level - lost), axis=2) + 0.691) / 10)  # (blocks, sounds, 2)
    powers[dice.integers(0, blocks, 100)] = 0
    before, after = np.zeros(3), np.zeros(3)
    makeup = Makeup(3, before, after)
    for first, channels in ((0, 1), (1, 2)):
        makeup.reset(first, channels)
        makeup.switch(first, True)
    expected = np.stack([reference(powers[:, sound]) for sound in firsts], axis=1)
    assert expected.max() == pytest.approx(12)
    knots = np.ones(2)
    for number in range(blocks):
        before[:2], after[:2] = powers[number, :, 0], powers[number - 1, :, 1]
        block = dice.uniform(-1, 1, (3, FRAME)).astype(np.float32)
        sound = block.astype(np.float64)
        makeup.process(block, firsts)
        ends = 10 ** (expected[number] / 20)
        lines = knots[:, None] + (ends - knots)[:, None] * np.arange(1, FRAME + 1) / FRAME
        assert np.abs(block - sound * lines[[0, 1, 1]]).max() < 1e-6
        assert [makeup.gain_db(first) for first in firsts] == pytest.approx(expected[number], abs=1e-9)
        knots = ends


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("lufs", [-33, -18, -8])
def test_speech_of_high_peaks_leaves_the_limiter_as_loud_as_it_came_from_the_leveller(lufs, channels):
    sound = np.tile(at_loudness(PEAKED, lufs), 2) * np.array([[1.0], [0.1]][:channels])
    without, chain = run(Chain(channels, makeup=False), sound), Chain(channels)
    assert loudness(without) < -18.8
    assert loudness(run(chain, sound)) == pytest.approx(-18, abs=0.6)
    assert 1 < chain.gains[-1] <= MOST_GAIN_DB


def test_it_is_never_louder_than_the_leveller_made_it():
    sound = np.tile(at_loudness(PEAKED, -18), 2)
    levelled = Leveller(1)
    levelled.reset(0, 1)
    levelled.switch(0, True)
    assert loudness(run(Chain(), sound)) < loudness(run(levelled, sound)) + 0.1


def test_what_has_no_peaks_is_left_as_it_is():
    chain = Chain()
    run(chain, at_loudness(MUSIC[np.newaxis], -20))
    assert max(chain.gains) < 0.05


def test_the_gain_stands_in_silence_and_in_the_noise_of_a_pause():
    chain = Chain()
    run(chain, np.tile(at_loudness(PEAKED, -18), 1))
    reached = chain.gains[-1]
    noise = 0.001 * np.random.default_rng(2).standard_normal((1, 30 * SAMPLE_RATE))
    for pause in (0 * noise, noise):
        run(chain, pause)
        assert chain.gains[-1] == pytest.approx(reached, abs=0.1)
        assert chain.gains[-1] == chain.gains[-1000]


def test_it_goes_back_while_sound_is_louder_than_it_should_be():
    before, after = np.full(1, 0.2), np.full(1, 0.1)
    makeup = Makeup(1, before, after)
    makeup.reset(0, 1)
    makeup.switch(0, True)

    def hear(seconds, loudness):
        """A sound of which the limiter takes 3 dB; the gain after it."""
        before[:], after[:] = 10 ** ((loudness + 0.7) / 10), 10 ** ((loudness - 2.3) / 10)
        run(makeup, np.zeros((1, seconds * SAMPLE_RATE)))
        return makeup.gain_db(0)

    assert hear(10, -8) == 0, "what is left is too loud still"
    raised = hear(20, -18)
    assert raised > 2
    assert hear(2, -8) < raised - 1


def test_nothing_pumps_when_speakers_music_of_many_peaks_and_pauses_take_turns():
    beats = np.zeros(20 * SAMPLE_RATE)
    beats[:: SAMPLE_RATE // 2] = 300
    struck = MUSIC + signal.lfilter([1, 0], [1, -0.98], beats)
    parts = (PEAKED, EVEN, 0 * EVEN[:, : 5 * SAMPLE_RATE], struck[np.newaxis], PEAKED)
    sound = np.concatenate([part if not part.any() else at_loudness(part, -20) for part in parts], axis=1)
    chain = Chain()
    run(chain, sound)
    assert max(chain.gains) > 1
    assert chain.changes(3)[20 * 50 :].max() < 1
    assert chain.changes(0.02)[20 * 50 :].max() <= RATE_DB_PER_S / 50 + 1e-9


def test_music_without_peaks_that_follows_speech_of_many_is_too_loud_for_three_seconds_at_most():
    speech = np.tile(at_loudness(np.sign(VOICE) * np.abs(VOICE) ** 2.2, -20), 1)
    chain = Chain()
    run(chain, speech)
    assert chain.gains[-1] > 6
    music = run(chain, at_loudness(MUSIC[np.newaxis], -20))
    assert loudness(music[:, 3 * SAMPLE_RATE : 8 * SAMPLE_RATE], 0) < -15.5
    assert loudness(music, 15) == pytest.approx(-18, abs=0.5)


def test_what_is_mixed_by_hand_is_left_alone_and_switching_off_lets_go_slowly():
    sound = at_loudness(PEAKED, -18)
    by_hand, limited = Chain(on=False), Limiter(1, CEILING)
    assert np.array_equal(run(by_hand, sound), run(limited, sound))
    chain = Chain()
    run(chain, sound)
    assert chain.gains[-1] > 1
    chain.makeup.switch(0, False)
    switched = len(chain.gains)
    run(chain, sound)
    assert chain.gains[-1] == 0
    assert chain.changes(3)[switched:].max() < 1
    block = sound[:, :FRAME].astype(np.float32)
    chain.makeup.process(block, np.array([0]))
    assert np.array_equal(block, sound[:, :FRAME].astype(np.float32))


def test_a_new_sound_begins_at_full_and_no_number_does_not_stay():
    chain = Chain()
    run(chain, at_loudness(PEAKED, -18))
    assert chain.makeup.gain_db(0) > 1
    chain.makeup.reset(0, 1)
    assert chain.makeup.gain_db(0) == 0
    sound = np.tile(at_loudness(PEAKED, -18), 2)
    sound[0, 480_000], sound[0, 500_000], sound[0, 520_000] = np.nan, np.inf, 1e30
    chain = Chain()
    out = run(chain, sound)
    assert np.isfinite(chain.gains).all()
    assert loudness(out, since=30) == pytest.approx(-18, abs=0.6)
