"""A PulseAudio server of the tests' own: two sinks whose sound is recorded by one monitor."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from bench.edge.pulse import PAIR_MODULES, PulseServer


@pytest.fixture(scope="session")
def pulse_daemon() -> Iterator[PulseServer]:
    if shutil.which("pulseaudio") is None:
        if os.environ.get("CI"):
            pytest.fail("pulseaudio is not installed")
        pytest.skip("pulseaudio is not installed")
    # Of a card with a small buffer, as libasound's plug-in needs it: it asks the server for no latency.
    card = "module-null-sink sink_name=card rate=48000 norewinds=1"
    with PulseServer((*PAIR_MODULES, card)) as server:
        yield server


@pytest.fixture
def pulse(pulse_daemon: PulseServer, monkeypatch: pytest.MonkeyPatch) -> PulseServer:
    """The server, and the environment by which libpulse of this process finds it."""
    for name in ("PULSE_SERVER", "XDG_RUNTIME_DIR", "HOME"):
        monkeypatch.setenv(name, pulse_daemon.environment[name])
    return pulse_daemon
