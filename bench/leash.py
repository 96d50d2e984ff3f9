"""Processes that do not outlive the load test, however it ends."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Sequence


def leashed(command: Sequence[str]) -> list[str]:
    """`command` so that the kernel kills it when the thread that started it is gone (PR_SET_PDEATHSIG).

    Covers what no `finally` can: a load test that was killed. Its process number is the command's own. Where
    util-linux's `setpriv` is missing the command stays as it is.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else list(command)


def stop(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """End `process` as an operator would, by SIGTERM; by SIGKILL if it has not gone `timeout_s` seconds later."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
