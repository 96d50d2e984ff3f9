"""What a path did to the receivers' media: told from what it decided, not from what anybody noticed."""

from __future__ import annotations

from typing import Final

from bench.link.trace import Direction
from loacodecs.demux import Kind, kind

STATION: Final = 0
"""The client number of whoever came first."""
_REMEMBERED: Final = 1024


class Ledger:
    """Is both the record and the observer of a `UdpProxy`, which tells them of each datagram in this order."""

    def __init__(self) -> None:
        self.datagrams = self.bytes = 0
        """Of all receivers, both directions."""
        self.up_bytes = 0
        """Those from the receivers."""
        self.media = self.lost = 0
        """Media packets to receivers, each counted when it was sent first, and those of them that were lost."""
        self._fate: tuple[float, ...] = ()
        self._seen: dict[int, dict[int, None]] = {}

    @property
    def hearing(self) -> int:
        """Receivers' sessions to which media has been sent."""
        return len(self._seen)

    def row(
        self, since: float, client: int, direction: Direction, size: int, delays: tuple[float, ...]
    ) -> None:
        """The fate of a datagram."""
        self._fate = delays
        if client != STATION:
            self.datagrams += 1
            self.bytes += size
            self.up_bytes += size if direction == "up" else 0

    def on_datagram(self, at: float, client: int, direction: Direction, data: bytes) -> None:
        """The datagram of that fate."""
        if client == STATION or direction != "down" or kind(data) is not Kind.RTP:
            return
        seen = self._seen.setdefault(client, {})
        sequence = int.from_bytes(data[2:4], "big")
        if sequence in seen:
            return
        seen[sequence] = None
        if len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]
        self.media += 1
        self.lost += not self._fate
