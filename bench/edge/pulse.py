"""A PulseAudio server of our own, and what it played: real outputs without a sound card.

The server runs apart from the user's: its own HOME, runtime directory and socket. For measuring synchronism one
null sink of four channels is shared by two remap sinks, its front and its rear pair. Two players, each on its own
sink, are then recorded from the one monitor, so that both recordings share a clock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.leash import leashed

RATE: Final = 48000
PAIRS: Final = ("front", "rear")
"""The sinks of `PAIR_MODULES`; each is a stereo pair of the monitor's channels 0, 1 and 2, 3."""
MONITOR: Final = "both.monitor"

_FOUR: Final = "front-left,front-right,rear-left,rear-right"
PAIR_MODULES: Final = (
    f"module-null-sink sink_name=both rate={RATE} channels=4 channel_map={_FOUR}",
    *(
        f"module-remap-sink sink_name={pair} master=both remix=no channels=2"
        f" master_channel_map={pair}-left,{pair}-right channel_map=front-left,front-right"
        for pair in PAIRS
    ),
)
_READY_S: Final = 15.0
_STOP_S: Final = 5.0
_POLL_S: Final = 0.02


class PulseServer:
    """A private PulseAudio daemon; a context manager that stops it. `environment` is what its clients need."""

    def __init__(self, modules: Sequence[str]) -> None:
        """Start a daemon with these modules. Raises BenchError when PulseAudio is not installed or does not come up."""
        pactl = shutil.which("pactl")
        if pactl is None or any(shutil.which(name) is None for name in ("pulseaudio", "parec")):
            raise BenchError("PulseAudio is not installed: sudo apt-get install pulseaudio pulseaudio-utils")
        self._pactl = pactl
        self._folder = tempfile.TemporaryDirectory(prefix="loa-pulse-")
        self._modules = tuple(modules)
        folder = Path(self._folder.name)
        self._socket = folder / "native"
        self.environment: Mapping[str, str] = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PULSE_SERVER": f"unix:{self._socket}",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> PulseServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Start the daemon (again) and wait until it answers."""
        self._socket.unlink(missing_ok=True)
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"]
        for module in (*self._modules, f"module-native-protocol-unix socket={self._socket}"):
            command += ["-L", module]
        self._process = subprocess.Popen(  # noqa: S603 - modules of our own
            leashed([*command, "--log-target=stderr", "--log-level=error"]),
            env=dict(self.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _READY_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise BenchError("PulseAudio does not start; try `pulseaudio -n -vv` by hand")
            time.sleep(_POLL_S)

    def kill(self) -> None:
        """End the daemon at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_S)
            self._process = None

    def pause(self) -> None:
        """Freeze the daemon: its clients hang."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen daemon go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def control(self, *words: str) -> str:
        """What `pactl WORDS` prints. Raises BenchError when it fails."""
        result = subprocess.run(  # noqa: S603 - words of our own
            [self._pactl, *words], env=dict(self.environment), capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise BenchError(f"pactl {' '.join(words)}: {result.stderr.strip()}")
        return result.stdout

    @contextlib.contextmanager
    def recording(self, monitor: str, channels: int) -> Iterator[Recording]:
        """Record a monitor until the block ends."""
        path = Path(self._folder.name) / f"recording.{time.monotonic_ns()}"
        command = [
            *("parec", f"--device={monitor}", f"--rate={RATE}", f"--channels={channels}"),
            *("--format=float32le", "--latency-msec=100", "--raw"),
        ]
        if channels == 4:
            command.append(f"--channel-map={_FOUR}")
        with path.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - a command of our own
                leashed(command), env=dict(self.environment), stdout=file
            )
        try:
            yield Recording(path, channels)
        finally:
            process.terminate()
            process.wait(_STOP_S)

    def _answers(self) -> bool:
        if not self._socket.exists():
            return False
        asked = subprocess.run(  # noqa: S603 - a command of our own
            [self._pactl, "info"], env=dict(self.environment), capture_output=True, check=False
        )
        return asked.returncode == 0


class Recording:
    """What a monitor gave so far."""

    def __init__(self, path: Path, channels: int) -> None:
        self._path = path
        self._channels = channels

    @property
    def seconds(self) -> float:
        return self._path.stat().st_size / (4 * self._channels * RATE)

    def samples(self) -> NDArray[np.float32]:
        """float32 (samples, channels) at 48 kHz, from the recording's beginning to now."""
        data = np.fromfile(self._path, "<f4")
        return data[: data.size // self._channels * self._channels].reshape(-1, self._channels)
