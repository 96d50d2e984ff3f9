"""A server that is compared with this relay: a process of its own, with its log in a folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import procfs
from bench.errors import BenchError
from bench.leash import leashed, stop

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05


class Child:
    """The part of `bench.under_test.UnderTest` that is the same for all of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._files = tempfile.TemporaryDirectory(prefix=f"loa-bench-{name}-")
        self.folder = Path(self._files.name)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], http_port: int, path: str = "/") -> None:
        """Start the process and wait until it answers a GET of `path` on `http_port`, no matter what.

        Raises BenchError with its last words when it does not come up.
        """
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a command of our own
                leashed(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        try:
            self._wait_until_ready(http_port, path)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The server's process."""
        if self._process is None:
            raise BenchError(f"{self.name} was not started")
        return self._process.pid

    def token(self, scope: str) -> str:
        """Nothing: these servers ask for no token."""
        del scope
        return ""

    def cpu_ns(self) -> int:
        """CPU time so far, nanoseconds, all threads and children."""
        return procfs.cpu_ns(self.pid)

    def memory(self) -> procfs.Memory:
        """Memory now."""
        return procfs.memory(self.pid)

    def require_alive(self) -> None:
        """Raise BenchError when the server has ended by itself."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise BenchError(f"{self.name} ended with code {code}: {self._last_words()}")

    def last_warnings(self, count: int = 5) -> list[str]:
        """The last lines of its log."""
        return self._log.read_text(errors="replace").splitlines()[-count:] if self._log.exists() else []

    def close(self) -> None:
        """Stop the server by SIGTERM; by SIGKILL if it does not go."""
        if self._process is not None:
            stop(self._process, STOP_TIMEOUT_S)
        self._files.cleanup()

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _last_words(self) -> str:
        lines = [line for line in self.last_warnings(3) if line.strip()]
        return lines[-1] if lines else "it said nothing"

    def _wait_until_ready(self, http_port: int, path: str) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            self.require_alive()
            connection = http.client.HTTPConnection("127.0.0.1", http_port, timeout=2)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", path)
                connection.getresponse()
                return
            time.sleep(_POLL_S)
        raise BenchError(f"{self.name} was not ready after {READY_TIMEOUT_S:g} s: {self._last_words()}")


def free_port(kind: int) -> int:
    """A port of 127.0.0.1 that nobody uses now; `kind` is SOCK_STREAM or SOCK_DGRAM."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
