"""aiortc's MediaRelay in a process of its own; what it does is told in `bench.compare.aiortc_app`."""

from __future__ import annotations

import importlib.util
import socket
import sys
from typing import Literal

from bench.compare.child import Child, free_port
from loacodecs.address import Address

INSTALL = "pip install aiortc"
Mode = Literal["encode", "packets"]


def missing() -> str | None:
    """The command that makes aiortc available; None when it is."""
    return INSTALL if importlib.util.find_spec("aiortc") is None else None


class AiortcServer(Child):
    """A running aiortc."""

    def __init__(self, mode: Mode, bit_rate: int) -> None:
        """Start it; `bit_rate` is for its encoders, bits per second.

        Raises BenchError with its last words when it does not come up.
        """
        super().__init__(f"aiortc-{mode}")
        self.http_port = free_port(socket.SOCK_STREAM)
        #: Where mode "packets" takes plain RTP
        self.feed: Address = ("127.0.0.1", free_port(socket.SOCK_DGRAM))
        options = {
            "--mode": mode,
            "--http-port": self.http_port,
            "--feed-port": self.feed[1],
            "--bit-rate": bit_rate,
        }
        words = [str(word) for option in options.items() for word in option]
        self.start([sys.executable, "-m", "bench.compare.aiortc_app", *words], self.http_port)

    def path(self, channel: int, protocol: str) -> str:
        """`/whip` or `/whep`; there is one channel."""
        del channel
        return f"/{protocol}"
