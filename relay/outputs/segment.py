"""One recording while it is written: whole pages only, and a name of its own until it is finished.

A killed relay loses what is not yet a page: a second. A power cut loses what the disk had not been told to keep: what
came since the last `sync`. Either way the rest is a playable file, whose name `shelf.finish` mends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from loacodecs.ogg import OggOpusWriter
from relay.durable import sync_folder
from relay.outputs.disk import Disk
from relay.outputs.placing import RATE, Placement, write_missing
from relay.outputs.shelf import finish, partial_of


class _Pages:
    """What has been written to a file. Apart from the segment, which with its writer would else be a circle: what is
    old is never collected."""

    def __init__(self, disk: Disk, descriptor: int) -> None:
        self.size = 0
        self.unsynced = False
        self._disk = disk
        self._descriptor = descriptor

    def append(self, page: bytes) -> None:
        self._disk.append(self._descriptor, page)  # half a page, if it fails, is cut off by `finish`
        self.size += len(page)
        self.unsynced = True


class Segment:
    """Ogg Opus in `path`, made when it is. All methods raise OSError; after one only `abandon` is of use."""

    def __init__(
        self, path: Path, disk: Disk, *, channels: int, serial: int, tags: Mapping[str, str]
    ) -> None:
        self.placement = Placement()
        self.missing = 0
        """Samples that were made up for."""
        self._path = path
        self._partial = partial_of(path)
        self._disk = disk
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._partial, flags, 0o640)
        self._pages = _Pages(disk, self._descriptor)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # told from what a crash left
            self._writer = OggOpusWriter(
                self._pages.append, channels, serial=serial, tags=tags, page_samples=RATE
            )
        except OSError:
            self.abandon()
            raise

    @property
    def size(self) -> int:
        """Octets written."""
        return self._pages.size

    def write(self, payload: bytes, timestamp: int, duration: int, arrival: float) -> None:
        """Put an Opus packet of `duration` samples where its time is."""
        missing = self.placement.place(timestamp, duration, arrival)
        if missing is None:
            return
        if missing:
            covered = write_missing(self._writer, missing)
            self.placement.wrote(covered)
            self.missing += covered
        self._writer.write_packet(payload)
        self.placement.wrote(duration)

    def flush(self) -> None:
        """Write what waits for its page to be full."""
        self._writer.flush()

    def sync(self) -> None:
        """Have the disk keep what was written."""
        if self._pages.unsynced:
            self._disk.sync(self._descriptor)
            self._pages.unsynced = False

    def close(self) -> None:
        """Finish the recording."""
        self._writer.close()
        self.sync()
        os.close(self._descriptor)
        self._descriptor = -1
        self._partial.rename(self._path)
        sync_folder(self._path.parent)

    def abandon(self) -> None:
        """Finish with what there is: nothing more can be written. Does what it can, the rest is for the next start."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        finish(self._partial)
