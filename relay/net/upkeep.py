"""What keeps connected listeners connected, without Python: consent checks (RFC 7675) and receiver reports.

`UpkeepTable` holds, for each connected session, the address it was nominated at, its ICE user name and key, and the
SRTCP session that opens its reports. Sessions enter when they connect, move when the peer nominates another address,
and leave when they end; all from the media thread. The kernel serves only what comes from exactly that address and
verifies; anything else goes the ordinary way.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from loacodecs import srtp
from relay.net import native, upkeep_kernel
from relay.net.address_index import AddressIndex
from relay.net.kernel import MMSGHDR_WORDS
from relay.net.receive import BATCH

_TEXT = upkeep_kernel.KEY - upkeep_kernel.USERNAME


@dataclass(frozen=True, slots=True)
class Report:
    """The newest reception report of a listener (RFC 3550 §6.4.1), as the kernel left it."""

    fraction_lost: int
    packets_lost: int
    jitter: int
    lsr: int
    dlsr: int


class UpkeepTable:
    """At most `capacity` sessions, found by the address they send from."""

    def __init__(self, capacity: int) -> None:
        self._index = AddressIndex(capacity)
        self._texts = np.zeros((capacity, upkeep_kernel.TEXTS), np.uint8)
        self._lengths = np.zeros((capacity, 2), np.int32)
        self._ssrcs = np.zeros((capacity, 2), np.int64)
        self._sessions = np.zeros(capacity, np.int64)
        self._heard = np.full(capacity, np.inf)
        self._patience = np.zeros(capacity)
        self._reports = np.zeros((capacity, 5), np.int64)
        self._reported = np.zeros(capacity, np.int64)
        self._free = list(range(capacity - 1, -1, -1))
        self.stores = (
            self._index.table, self._index.addresses, self._texts, self._lengths, self._ssrcs, self._sessions,
            self._heard, self._reports, self._reported,
        )  # fmt: skip

    def add(
        self,
        address: bytes,
        username: str,
        key: str,
        *,
        ssrc: int = 0,
        opener: int = 0,
        patience: float = 12.0,
        now: float,
    ) -> int | None:
        """Take a session in; returns its slot, or None when there is no place or its texts are too long.

        `opener` is the handle of the `srtp.Receiver` that opens its SRTCP (0: leave RTCP alone), `ssrc` the stream
        whose reports matter, `patience` how many seconds of silence make the session one of `quiet`.
        """
        name, secret = username.encode(), key.encode()
        if not self._free or len(name) > _TEXT or len(secret) > _TEXT:
            return None
        slot = self._free.pop()
        for at, text, column in ((upkeep_kernel.USERNAME, name, 0), (upkeep_kernel.KEY, secret, 1)):
            self._texts[slot, at : at + len(text)] = np.frombuffer(text, np.uint8)
            self._lengths[slot, column] = len(text)
        self._ssrcs[slot] = (ssrc, -1)
        self._sessions[slot] = opener
        self._heard[slot] = now
        self._patience[slot] = patience
        self._reported[slot] = 0
        self._index.link(slot, address)
        return slot

    def find(self, address: bytes) -> int | None:
        """The slot of the session that sends from `address`, or None."""
        return self._index.find(address)

    def move(self, slot: int, address: bytes) -> None:
        """The session sends from `address` from now on."""
        self._index.unlink(slot)
        self._index.link(slot, address)

    def remove(self, slot: int) -> None:
        """Forget the session and its key."""
        self._index.unlink(slot)
        self._texts[slot] = 0
        self._sessions[slot] = 0
        self._heard[slot] = np.inf
        self._free.append(slot)

    def trust(self, slot: int, sender: int) -> None:
        """Open RTCP of this one sender in the kernel: each further SSRC would cost libsrtp memory."""
        self._ssrcs[slot, 1] = sender

    def heard(self, slot: int) -> float:
        """When the kernel last had an authentic packet of the session (the clock of `serve`'s `now`)."""
        return float(self._heard[slot])

    def quiet(self, now: float) -> list[int]:
        """Slots of sessions not heard for longer than their patience."""
        silent = np.flatnonzero(self._heard + self._patience < now)
        return [slot for slot in silent.tolist() if slot in self._index]

    def report(self, slot: int) -> Report | None:
        """The session's newest report, or None when none came since it was asked for last."""
        if not self._reported[slot]:
            return None
        self._reported[slot] = 0
        return Report(*self._reports[slot].tolist())


class Upkeep:
    """What compiled code needs to serve the sessions of a table (see `upkeep_kernel.serve`), and what it counts."""

    def __init__(self, table: UpkeepTable) -> None:
        self.table = table
        self._counts = np.zeros(4, np.int64)
        crc = np.array([_crc_entry(i) for i in range(256)], np.uint32)
        self._work = (
            np.zeros((BATCH, 640), np.uint8),
            np.zeros((BATCH, MMSGHDR_WORDS), np.int64),
            np.zeros((BATCH, 2), np.int64),
            np.zeros(20, np.uint8),
            np.zeros(1, np.int32),
            crc,
        )
        self._native = np.array(
            [native.HMAC, native.SHA1, srtp.UNPROTECT_RTCP_ADDRESS, native.SENDMMSG, native.ERRNO_LOCATION],
            np.int64,
        )
        self.arguments = (table.stores, self._work, self._native, self._counts)
        """What `watch_kernel` serves with."""

    @property
    def checks(self) -> int:
        """Connectivity checks answered."""
        return int(self._counts[0])

    @property
    def reports(self) -> int:
        """Datagrams of receiver reports read."""
        return int(self._counts[1])

    @property
    def failed(self) -> int:
        """Datagrams of reports that could not be opened: forged or broken."""
        return int(self._counts[2])

    @property
    def replayed(self) -> int:
        """Datagrams of reports that had come before."""
        return int(self._counts[3])

    @property
    def available(self) -> bool:
        """Whether OpenSSL could be reached; without it everything goes the ordinary way."""
        return native.HMAC != 0


def _crc_entry(index: int) -> int:
    """Entry of the byte-wise CRC-32 table, from zlib: crc(b) = table[b ^ 0xFF] ^ 0x00FFFFFF ^ 0xFFFFFFFF."""
    return zlib.crc32(bytes((index ^ 0xFF,))) ^ 0xFF00_0000
