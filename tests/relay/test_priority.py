"""The relay's place before other programs, as the kernel has it: for the process, and for the session of a service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GROUP = Path("/proc/self/autogroup")
LOOK = f"""
import os, pathlib, sys
from relay.app import run_ahead

if sys.argv[1] == "guest" and os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
group = pathlib.Path({str(GROUP)!r})
before = group.read_text().strip()
run_ahead(3)
print(os.getpriority(os.PRIO_PROCESS, 0), before, group.read_text().strip(), sep="\\n")
"""


@pytest.mark.skipif(not GROUP.exists(), reason="a kernel without autogroups")
@pytest.mark.parametrize("place", ["leader", "guest"])
def test_a_service_goes_before_other_sessions_and_a_guest_leaves_his_as_it_was(place: str) -> None:
    """Both in a session of the test's own: what init starts without one has no group, and so reads an empty one."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, place],
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
    )
    own, before, after = done.stdout.removesuffix("\n").split("\n")
    assert own == "3"
    leads = place == "leader" and before  # empty, too, where autogroups are switched off
    assert after == (before.removesuffix("0") + "3" if leads else before)
