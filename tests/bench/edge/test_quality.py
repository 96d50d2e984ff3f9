"""Repair mends what it should, in the speech that is heard."""

from __future__ import annotations

import pytest

from bench.edge import quality
from bench.edge.programme import mixture
from bench.edge.quality import Repair
from bench.link.presets import NONE, P2

BY_NAME = {repair.name: repair for repair in quality.REPAIRS}
SOUND = mixture(4.0, seed=9)


def score(repair: Repair, loss: float) -> tuple[float, float]:
    return quality.one(SOUND, repair, quality.lossy(NONE, loss), delay_s=0.7, bitrate=24_000, seed="2")


def test_requests_mend_everything_where_there_is_time() -> None:
    clean, weight = score(BY_NAME["NACK"], 0.0)
    mended, more = score(BY_NAME["NACK"], 0.1)
    alone, _ = score(BY_NAME["PLC alone"], 0.1)
    assert clean > 0.8
    assert mended == pytest.approx(clean, abs=0.002)
    assert alone < clean - 0.02
    assert weight < more < 1.4 * weight


def test_redundancy_mends_single_losses_and_weighs_as_much_again() -> None:
    clean, weight = score(BY_NAME["PLC alone"], 0.0)
    alone, _ = score(BY_NAME["PLC alone"], 0.1)
    once, more = score(BY_NAME["RED-1"], 0.1)
    assert alone < once <= clean + 0.002
    assert 1.4 * weight < more < 1.7 * weight


def test_the_same_seed_gives_the_same_figures() -> None:
    assert score(BY_NAME["RED-2"], 0.2) == score(BY_NAME["RED-2"], 0.2)


def test_bursts_delay_and_jitter_stay_those_of_the_path() -> None:
    path = quality.lossy(P2, 0.05)
    assert (path.down.loss.mean, path.down.loss.burst) == (0.05, P2.down.loss.burst)
    assert path.down.delay == P2.down.delay
