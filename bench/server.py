"""The relay under test, in its own process, started as a user would: a configuration file and `loa serve`."""

from __future__ import annotations

import contextlib
import http.client
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

import jwt

from bench import procfs
from bench.errors import BenchError
from bench.leash import leashed, stop
from bench.socket_names import bracketed, family_of
from loacodecs.address import Address

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
TOKEN_S = 2 * 86_400
"""A run of a day takes two hours more, in which the floor is measured."""
_POLL_S = 0.05
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")

_CONFIGURATION = """\
state_dir = "state"

[media]
listen = ["{host}:{media_port}"]
{advertise}listeners_max = {listeners_max}
# the floor is measured in pauses of a second, which must not take the publishers off the air
media_timeout = "10s"

[http]
listen = "{http_host}:{http_port}"

[auth]
secret_file = "token-secret"

[log]
level = "warning"

{channels}"""


class Server:
    """A running relay; a context manager that stops it."""

    def __init__(
        self,
        channels: int,
        listeners: int,
        host: str,
        *,
        advertise: Address | None = None,
        secret: bytes | None = None,
        settings: str = "",
    ) -> None:
        """Start a relay with `channels` channels for up to `listeners` listeners, its media port on `host`, and
        wait until it is ready. `advertise` is what clients are told instead of the media port; relays with the same
        `secret` accept each other's tokens. `settings` are further lines of every channel's table.

        Raises BenchError with the relay's last words when it does not come up.
        """
        self.channels = [f"kenh-{index}" for index in range(channels)]
        self._folder = tempfile.TemporaryDirectory(prefix="loa-bench-")
        folder = Path(self._folder.name)
        # the media may be in a network of its own; HTTP stays on loopback, of the same version of IP
        self.http_host = "::1" if ":" in host else "127.0.0.1"
        self.http_port = free_port(socket.SOCK_STREAM, self.http_host)
        self._secret = secret or secrets.token_hex(32).encode()
        secret_file = folder / "token-secret"
        secret_file.touch(mode=0o600)
        secret_file.write_bytes(self._secret)
        self.media = host, free_port(socket.SOCK_DGRAM, host)
        configuration = folder / "loa.toml"
        configuration.write_text(
            _CONFIGURATION.format(
                media_port=self.media[1],
                advertise=_advertised(advertise),
                http_port=self.http_port,
                http_host=bracketed(self.http_host),
                host=bracketed(host),
                listeners_max=listeners,
                channels="\n".join(
                    f'[channels.{name}]\ntitle = "Bench {name}"\n{settings}' for name in self.channels
                ),
            )
        )
        self._log = folder / "log"
        self._configuration = configuration
        self._start()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The relay's process."""
        return self._process.pid

    def token(self, scope: str) -> str:
        """A bearer token for all channels, good for longer than any run in which sessions still come; `scope` is
        "publish", "listen" or "admin".
        """
        now = int(time.time())
        claims = {"sub": "bench", "scope": [scope], "channels": ["*"], "iat": now, "exp": now + TOKEN_S}
        return jwt.encode(claims | {"jti": secrets.token_urlsafe(9)}, self._secret, algorithm="HS256")

    def path(self, channel: int, protocol: str) -> str:
        """The endpoint of a channel; `protocol` is "whip" or "whep"."""
        return f"/{self.channels[channel]}/{protocol}"

    def cpu_ns(self) -> int:
        """CPU time of the relay so far, nanoseconds, all threads and children."""
        return procfs.cpu_ns(self.pid)

    def memory(self) -> procfs.Memory:
        """The relay's memory now."""
        return procfs.memory(self.pid)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def require_alive(self) -> None:
        """Raise BenchError when the relay has ended by itself."""
        if (code := self._process.poll()) is not None:
            raise BenchError(f"the relay ended with code {code}: {self._last_words()}")

    def last_warnings(self, count: int = 5) -> list[str]:
        """The last entries of the relay's log, which has warnings and above; of an exception what it ends with."""
        return entries(self._log.read_text(errors="replace").splitlines())[-count:]

    def crash(self) -> None:
        """Kill the relay: its sessions are gone, and nobody was told."""
        self._process.kill()
        self._process.wait()

    def come_back(self) -> None:
        """Start the relay again after `crash`, on the same ports and with the same secret, and wait until it is
        ready. Raises BenchError as the constructor does.
        """
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                leashed([sys.executable, "-m", "loaedge", "serve", "--config", str(self._configuration)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._configuration.parent,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the relay as an operator would, by SIGTERM; by SIGKILL if it does not go."""
        stop(self._process, STOP_TIMEOUT_S)
        self._folder.cleanup()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            self.require_alive()
            connection = http.client.HTTPConnection(self.http_host, self.http_port, timeout=2)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            time.sleep(_POLL_S)
        raise BenchError(f"the relay was not ready after {READY_TIMEOUT_S:g} s: {self._last_words()}")

    def _last_words(self) -> str:
        lines = [line for line in self.last_warnings(1) if line.strip()]
        return lines[0] if lines else "it said nothing"


def entries(lines: Sequence[str]) -> list[str]:
    """A log's entries, one line each: a traceback is told by its last line, behind the line it belongs to."""
    found: list[str] = []
    for entry in _groups(line for line in lines if line.strip()):
        first, last = entry[0], entry[-1].strip()
        told = [] if first.startswith("Traceback") else [first]
        found.append(": ".join([*told, *([last] if len(entry) > 1 else [])]))
    return found


def _groups(lines: Iterable[str]) -> list[list[str]]:
    """Each line that begins with a time, with those after it that do not."""
    found: list[list[str]] = []
    for line in lines:
        if not found or _TIME.match(line):
            found.append([])
        found[-1].append(line)
    return found


def _advertised(address: Address | None) -> str:
    if address is None:
        return ""
    host, port = address
    return f'advertise = ["{bracketed(host)}:{port}"]\n'


def free_port(kind: int, host: str) -> int:
    """A port that nobody has just now; `kind` is SOCK_STREAM or SOCK_DGRAM."""
    with socket.socket(family_of(host), kind) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
