"""A disk that is slow at its first write: as long as it lasts another thread has time to come and write, too."""

from __future__ import annotations

import threading
from typing import Final

from loaedge.disk import Disk

_ALONE_S: Final = 0.3
"""Who has not come by then is kept from coming."""


class SlowDisk(Disk):
    """Once `slow` is set, `began` tells of the first write, which waits for a second one."""

    def __init__(self) -> None:
        self.slow = False
        self.began, self._second = threading.Event(), threading.Event()

    def _write(self, descriptor: int, data: bytes) -> None:
        self._wait()
        super()._write(descriptor, data)

    def _write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        self._wait()
        super()._write_at(descriptor, data, offset)

    def _wait(self) -> None:
        if not self.slow:
            return
        if self.began.is_set():
            self._second.set()
        else:
            self.began.set()
            self._second.wait(_ALONE_S)
