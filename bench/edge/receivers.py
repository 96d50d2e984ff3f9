"""The receivers under test: `loa edge` processes as a technician starts them, enrolled, each with a file."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import procfs
from bench.edge.way import CHANNEL, Way
from bench.errors import BenchError
from bench.leash import leashed
from loaedge.control.enrol import enrol

STOP_TIMEOUT_S: Final = 15.0
_POLL_S: Final = 0.05
CRYSTALS_PPM: Final = (30.0, -45.0, 12.0, -20.0, 60.0, -8.0)
"""How fast the receivers' sound cards are, in turn: usual crystals are within 50 ppm or so."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the receivers are told. `rendition` and `mode` as in the receiver's own file."""

    delay_ms: int
    rendition: str
    mode: str
    output_latency_ms: int | None = None


@dataclass(slots=True, eq=False)
class EdgeReceiver:
    """One receiver; `devices` are its ids with the relays, in their order."""

    folder: Path
    output: str
    ppm: float = 0.0
    devices: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def wav(self) -> Path:
        """Where it plays to, when that is a file."""
        return self.folder / "played.wav"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    async def enrol(self, ways: Sequence[Way], wanted: Wanted) -> None:
        """Write its file and enrol it with every relay, past the bad path. Raises LoaError."""
        state = self.folder / "state"
        state.mkdir(parents=True)
        for way in ways:
            channel = way.server.channels[CHANNEL]
            code = await way.ask("POST", "/codes", {"name": self.folder.name, "channel": channel})
            relay = f"http://{way.server.http_host}:{way.server.http_port}"
            # Not the system's certificates: to read them holds everything up for a tenth of a second
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            done = await enrol(relay, code["code"], self.folder.name, state, tls=tls)
            await way.ask("PATCH", f"/{done.device}", {"delay_ms": wanted.delay_ms})
            self.devices.append(done.device)
        lines = [
            f"relays = {json.dumps([way.address for way in ways])}",
            f"channel = {json.dumps(ways[0].server.channels[CHANNEL])}",
            f'mode = "{wanted.mode}"',
            f'delay = "{wanted.delay_ms}ms"',
            f'rendition = "{wanted.rendition}"',
            f"output = {json.dumps(self.output)}",
            'quiet_hours = "never"',
            'state_dir = "state"',
        ]
        if wanted.output_latency_ms is not None:
            lines.append(f'output_latency = "{wanted.output_latency_ms}ms"')
        (self.folder / "edge.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it; in the main thread."""
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                leashed(
                    [sys.executable, "-m", "loaedge", "edge", "--config", str(self.folder / "edge.toml")]
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
            )

    def require_alive(self) -> None:
        """Raise BenchError with its last words when it has ended."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise BenchError(f"receiver {self.folder.name} ended with code {code}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line it logged."""
        lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def cpu_ns(self) -> int:
        """CPU time so far."""
        return procfs.cpu_ns(self.pid)

    def memory_mb(self) -> float:
        """Its share of memory now (Pss)."""
        return procfs.memory(self.pid).pss / 1024

    async def stop(self) -> None:
        """End it as systemd would; it says goodbye to relays over a path that has to go on meanwhile."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_TIMEOUT_S
        try:
            while process.poll() is None and time.monotonic() < end:  # noqa: ASYNC110 - processes set no events
                await asyncio.sleep(_POLL_S)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver said of itself last, by its telemetry; `at` is when that arrived (monotonic seconds)."""

    at: float
    concealed_ms: float
    lost: int
    recovered: int
    clock_error_ms: float | None


async def told(receiver: EdgeReceiver, ways: Sequence[Way]) -> Told | None:
    """The newest telemetry that any relay which lives has of a receiver; None when there is none."""
    found: list[dict[str, Any]] = []
    for way, device in zip(ways, receiver.devices, strict=True):
        if way.server.alive:
            view = await way.ask("GET", f"/{device}")
            if view["telemetry"] is not None:
                found.append(view["telemetry"])
    if not found:
        return None
    newest = max(found, key=lambda one: float(one["at"]))
    return Told(
        newest["at"] - time.time() + time.monotonic(),
        newest["concealed_ms"],
        newest["lost"],
        newest["recovered"],
        newest["clock_error_ms"],
    )
