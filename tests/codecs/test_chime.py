"""The two notes."""

from __future__ import annotations

import numpy as np
import pytest

from loacodecs.chime import rise, two_notes


def strongest(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * 48_000 / len(sound))


def test_high_note_then_low_note_with_the_peak_asked_for() -> None:
    sound = two_notes((800.0, 500.0), -12.0, 0.5)
    assert len(sound) == 72_000
    assert 20 * np.log10(np.abs(sound).max()) == pytest.approx(-12, abs=0.01)
    assert strongest(sound[2000:24_000]) == pytest.approx(800, abs=5)
    assert strongest(sound[50_000:]) == pytest.approx(500, abs=5)


def test_begins_and_ends_softly() -> None:
    sound = two_notes()
    assert np.abs(sound[:10]).max() < 1e-3
    assert np.abs(sound[-10:]).max() < 1e-3
    curve = rise(1000, 0.01)
    assert curve[0] == 0
    assert (curve[480:] == 1).all()
    assert (np.diff(curve) >= 0).all()
