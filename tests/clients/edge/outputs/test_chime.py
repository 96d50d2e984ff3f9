"""Ding, dong: two soft tones at their time."""

from __future__ import annotations

import numpy as np
import pytest

from loacodecs.errors import ConfigurationError
from loaedge.outputs.chime import Chime, ChimeSettings, chime
from tests.support.tones import dominant_frequency

SETTINGS = ChimeSettings()


def played(chime_: Chime, at: float, offset: float = 0.0, wander: float = 0.0) -> np.ndarray:
    """Three seconds over silence from 100.0 on, the chime at `at`; times announced with an error that wanders."""
    chime_.start(at)
    blocks = []
    for number in range(150):
        heard_at = 100.0 + number * 0.02 + offset + (wander if number % 2 else 0.0)
        blocks.append(chime_.process(np.zeros((960, 1), np.float32), heard_at))
    return np.concatenate(blocks)[:, 0]


def test_a_high_note_then_a_low_one_at_the_peak_that_was_set() -> None:
    sound = chime()[:, 0]
    step = round(SETTINGS.note_s * 48000)
    assert dominant_frequency(sound[:step]) == pytest.approx(659.26, abs=2)
    assert dominant_frequency(sound[2 * step :]) == pytest.approx(523.25, abs=2)
    assert np.abs(sound).max() == pytest.approx(10 ** (-9 / 20), abs=1e-4)


def test_it_begins_and_ends_softly() -> None:
    sound = chime()[:, 0]
    assert np.abs(sound[:48]).max() < 0.02
    assert np.abs(sound[-480:]).max() < 0.005


def test_it_sounds_at_its_time_to_the_sample() -> None:
    sound = chime()[:, 0]
    heard = played(Chime(), 100.5)
    assert not heard[:24_000].any()
    assert np.array_equal(heard[24_000 : 24_000 + sound.size], sound)
    assert not heard[24_000 + sound.size :].any()


def test_a_wandering_clock_does_not_chop_it() -> None:
    assert np.array_equal(played(Chime(), 100.5, wander=0.0004), played(Chime(), 100.5))


def test_the_programme_steps_back_and_returns() -> None:
    chime_ = Chime(ChimeSettings(peak_dbfs=-60))
    chime_.start(100.0)
    heard = np.concatenate(
        [chime_.process(np.full((960, 1), 0.5, np.float32), 100 + n * 0.02) for n in range(150)]
    )[:, 0]
    assert heard[0] == pytest.approx(0.5, abs=0.01)
    assert heard[24_000] == pytest.approx(0.5 * 10 ** (-14 / 20), abs=0.002)
    assert heard[-1] == 0.5
    assert np.abs(np.diff(heard)).max() < 0.001


def test_it_sounds_once_and_again_when_started_again() -> None:
    chime_ = Chime()
    assert played(chime_, 100.5).any()
    assert played(chime_, 100.5).any()
    assert not chime_.process(np.zeros((960, 1), np.float32), 104.0).any()


def test_a_chime_that_is_over_when_the_device_opens_is_not_played() -> None:
    assert not played(Chime(), 90.0).any()


@pytest.mark.parametrize(
    "settings",
    [{"frequencies": (10.0, 500.0)}, {"peak_dbfs": 3.0}, {"note_s": float("nan")}, {"duck_db": 6.0}],
)
def test_what_nobody_wants_to_hear_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="chime"):
        ChimeSettings(**settings)  # type: ignore[arg-type] - each case sets another field
