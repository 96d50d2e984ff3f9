"""What the load generator needs of a server it loads: this relay, or one that it is compared with."""

from __future__ import annotations

from typing import Protocol

from bench import procfs


class UnderTest(Protocol):
    """A running server. `bench.server.Server` is this relay; `bench.compare` has the others."""

    @property
    def pid(self) -> int:
        """The process at the root of the server's tree."""

    def token(self, scope: str) -> str:
        """A bearer token for "publish" or "listen"; empty where the server asks for none."""

    def path(self, channel: int, protocol: str) -> str:
        """Where to post the offers of a channel; `protocol` is "whip" or "whep"."""

    def cpu_ns(self) -> int:
        """CPU time so far, nanoseconds, all threads and children."""

    def memory(self) -> procfs.Memory:
        """Memory now."""

    def require_alive(self) -> None:
        """Raise BenchError when the server has ended by itself."""

    def last_warnings(self, count: int = 5) -> list[str]:
        """The last lines it logged at warning level or above."""

    def close(self) -> None:
        """Stop it."""
