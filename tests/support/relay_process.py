"""The relay as a user runs it: `loa serve` in a process of its own, on free ports of loopback."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from bench.leash import leashed
from relay.tokens import Scope, Tokens, load_secret


def free_port(kind: socket.SocketKind) -> int:
    """A port that nobody has just now, below those that Linux gives away: it stays free until it is bound, or again."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RelayProcess:
    """Starts on entry, is killed on exit and when the tests end, if it is still there.

    `channels` maps names to TOML lines.
    """

    def __init__(
        self, folder: Path, channels: Mapping[str, Sequence[str]], *, extra: str = "", http_port: int = 0
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.http_port = http_port or free_port(socket.SOCK_STREAM)
        self.media_port = free_port(socket.SOCK_DGRAM)
        tables = "".join(f"[channels.{name}]\n" + "\n".join(lines) + "\n" for name, lines in channels.items())
        self.config = folder / "loa.toml"
        self.config.write_text(
            f'state_dir = "state"\n[media]\nlisten = ["127.0.0.1:{self.media_port}"]\nthreads = 1\n'
            f'[http]\nlisten = "127.0.0.1:{self.http_port}"\n{extra}\n{tables}'
        )
        self.tokens = Tokens(load_secret(folder / "state" / "token-secret"))
        self.log = folder / "relay.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        """The relay's HTTP address."""
        return f"http://127.0.0.1:{self.http_port}"

    def token(self, *scopes: Scope, channels: Sequence[str] = ("*",), ttl: float = 3600.0) -> str:
        """A token of this relay."""
        return self.tokens.mint(subject="test", scopes=scopes, channels=channels, ttl=ttl)

    def __enter__(self) -> RelayProcess:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                leashed([sys.executable, "-m", "loaedge", "serve", "--config", str(self.config)]),
                stdout=log,
                stderr=log,
                env={key: value for key, value in os.environ.items() if not key.startswith("LOA_")},
            )
        try:
            self._wait_until_ready()
        except BaseException:  # nobody calls __exit__ then
            self.kill()
            raise
        return self

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the relay ended: {self.log.read_text()}")
            try:
                if httpx.get(f"{self.base}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                self.process_wait(0.05)
        raise AssertionError(f"the relay never became ready: {self.log.read_text()}")

    def process_wait(self, seconds: float) -> bool:
        """Wait for the process to end; False when it did not."""
        assert self.process is not None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def terminate(self) -> None:
        """Ask it to drain."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
