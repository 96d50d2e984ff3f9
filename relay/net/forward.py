"""Sources whose ordinary packets are forwarded by compiled code, and the ledger of what it sent.

Python arms a source's slot (`SourceTable.arm`) with what its next packet must be; the kernel forwards such packets and
enters each in the `Ledger`; Python books the entries (`SourceTable.take`) before it does anything else. All of it
happens in the media thread. See `forward_kernel` and docs/adr/007.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from relay.net import forward_kernel as kernel
from relay.net.address_index import AddressIndex
from relay.net.fanout import Group, Sent
from relay.net.receive_kernel import BATCH

SOURCES = 4_096
"""Sources that can have a slot; those beyond are forwarded by Python."""

LEDGER = 512
"""Entries; the kernel asks for them to be booked when a batch more might not fit."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a source's next packet is, if it is an ordinary one, and which packet of the channel it becomes.

    `sequence` has 16 bits and `timestamp` 32: the source's own, the former of the next packet, the latter of the one
    before. `position` is the channel's extended sequence for the next, `timestamp_base` what is added to its
    timestamp. From `capture_due` (monotonic seconds) on, a packet has to carry its capture time and is not ordinary.
    """

    ssrc: int
    sequence: int
    timestamp: int
    position: int
    timestamp_base: int
    capture_due: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A packet that was sent and is to be booked: opened, with the numbers of the channel's packet it went out as.

    `header` is the octets before the payload; `now` is monotonic, `arrival` unix seconds, `seconds` what sealing and
    sending took.
    """

    slot: int
    packet: bytes
    header: int
    now: float
    arrival: float
    seconds: float
    sequence: int
    timestamp: int
    marker: bool
    outcome: Sent

    @property
    def payload(self) -> bytes:
        """The Opus packet."""
        return self.packet[self.header :]


class SourceTable:
    """At most `capacity` sources, found by the address and socket they come in by, and the ledger."""

    def __init__(self, capacity: int = SOURCES) -> None:
        self._index = AddressIndex(capacity)
        self._slots = np.zeros((capacity, kernel.BROKEN + 1), np.int64)
        self._due = np.zeros(capacity, np.float64)
        self._free = list(range(capacity - 1, -1, -1))
        self._groups: dict[int, Group] = {}
        self._entries = np.zeros((LEDGER, kernel.FAILED + 1), np.int64)
        self._times = np.zeros((LEDGER, 3), np.float64)
        self._packets = np.zeros((LEDGER, kernel.LEDGER_PACKET), np.uint8)
        self._used = np.zeros(1, np.int64)
        self._taken = 0
        self._view = self._packets.data.cast("B")
        self.stores = (self._index.table, self._index.addresses, self._slots, self._due)
        self.ledger = (self._entries, self._times, self._packets, self._used)

    def add(self, address: bytes, fd: int) -> int | None:
        """A slot, not armed, for what comes from `address` (a packed `sockaddr`) to `fd`; None when all are taken."""
        if not self._free:
            return None
        slot = self._free.pop()
        self._slots[slot] = 0
        self._slots[slot, kernel.FD] = fd
        self._index.link(slot, address)
        return slot

    def remove(self, slot: int) -> None:
        """Forget the source."""
        self._index.unlink(slot)
        self._slots[slot] = 0
        self._groups.pop(slot, None)
        self._free.append(slot)

    def arm(
        self, slot: int, expected: Expectation, group: Group, *, session: int, tag: int, payload_type: int
    ) -> None:
        """Let the kernel forward to `group` what matches `expected`.

        `session` is the handle of the `srtp.Receiver` that has opened packets of this SSRC before (the kernel would
        not keep to its `max_sources`), `tag` the octets its profile adds to a packet.
        """
        self._groups[slot] = group  # the kernel reads the group by address
        self._due[slot] = expected.capture_due
        self._slots[slot, : kernel.FORGED] = (
            1, self._slots[slot, kernel.FD], session, expected.ssrc, payload_type, tag, expected.sequence,
            expected.timestamp, expected.position, expected.timestamp_base, group.rows.ctypes.data,
            group.state.ctypes.data, group.state[2],
        )  # fmt: skip

    def disarm(self, slot: int) -> None:
        """Leave what the source sends to Python until it is armed again."""
        self._slots[slot, kernel.ARMED] = 0

    def take(self) -> Iterator[Entry]:
        """What was sent and not yet booked, in order; an entry counts as booked once it is given out."""
        while self._taken < (used := int(self._used[0])):
            at = self._taken
            self._taken += 1
            if self._taken == used:
                self._taken = self._used[0] = 0
            yield self._entry(at)

    def refused(self, slot: int) -> tuple[int, int, int]:
        """Packets of the source refused since asked last: forged, replayed, broken."""
        counts = self._slots[slot, kernel.FORGED :]
        forged, replayed, broken = counts.tolist()
        counts[:] = 0
        return forged, replayed, broken

    def _entry(self, at: int) -> Entry:
        slot, size, header, sequence, timestamp, marker, *outcome = self._entries[at].tolist()
        now, arrival, seconds = self._times[at].tolist()
        start = at * kernel.LEDGER_PACKET
        packet = bytes(self._view[start : start + size])
        return Entry(
            slot, packet, header, now, arrival, seconds, sequence, timestamp, bool(marker), Sent(*outcome)
        )


assert LEDGER >= 4 * BATCH
