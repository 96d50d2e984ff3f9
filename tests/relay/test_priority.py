"""The relay's place before other programs, as the kernel has it: for the process, and for the session of a service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GROUP = Path("/proc/self/autogroup")
LOOK = (
    "import os, pathlib; from relay.app import run_ahead; run_ahead(3); "
    f"print(os.getpriority(os.PRIO_PROCESS, 0), pathlib.Path('{GROUP}').read_text())"
)


@pytest.mark.skipif(not GROUP.exists(), reason="a kernel without autogroups")
@pytest.mark.parametrize("leads", [True, False])
def test_a_service_goes_before_other_sessions_and_a_guest_leaves_his_as_it_was(leads: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], start_new_session=leads, capture_output=True, text=True, check=True
    )
    own, group = done.stdout.split(maxsplit=1)
    assert own == "3"
    assert group.strip().endswith("nice 3") is leads
