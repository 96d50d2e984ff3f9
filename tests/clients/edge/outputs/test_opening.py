"""Names of outputs that only measurements use."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from loacodecs.errors import ConfigurationError
from loaedge.outputs.opening import open_output


def played_seconds(spec: str, blocks: int = 3) -> list[float]:
    """When each block is to be heard, by an output opened as `spec`."""
    moments: list[float] = []
    stop = threading.Event()

    def render(frames: int, heard_at: float) -> np.ndarray:
        moments.append(heard_at)
        if len(moments) == blocks:
            stop.set()
        return np.zeros((frames, 1), np.float32)

    open_output(spec, latency_s=0.2).play(render, stop)
    return moments


def test_a_file_may_be_played_to_by_another_crystal(tmp_path: Path) -> None:
    usual = np.diff(played_seconds(f"wav:{tmp_path / 'a.wav'}"))[0]
    fast = np.diff(played_seconds(f"wav:{tmp_path / 'b.wav'}?ppm=500"))[0]
    assert fast == pytest.approx(usual / 1.0005, abs=1e-9)
    assert fast < usual - 1e-6
    assert (tmp_path / "b.wav").stat().st_size > 44


@pytest.mark.parametrize("ppm", ["fast", "", "nan", "1001", "-2000"])
def test_a_crystal_that_cannot_be_is_refused(tmp_path: Path, ppm: str) -> None:
    with pytest.raises(ConfigurationError, match="ppm"):
        open_output(f"wav:{tmp_path / 'a.wav'}?ppm={ppm}")
