"""A disk with room for so many bytes and no more; what it holds it holds for real."""

from __future__ import annotations

import errno
import os

from loaedge.disk import Disk


class SmallDisk(Disk):
    """`room` is how many bytes may still be added; writing in place needs none. `broken` fails every write."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.broken = False

    def _write(self, descriptor: int, data: bytes) -> None:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fits = data[: self.room]
        super()._write(descriptor, fits)
        self.room -= len(fits)
        if len(fits) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super()._write_at(descriptor, data, offset)
