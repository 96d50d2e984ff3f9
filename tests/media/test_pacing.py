"""A source with a clock of its own is followed by resampling, in hours that take milliseconds."""

from __future__ import annotations

import numpy as np
import pytest

from loamedia.pacing import LARGEST, Regulator, Speed
from tests.support.tones import dominant_frequency, level_dbfs, tone


def followed(ppm: float, hours: float, *, burst_s: float, start_s: float = 3.0) -> list[float]:
    """How much is in hand at each quarter of an hour: the source sends `burst_s` at once, `ppm` too fast."""
    regulator = Regulator(0.5, 6.0)
    fill, lowest, owed = start_s, [start_s], 0.0
    step = 0.1
    for number in range(1, round(hours * 3600 / step) + 1):
        owed += step * (1 + ppm * 1e-6)
        if owed >= burst_s:
            fill += owed / regulator.ratio
            owed = 0.0
        fill -= step
        regulator.note(fill, number * step)
        lowest[-1] = min(lowest[-1], fill)
        if number % 9000 == 0:
            lowest.append(fill)
    return lowest[:-1]


@pytest.mark.parametrize("ppm", [-300, -50, 0, 50, 300])
@pytest.mark.parametrize("burst_s", [0.1, 2.0])
def test_the_reserve_stays_where_it_was(ppm: float, burst_s: float) -> None:
    lowest = followed(ppm, 8, burst_s=burst_s)
    assert all(abs(each - lowest[0]) < 0.15 for each in lowest), lowest
    assert min(lowest) > 0


def test_the_speed_never_changes_by_more_than_nobody_hears() -> None:
    regulator = Regulator(0.5, 6.0)
    now = 0.0
    for fill in (2.0, 100.0, 0.0, 50.0, 1.0) * 20:
        for _ in range(30):
            now += 1.0
            assert abs(regulator.note(fill, now) - 1) <= LARGEST * (1 + 1e-9)
    regulator.restart()
    assert regulator.ratio == 1.0


def test_speed_keeps_count_and_pitch() -> None:
    sound = np.repeat(tone(1000, 10.0)[None], 2, 0)
    speed = Speed(2)
    speed.set(1.001)
    made = np.concatenate([speed.convert(sound[:, at : at + 4800]) for at in range(0, 480_000, 4800)], 1)
    assert made.shape[1] == pytest.approx(480_000 / 1.001, abs=300)
    assert dominant_frequency(made[1, 4800:-4800]) == pytest.approx(1001.0, abs=0.05)
    assert level_dbfs(made[0, 4800:-4800]) == pytest.approx(-15.05, abs=0.02)


def test_a_change_of_speed_does_not_click() -> None:
    sound = np.repeat(tone(1000, 4.0)[None], 2, 0)
    speed = Speed(2)
    parts = []
    for number, at in enumerate(range(0, sound.shape[1], 4800)):
        speed.set(1 + (0.0005 if number % 2 else -0.0005))
        parts.append(speed.convert(sound[:, at : at + 4800]))
    made = np.concatenate(parts, 1)[0, 4800:]
    assert np.abs(np.diff(made)).max() < 0.25 * 2 * np.pi * 1000 / 48000 * 1.01
