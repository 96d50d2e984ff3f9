"""The small operators: no clicks, no holes, no early sound."""

from __future__ import annotations

import numpy as np
import pytest

from loacodecs.opus import Pcm
from loaedge.local.mixing import Chime, CrossFade, Gate, PauseFinder, ramp

RATE = 48_000


def constant(value: float, frames: int = 960) -> Pcm:
    return np.full((frames, 1), value, np.float32)


def test_a_gate_moves_softly_and_is_exact_at_its_ends() -> None:
    gate = Gate()
    assert np.all(gate.apply(constant(1.0), open_=False) == 0)
    opening = np.concatenate([gate.apply(constant(1.0), open_=True) for _ in range(15)])[:, 0]
    assert np.all(np.diff(opening) >= 0)
    assert np.abs(np.diff(opening)).max() < 1.01 / (Gate.RAMP_S * RATE)
    assert opening[-1] == 1.0
    closing = np.concatenate([gate.apply(constant(1.0), open_=False) for _ in range(15)])[:, 0]
    assert np.flatnonzero(closing)[-1] <= Gate.RAMP_S * RATE
    assert closing[-1] == 0.0


def test_a_gate_that_snaps_is_there_at_once() -> None:
    gate = Gate()
    gate.apply(constant(1.0), open_=True)
    gate.snap()
    assert np.all(gate.apply(constant(1.0), open_=False) == 0)


def test_a_cross_fade_keeps_the_power_of_unrelated_sounds() -> None:
    dice = np.random.default_rng(3)
    fade = CrossFade(1.0)
    powers = []
    for _ in range(50):
        first, second = (dice.standard_normal((960, 1)).astype(np.float32) for _ in range(2))
        powers.append(float(np.mean(fade.mix(first, second, target=1.0) ** 2)))
    assert fade.share == pytest.approx(1.0)
    assert min(powers) > 0.8
    assert max(powers) < 1.2
    assert np.all(fade.mix(constant(0.5), constant(0.25), target=1.0) == 0.25)


def test_a_cross_fade_turns_round_where_it_is() -> None:
    fade = CrossFade(0.1)
    fade.mix(constant(0.0, 2400), constant(1.0, 2400), target=1.0)
    assert fade.share == pytest.approx(0.5)
    back = fade.mix(constant(0.0, 2400), constant(1.0, 2400), target=0.0)[:, 0]
    assert back[0] == pytest.approx(np.sin(np.pi / 4), abs=0.001)
    assert back[-1] == pytest.approx(0.0, abs=1e-6)


def test_a_pause_is_longer_than_the_gap_between_words() -> None:
    finder = PauseFinder()
    assert not any(finder.pauses(constant(0.001)) for _ in range(9))
    assert not finder.pauses(constant(0.1))
    assert [finder.pauses(constant(0.001)) for _ in range(11)][8:] == [False, True, True]
    assert not finder.pauses(constant(0.0, 0))


def test_a_chime_rings_after_a_rest_only() -> None:
    chime = Chime(constant(0.5, 2400), rest_s=1.0)
    chime.begin()
    heard = np.concatenate([chime.add(constant(0.0), sounds=False, open_=True) for _ in range(4)])[:, 0]
    assert np.count_nonzero(heard) == 2400
    chime.add(constant(0.0, RATE * 9 // 10), sounds=False, open_=True)
    chime.begin()
    assert not chime.ringing
    chime.add(constant(0.0, RATE // 10), sounds=False, open_=True)
    chime.begin()
    assert chime.ringing


def test_without_sound_of_its_own_it_never_rings() -> None:
    chime = Chime(None, rest_s=0.0)
    chime.begin()
    assert not chime.ringing
    assert chime.seconds == 0.0
    pcm = constant(0.3)
    assert chime.add(pcm, sounds=True, open_=True) is pcm


def test_a_chime_that_is_caught_by_the_night_fades_out() -> None:
    chime = Chime(constant(0.5, RATE), rest_s=1.0)
    chime.begin()
    chime.add(constant(0.0), sounds=True, open_=True)
    rest = np.concatenate([chime.add(constant(0.0), sounds=True, open_=False) for _ in range(49)])[:, 0]
    assert np.all(rest[round(Gate.RAMP_S * RATE) :] == 0)


def test_a_ramp_goes_on_where_the_last_one_ended() -> None:
    gains = np.concatenate([ramp(0.0, 0.5, 10), ramp(0.5, 1.0, 10)])[:, 0]
    assert np.allclose(np.diff(gains), 0.05)
    assert gains[-1] == 1.0
