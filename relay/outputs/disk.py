"""What recordings ask of a disk, in one place, so that tests can hand in one that is full or broken."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a disk that has no room left, or none for us."""


class Disk:
    """The machine's own. All raise OSError."""

    def append(self, descriptor: int, data: bytes) -> None:
        """Write all of `data` at the descriptor's position."""
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int) -> None:
        """Return when what was written would outlast a power cut."""
        os.fdatasync(descriptor)

    def free(self, folder: Path) -> int:
        """Bytes that may still be written to the file system of `folder`."""
        figures = os.statvfs(folder)
        return figures.f_bavail * figures.f_frsize
