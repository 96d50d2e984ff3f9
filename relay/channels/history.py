"""The packets a channel sent last, for retransmission (RFC 4585 §6.2.1)."""

from __future__ import annotations

from relay.net.fanout import Packet


class PacketHistory:
    """A ring of the newest `capacity` packets by extended sequence number; capacity is a power of two."""

    __slots__ = ("_mask", "_ring")

    def __init__(self, capacity: int) -> None:
        size = 1 << max(1, capacity - 1).bit_length()
        self._mask = size - 1
        self._ring: list[tuple[int, Packet] | None] = [None] * size

    def __contains__(self, sequence: int) -> bool:
        return self.get(sequence) is not None

    def add(self, sequence: int, packet: Packet) -> None:
        """Remember `packet`; the one `capacity` before it is forgotten."""
        self._ring[sequence & self._mask] = (sequence, packet)

    def forget(self, sequence: int) -> None:
        """Remember the packet of extended number `sequence` no longer."""
        if self.get(sequence) is not None:
            self._ring[sequence & self._mask] = None

    def get(self, sequence: int) -> Packet | None:
        """The packet of extended number `sequence`, or None when it never came or is forgotten."""
        entry = self._ring[sequence & self._mask]
        return entry[1] if entry is not None and entry[0] == sequence else None
