"""A publisher as a user runs it: `loa publish` in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from bench.leash import leashed
from tests.support.relay_process import RelayProcess


@contextlib.contextmanager
def publishing(relay: RelayProcess, channel: str, *what: str) -> Iterator[None]:
    """`what` is the source and options of `loa publish`; it is killed at the end, and takes over from one killed."""
    command = [sys.executable, "-m", "loaedge", "publish", f"{relay.base}/{channel}", "--replace", *what]
    environment = {**os.environ, "LOA_TOKEN": relay.token("publish")}
    with subprocess.Popen(leashed(command), stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            yield
        finally:
            process.kill()
