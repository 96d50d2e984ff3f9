"""The noise that everybody knows by heart, held to its time."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.edge.noise_player import NoiseProgramme, main
from bench.edge.skew import skew_of


def played(ppm: float, wander_s: float, seconds: float) -> np.ndarray:
    """What a device plays whose crystal is `ppm` slow, resampled to the true clock; from local time 50 on."""
    programme = NoiseProgramme(seed=5, start=40.0)
    random = np.random.default_rng(1)
    blocks, frame = [], 0
    while frame < seconds * 48000:
        heard_at = 50.0 + frame / 48000 * (1 + ppm * 1e-6) + random.normal(0, wander_s)
        blocks.append(programme.render(1920, heard_at))
        frame += 1920
    sound = np.concatenate(blocks)[:, 0]
    true = np.arange(sound.size) / (1 + ppm * 1e-6)
    return np.interp(true, np.arange(sound.size), sound)


def test_crystals_two_hundred_ppm_apart_end_in_step() -> None:
    skew = skew_of(played(100, 0.0, 30), played(-100, 0.0, 30))
    assert skew.unclear == 0
    assert skew.summary(settle_s=15)["max"] < 0.1


def test_announced_times_that_wander_do_not_move_it() -> None:
    skew = skew_of(played(0, 0.0, 20), played(0, 0.0003, 20))
    assert skew.summary(settle_s=5)["max"] < 0.15


def test_it_says_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    main(["null", "0.0", "1.0", "0.8", "3"])  # more than a busy machine ever stands still
    report = json.loads(capsys.readouterr().out)
    assert report["device"] == "null"
    assert report["problem"] == ""
    assert report["underruns"] == 0
    assert report["jumps"] == 0
    assert report["latency_ms"] == 800
