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
import numpy.typing as npt

from loacodecs import srtp
from relay.net import native, upkeep_kernel
from relay.net.kernel import MMSGHDR_WORDS
from relay.net.receive import BATCH, DATAGRAM

_EMPTY, _REMOVED = -1, -2
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
        buckets = 1 << (4 * capacity - 1).bit_length()
        self._table = np.full(buckets, _EMPTY, np.int32)
        self._addresses = np.zeros((capacity, 28), np.uint8)
        self._texts = np.zeros((capacity, upkeep_kernel.TEXTS), np.uint8)
        self._lengths = np.zeros((capacity, 2), np.int32)
        self._ssrcs = np.zeros((capacity, 2), np.int64)
        self._sessions = np.zeros(capacity, np.int64)
        self._heard = np.full(capacity, np.inf)
        self._reports = np.zeros((capacity, 5), np.int64)
        self._reported = np.zeros(capacity, np.int64)
        self._free = list(range(capacity - 1, -1, -1))
        self._bucket_of: dict[int, int] = {}
        self._removed = 0
        self.stores = (
            self._table, self._addresses, self._texts, self._lengths, self._ssrcs, self._sessions,
            self._heard, self._reports, self._reported,
        )  # fmt: skip

    def add(
        self, address: bytes, username: str, key: str, *, ssrc: int = 0, opener: int = 0, now: float
    ) -> int | None:
        """Take a session in; returns its slot, or None when there is no place or its texts are too long.

        `opener` is the handle of the `srtp.Receiver` that opens its SRTCP (0: leave RTCP alone), `ssrc` the stream
        whose reports matter.
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
        self._reported[slot] = 0
        self._link(slot, address)
        return slot

    def find(self, address: bytes) -> int | None:
        """The slot of the session that sends from `address`, or None."""
        padded = np.frombuffer(address.ljust(28, b"\0"), np.uint8)
        slot = int(upkeep_kernel.find(self._table, self._addresses, padded, len(address)))
        return None if slot < 0 else slot

    def move(self, slot: int, address: bytes) -> None:
        """The session sends from `address` from now on."""
        self._unlink(slot)
        self._link(slot, address)

    def remove(self, slot: int) -> None:
        """Forget the session and its key."""
        self._unlink(slot)
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

    def quiet(self, since: float) -> list[int]:
        """Slots of sessions not heard since `since`."""
        return [slot for slot in np.flatnonzero(self._heard < since).tolist() if slot in self._bucket_of]

    def report(self, slot: int) -> Report | None:
        """The session's newest report, or None when none came since it was asked for last."""
        if not self._reported[slot]:
            return None
        self._reported[slot] = 0
        return Report(*self._reports[slot].tolist())

    def _link(self, slot: int, address: bytes) -> None:
        self._addresses[slot] = 0
        self._addresses[slot, : len(address)] = np.frombuffer(address, np.uint8)
        mask = len(self._table) - 1
        at = int(upkeep_kernel.hash_address(self._addresses[slot], len(address))) & mask
        while self._table[at] >= 0:
            at = (at + 1) & mask
        self._removed -= int(self._table[at] == _REMOVED)
        self._table[at] = slot
        self._bucket_of[slot] = at

    def _unlink(self, slot: int) -> None:
        self._table[self._bucket_of.pop(slot)] = _REMOVED
        self._removed += 1
        if self._removed > len(self._table) // 4:
            self._rehash()

    def _rehash(self) -> None:
        """Clear the marks of what was removed: with too many of them no search would end early."""
        slots = list(self._bucket_of)
        self._table[:] = _EMPTY
        self._bucket_of.clear()
        self._removed = 0
        for slot in slots:
            length = 16 if self._addresses[slot, 0] == 2 else 28
            self._link(slot, self._addresses[slot, :length].tobytes())


class Upkeep:
    """Serves batches of datagrams for the sessions of a table."""

    def __init__(self, table: UpkeepTable) -> None:
        self.table = table
        self.checks = 0
        self.reports = 0
        self.failed = 0
        self._fates = np.zeros(BATCH, np.uint8)
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

    @property
    def available(self) -> bool:
        """Whether OpenSSL could be reached; without it everything goes the ordinary way."""
        return native.HMAC != 0

    def warm_up(self) -> None:
        """Compile or load the kernel; nothing is served."""
        upkeep_kernel.hash_address(np.zeros(28, np.uint8), 16)
        nothing = np.zeros((BATCH, 28), np.uint8)
        data, sizes = np.zeros((BATCH, DATAGRAM), np.uint8), np.zeros(BATCH, np.int32)
        self.serve(0, -1, data, sizes, nothing, sizes.copy(), 0.0)

    def serve(
        self,
        count: int,
        fd: int,
        data: npt.NDArray[np.uint8],
        sizes: npt.NDArray[np.int32],
        names: npt.NDArray[np.uint8],
        name_lengths: npt.NDArray[np.int32],
        now: float,
    ) -> npt.NDArray[np.uint8]:
        """The fates (see `upkeep_kernel`) of the first `count` datagrams in `data`; `sizes` shrink where opened."""
        checks, reports, failed = upkeep_kernel.serve(
            count, fd, data, sizes, names, name_lengths, self._fates, now, self.table.stores, self._work,
            self._native,
        )  # fmt: skip
        self.checks += checks
        self.reports += reports
        self.failed += failed
        return self._fates


def _crc_entry(index: int) -> int:
    """Entry of the byte-wise CRC-32 table, from zlib: crc(b) = table[b ^ 0xFF] ^ 0x00FFFFFF ^ 0xFFFFFFFF."""
    return zlib.crc32(bytes((index ^ 0xFF,))) ^ 0xFF00_0000
