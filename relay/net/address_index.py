"""A hash table from packed socket addresses to slots, searched by compiled code (`upkeep_kernel.find`)."""

from __future__ import annotations

import numpy as np

from relay.net import upkeep_kernel

EMPTY, REMOVED = -1, -2
SOCKADDR = 28


class AddressIndex:
    """Says which of `capacity` slots an address belongs to. Several slots may have one address."""

    def __init__(self, capacity: int) -> None:
        buckets = 1 << (4 * capacity - 1).bit_length()
        self.table = np.full(buckets, EMPTY, np.int32)
        self.addresses = np.zeros((capacity, SOCKADDR), np.uint8)
        self._bucket_of: dict[int, int] = {}
        self._removed = 0

    def __contains__(self, slot: int) -> bool:
        return slot in self._bucket_of

    def find(self, address: bytes) -> int | None:
        """The slot that has `address`, or None."""
        padded = np.frombuffer(address.ljust(SOCKADDR, b"\0"), np.uint8)
        slot = int(upkeep_kernel.find(self.table, self.addresses, padded, len(address)))
        return None if slot < 0 else slot

    def link(self, slot: int, address: bytes) -> None:
        """Give `address` to `slot`, which has none."""
        self.addresses[slot] = 0
        self.addresses[slot, : len(address)] = np.frombuffer(address, np.uint8)
        mask = len(self.table) - 1
        at = int(upkeep_kernel.hash_address(self.addresses[slot], len(address))) & mask
        while self.table[at] >= 0:
            at = (at + 1) & mask
        self._removed -= int(self.table[at] == REMOVED)
        self.table[at] = slot
        self._bucket_of[slot] = at

    def unlink(self, slot: int) -> None:
        """Take the address of `slot` away."""
        self.table[self._bucket_of.pop(slot)] = REMOVED
        self._removed += 1
        if self._removed > len(self.table) // 4:
            self._rehash()

    def _rehash(self) -> None:
        """Clear the marks of what was removed: with too many of them no search would end early."""
        slots = list(self._bucket_of)
        self.table[:] = EMPTY
        self._bucket_of.clear()
        self._removed = 0
        for slot in slots:
            length = 16 if self.addresses[slot, 0] == 2 else SOCKADDR
            self.link(slot, self.addresses[slot, :length].tobytes())
