"""A year of a receiver that is given every reason to sound at night."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loaedge.local.director import Fallback
from loaedge.local.selector import LiveState
from loaedge.local.timetable import Entry, parse_days, parse_time
from tests.support.hand_receiver import RATE, HandReceiver, write_wav

DAYS = 365
BLOCK = 960
BLOCK_S = BLOCK / RATE
EDGES_S = (5 * 3600.0, 21 * 3600.0)


ALL, NONE = np.ones(BLOCK, bool), np.zeros(BLOCK, bool)


def quiet_samples(begins: float) -> NDArray[np.bool_]:
    """Which samples of a block that begins at so many seconds since midnight lie in the night.

    Where a sample lies is known to the rounding of seconds since the start of the machine.
    """
    if begins >= EDGES_S[1] + 1e-6 or begins + BLOCK_S < EDGES_S[0] - 1e-6:
        return ALL
    if begins >= EDGES_S[0] and begins + BLOCK_S <= EDGES_S[1]:
        return NONE
    times = begins + np.arange(BLOCK) / RATE
    quiet: NDArray[np.bool_] = (times >= EDGES_S[1] + 1e-6) | (times < EDGES_S[0] - 1e-6)
    return quiet


def test_no_sound_between_nine_and_five_in_a_year(tmp_path: Path) -> None:
    """Live sound around the clock, a link that fails, a fallback, a timetable with an entry every hour and a half.

    Every day is visited at twelve times, and around the beginning and the end of its night in steps of 20 ms that
    lie across the full hour as they happen to.
    """
    path = write_wav(tmp_path / "a.wav", 60.0)
    entries = tuple(
        Entry(f"e{half}", parse_days("daily"), parse_time(f"{half // 2:02d}:{half % 2 * 30:02d}"), path)
        for half in range(0, 48, 3)
    )
    receiver = HandReceiver("2026-01-01T00:00:00", entries, fallback=Fallback(path, always=True, repeat=True))
    midnight = receiver.now
    dice = random.Random(21)
    night = day = sounded = 0
    for number in range(DAYS):
        visits = [(dice.uniform(0, 86_400), 3) for _ in range(12)] + [(edge - 0.7, 60) for edge in EDGES_S]
        for since_midnight, blocks in sorted(visits):
            receiver.now = midnight + number * 86_400 + since_midnight - dice.uniform(0, BLOCK_S)
            receiver.live.on = dice.random() < 0.7
            receiver.selector.live_state = LiveState(dice.random() < 0.5, receiver.now - 600.0)
            for index in range(blocks):
                if index % 25 == 0:
                    receiver.selector.tick(receiver.now)
                heard = receiver.selector.render(BLOCK, receiver.now)[:, 0]
                begins = (receiver.now - midnight) % 86_400
                quiet = quiet_samples(begins)
                assert not np.any(heard[quiet]), f"heard on day {number} at {begins} s"
                if quiet is ALL:
                    night += 1
                elif quiet is NONE:
                    day += 1
                    sounded += bool(np.any(heard))
                receiver.now += BLOCK_S
    assert night > 20_000
    assert sounded > day / 3
