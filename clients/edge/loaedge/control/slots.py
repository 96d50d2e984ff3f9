"""A file of equal slots, written in place: what must be remembered even when the disk is full.

The file gets its whole size when it is made. From then on a write needs no new room (on ext4 and other file
systems that overwrite; where the system cannot, the write fails and says so). Each slot has a checksum, so a power
cut within a write leaves an empty slot and never a wrong one:

    0      2              6        6 + length
    | length | CRC-32     | payload | zeros
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..disk import Disk, DiskError

_HEAD: Final = struct.Struct("<HI")


class SlotFile:
    """`count` slots that hold up to `size` bytes each. Raises DiskError from every method that touches the disk."""

    def __init__(self, path: Path, *, count: int, size: int, disk: Disk) -> None:
        self.count = count
        self.size = size
        self.path = path
        self._disk = disk
        self._stride = _HEAD.size + size
        self._ready = False

    def open(self) -> dict[int, bytes] | None:
        """The payloads by slot, empty and broken ones left out; None when the file was not there and was made now."""
        whole = self.count * self._stride
        data = self._disk.read(self.path, whole + 1)
        if data is None:
            self.make_anew()
            return None
        if len(data) != whole:
            raise DiskError(f"{self.path} has {len(data)} bytes and should have {whole}")
        self._ready = True
        found = {}
        for slot in range(self.count):
            payload = self._payload(data[slot * self._stride : (slot + 1) * self._stride])
            if payload is not None:
                found[slot] = payload
        return found

    def make_anew(self, payloads: Mapping[int, bytes] | None = None) -> None:
        """Write the file with `payloads` by slot, all other slots empty."""
        whole = bytearray(self.count * self._stride)
        for slot, payload in (payloads or {}).items():
            whole[slot * self._stride : (slot + 1) * self._stride] = self._record(payload)
        self._disk.replace(self.path, bytes(whole))
        self._ready = True

    def write(self, slot: int, payload: bytes) -> None:
        """Put `payload` into `slot`, safe when this returns; an empty payload frees the slot.

        A file that could not be opened or made is made now, with nothing else in it: a disk that was full, or not
        mounted yet, need not be so for ever.
        """
        if not 0 <= slot < self.count or len(payload) > self.size:
            raise ValueError(f"slot {slot} cannot hold {len(payload)} bytes")
        if self._ready:
            self._disk.overwrite(self.path, slot * self._stride, self._record(payload))
        else:
            self.make_anew({slot: payload})

    def _record(self, payload: bytes) -> bytes:
        record = _HEAD.pack(len(payload), zlib.crc32(payload)) + payload
        return record.ljust(self._stride, b"\0")

    def _payload(self, record: bytes) -> bytes | None:
        length, checksum = _HEAD.unpack_from(record)
        payload = record[_HEAD.size : _HEAD.size + length]
        if not 0 < length <= self.size or zlib.crc32(payload) != checksum:
            return None
        return payload
