"""A sound is made a little longer or shorter, whatever sound that is."""

from __future__ import annotations

import numpy as np
import pytest

from relay.live.stretching import LONGEST, NEEDED, SHORTEST, Pcm, lengthened, shortened

TAP = np.where(np.arange(NEEDED) < 96, 1.0, -0.2)
"""A push of 2 ms and the way back, as of a finger on a microphone: at no lag it is like itself."""
RUMBLE = np.cumsum(np.random.default_rng(3).normal(0, 0.01, 20 * NEEDED))
TONE = np.sin(2 * np.pi * 440 * np.arange(NEEDED) / 48_000)


def pieces(*lines: np.ndarray) -> list[Pcm]:
    return [
        line[at : at + NEEDED, None].astype(np.float32)
        for line in lines
        for at in range(0, len(line) - NEEDED + 1, 97)
    ]


@pytest.mark.parametrize("piece", pieces(TAP, -TAP, TONE, np.zeros(NEEDED), RUMBLE)[::5])
def test_any_sound_becomes_longer_and_shorter_by_a_lag(piece: Pcm) -> None:
    assert SHORTEST <= len(lengthened(piece)) - len(piece) <= LONGEST
    assert SHORTEST <= len(piece) - len(shortened(piece, LONGEST)) <= LONGEST
    assert np.isfinite(lengthened(piece)).all()


def test_a_tone_stays_one() -> None:
    piece = pieces(TONE)[0]
    for made in (lengthened(piece), shortened(piece, LONGEST)):
        assert np.abs(np.diff(made[:, 0])).max() < 1.1 * np.abs(np.diff(piece[:, 0])).max()
