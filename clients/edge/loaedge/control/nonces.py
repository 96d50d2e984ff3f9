"""Which commands have been seen: on the disk before a command is obeyed, so that a restart lets no replay in.

A nonce that cannot be written is not accepted: a command that would be forgotten could come again. When the
memory itself is lost or broken, every command that might have been seen before is refused; the longest lifetime of
a command later everything is well again.
"""

from __future__ import annotations

import hashlib
import math
import struct
import threading
from pathlib import Path
from typing import Final

from loacodecs.signing import FUTURE_S, LIFETIME_MAX_S

from ..disk import Disk, DiskError
from .slots import SlotFile

_COUNT: Final = 1024
_ENTRY: Final = struct.Struct("<32sd")
_FLOOR_SLOT: Final = 0
NONCE_FILE: Final = "nonces.bin"


class NonceMemory:
    """A `loacodecs.signing.Seen` whose memory is the file `path`. Times are relay times.

    `fault` says what is wrong with it, "" when nothing is. May be used by several threads: one that waits for the disk
    may still be at it when its link is lost and the next one brings a command.
    """

    def __init__(
        self, path: Path, disk: Disk | None = None, *, count: int = _COUNT, new: bool = False
    ) -> None:
        """`new`: this device was enrolled just now, so a missing file is no loss."""
        self.fault = ""
        self._lock = threading.Lock()
        self._file = SlotFile(path, count=count, size=_ENTRY.size, disk=disk or Disk())
        self._slots: dict[int, tuple[bytes, float]] = {}
        self._known: set[bytes] = set()
        self._floor = 0.0
        self._load(new)

    def remember(self, nonce: str, expires: float, now: float) -> bool:
        """Keep `nonce` until `expires`; False when it is known, could have been forgotten, or cannot be kept."""
        with self._lock:
            return self._remember(nonce, expires, now)

    def _remember(self, nonce: str, expires: float, now: float) -> bool:
        digest = hashlib.sha256(nonce.encode()).digest()
        try:
            if self._floor == math.inf:
                # The memory was lost: nothing that could have been accepted before may be accepted again.
                self._raise_floor(now + FUTURE_S + LIFETIME_MAX_S)
            if digest in self._known or expires <= self._floor:
                return False
            slot = self._free_slot(now)
            if expires <= self._floor:
                return False
            self._file.write(slot, _ENTRY.pack(digest, expires))
        except DiskError as error:
            self.fault = str(error)
            return False
        self.fault = ""
        forgotten = self._slots.pop(slot, None)
        if forgotten is not None:
            self._known.discard(forgotten[0])
        self._slots[slot] = (digest, expires)
        self._known.add(digest)
        return True

    def _free_slot(self, now: float) -> int:
        """A slot that may be written over; if it is still needed, the floor rises to cover it."""
        candidates = range(1, self._file.count)
        slot = min(candidates, key=lambda index: self._slots.get(index, (b"", -math.inf))[1])
        needed_until = self._slots.get(slot, (b"", -math.inf))[1]
        if needed_until > now:
            self._raise_floor(max(self._floor, needed_until))
        return slot

    def _raise_floor(self, floor: float) -> None:
        self._file.write(_FLOOR_SLOT, _ENTRY.pack(bytes(32), floor))
        self._floor = floor

    def _load(self, new: bool) -> None:
        try:
            payloads = self._file.open()
        except DiskError as error:
            self._lose(str(error), broken=True)
            return
        if payloads is None:
            if not new:
                self._lose(f"{self._file.path} was missing", broken=False)
            return
        for slot, payload in payloads.items():
            if len(payload) != _ENTRY.size:
                continue
            digest, expires = _ENTRY.unpack(payload)
            if slot == _FLOOR_SLOT:
                self._floor = expires
            else:
                self._slots[slot] = (digest, expires)
                self._known.add(digest)

    def _lose(self, fault: str, *, broken: bool) -> None:
        """What was seen is not known any more: no command until the floor is set, and the file knows it, too."""
        self.fault, self._floor = fault, math.inf
        try:
            if broken:
                self._file.make_anew()
            self._file.write(_FLOOR_SLOT, _ENTRY.pack(bytes(32), math.inf))
        except DiskError as error:
            self.fault = str(error)
