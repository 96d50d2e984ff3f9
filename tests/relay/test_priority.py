"""The relay's place before other programs, as the kernel has it: for the process, and for the session of a service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GROUP = Path("/proc/self/autogroup")
SWITCH = Path("/proc/sys/kernel/sched_autogroup_enabled")
LOOK = f"""
import os, pathlib
from relay.app import run_ahead

group = pathlib.Path({str(GROUP)!r})
before = group.read_text().strip()
run_ahead(3)
print(os.getpriority(os.PRIO_PROCESS, 0), before, group.read_text().strip(), sep="\\n")
"""


@pytest.mark.skipif(not SWITCH.exists() or int(SWITCH.read_text()) == 0, reason="a kernel without autogroups")
@pytest.mark.parametrize("leads", [True, False])
def test_a_service_goes_before_other_sessions_and_a_guest_leaves_his_as_it_was(leads: bool) -> None:
    """A guest's session may have no group: what comes from init without a session of its own reads an empty one."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK], start_new_session=leads, capture_output=True, text=True, check=True
    )
    own, before, after = done.stdout.removesuffix("\n").split("\n")
    assert own == "3"
    if leads:
        assert before.endswith("nice 0")
        assert after == before.removesuffix("0") + "3"
    else:
        assert after == before
