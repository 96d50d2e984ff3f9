"""Nothing that is compiled is loaded while a channel is on air: a tick has 20 ms, a compiler takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_whatever_a_mixed_channel_does_its_kernels_are_there_before_the_first_tick() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.every_feature"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip(), "these were compiled or loaded late"
