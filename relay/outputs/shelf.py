"""The folder with the recordings of one channel: what they are called, which there are, what a crash left behind.

A name says the channel and when the recording began, in local time with its offset from UTC, so that names sort by
time and a person finds the hour: `tan-phu_2026-11-26_07-00-00+0700.opus`. While it is written it ends in `.part`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Final

from loacodecs.errors import reason
from loacodecs.ogg_page import ENDS_STREAM, ByteStream, Page, PageReader
from relay.durable import sync_folder

log = logging.getLogger("loa.recording")

PARTIAL: Final = ".part"
_TAIL: Final = 131_072  # holds at least one whole page, which has at most 65,307 octets
_HEADER_PAGES: Final = 2
_RATE: Final = 48_000
_STAMP: Final = "%Y-%m-%d_%H-%M-%S%z"
_NAME: Final = re.compile(r"(.+)_(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d[+-]\d{4})(?:_\d+)?\.opus")


@dataclass(frozen=True, slots=True)
class Stored:
    """A recording: `started` in unix seconds, `size` in octets, `partial` while (or since) it is not finished."""

    name: str
    path: Path
    started: float
    size: int
    partial: bool


class Shelf:
    """The recordings of `channel` in `folder`. `zone` None: the machine's local time. Methods raise OSError."""

    def __init__(self, folder: Path, channel: str, zone: tzinfo | None = None) -> None:
        self.folder = folder
        self.channel = channel
        self._zone = zone

    def local(self, wall: float) -> datetime:
        """`wall` (unix seconds) as people here write it."""
        return datetime.fromtimestamp(wall, self._zone).astimezone(self._zone)

    def new_path(self, wall: float) -> Path:
        """Where a recording that begins at `wall` goes; a name that nothing has yet, finished or not."""
        stem = f"{self.channel}_{self.local(wall).strftime(_STAMP)}"
        number = 1
        path = self.folder / f"{stem}.opus"
        while path.exists() or partial_of(path).exists():
            number += 1
            path = self.folder / f"{stem}_{number}.opus"
        return path

    def recordings(self) -> list[Stored]:
        """All there are, the oldest first. Other files in the folder are nobody's business."""
        found: list[Stored] = []
        if not self.folder.is_dir():
            return found
        with os.scandir(self.folder) as entries:
            for entry in entries:
                stored = self._stored(entry.name, Path(entry.path))
                if stored is not None:
                    found.append(stored)
        return sorted(found, key=lambda stored: (stored.started, stored.name))

    def find(self, name: str) -> Stored | None:
        """The recording of that name (without `.part`), if there is one."""
        if name.endswith(PARTIAL) or "/" in name:
            return None
        path = self.folder / name
        # In this order: one that is finished meanwhile is found under its own name.
        return self._stored(name + PARTIAL, partial_of(path)) or self._stored(name, path)

    def mend(self) -> int:
        """Finish what an earlier relay left unfinished, except what another one is writing; gives how many.

        One that cannot be finished is told of, and left as it is.
        """
        mended = 0
        for stored in self.recordings():
            if stored.partial:
                try:
                    mended += finish(stored.path)
                except OSError as error:
                    log.error("recording %s cannot be finished: %s", stored.name, reason(error))
        return mended

    def _stored(self, name: str, path: Path) -> Stored | None:
        partial = name.endswith(PARTIAL)
        final = name.removesuffix(PARTIAL)
        match = _NAME.fullmatch(final)
        if match is None or match[1] != self.channel:
            return None
        try:
            started = datetime.strptime(match[2], _STAMP).timestamp()
            return Stored(final, path, started, path.stat().st_size, partial)
        except (ValueError, FileNotFoundError):  # no such day, or gone (renamed) since it was listed
            return None


def partial_of(path: Path) -> Path:
    """What `path` is called while it is written."""
    return path.with_name(path.name + PARTIAL)


def finish(partial: Path) -> bool:
    """Make the recording `partial` end with its last whole page, marked as the end, and give it its name.

    It is changed in place, which needs no room on a full disk. Nothing is left of a file without sound. False when
    another process has it open. Raises OSError.
    """
    with partial.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        end, last = _last_page(file)
        if last is None:
            partial.unlink()
            return True
        page = Page(
            last.flags | ENDS_STREAM, last.granule, last.serial, last.number, last.segments, last.body
        )
        data = page.to_bytes()
        file.truncate(end)
        os.pwrite(file.fileno(), data, end - len(data))
        os.fdatasync(file.fileno())
    partial.rename(partial.with_name(partial.name.removesuffix(PARTIAL)))
    sync_folder(partial.parent)
    return True


def _last_page(file: ByteStream) -> tuple[int, Page | None]:
    """Where the last sound page ends, and the page, unless it is one of the header's."""
    reader = PageReader(file)
    size = end = 0
    last: Page | None = None
    for count, page in enumerate(iter(reader.read, None)):
        size += _size(page)
        end = reader.skipped + size
        last = page if count >= _HEADER_PAGES else None
    return end, last


def _size(page: Page) -> int:
    return 27 + len(page.segments) + len(page.body)


def duration(stored: Stored) -> float:
    """Seconds of sound in a recording, by its last page. Raises OSError."""
    with stored.path.open("rb") as file:
        file.seek(max(0, stored.size - _TAIL))
        granules = [page.granule for page in _pages(file) if page.granule > 0]
    return granules[-1] / _RATE if granules else 0.0


def _pages(file: ByteStream) -> Iterator[Page]:
    return iter(PageReader(file).read, None)
