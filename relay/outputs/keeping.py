"""How long recordings are kept: by age, by size, and what goes first when the disk is full."""

from __future__ import annotations

import logging
from pathlib import Path

from loacodecs.errors import reason
from relay.outputs.disk import Disk
from relay.outputs.settings import RecordingConfig
from relay.outputs.shelf import Shelf, Stored

log = logging.getLogger("loa.recording")

CLOCK_SET = 1_577_836_800.0
"""Unix time of 2020: what is older was named by a machine that did not know the time yet, and not old at all."""

FUTILE_S = 60.0
"""So long a disk is not looked through again when there was nothing to delete: many channels ask, time and again."""

SPARE = 64 * 10**6
"""Room that is made, or waited for, beyond the reserve: so that the next minute does not begin with the same."""


class Keeper:
    """Deletes what the configuration says need not be kept. Unfinished recordings are never touched."""

    def __init__(self, disk: Disk) -> None:
        self.deleted = 0
        """Recordings deleted."""
        self._disk = disk
        self._shelves: list[tuple[Shelf, RecordingConfig]] = []
        self._futile: dict[int, float] = {}
        """Devices that have nothing to delete, and until when nobody needs to look again."""
        self._told: set[Path] = set()
        """Folders of recordings that cannot be deleted."""

    def add(self, shelf: Shelf, settings: RecordingConfig) -> None:
        """Look after `shelf` from now on."""
        self._shelves.append((shelf, settings))

    def tidy(self, shelf: Shelf, settings: RecordingConfig, wall: float) -> None:
        """Delete what is too old at `wall` (unix seconds), or too much. Raises OSError."""
        recordings = _finished(shelf)
        size = sum(stored.size for stored in recordings)
        for stored in recordings:
            too_much = 0 < settings.size_max < size
            age = wall - stored.started - settings.segment if stored.started > CLOCK_SET else 0.0
            too_old = 0 < settings.keep < age
            why = "older than keep" if too_old else "more than size_max"
            if (too_much or too_old) and self._delete(stored, why):
                size -= stored.size

    def has_room(self, folder: Path, reserve: int) -> bool:
        """Whether the disk of `folder` has more than `reserve` left. Raises OSError."""
        return self._disk.free(folder) >= reserve

    def make_room(self, folder: Path, reserve: int, now: float, wall: float) -> bool:
        """Delete the oldest of all channels that may be, until there is room again; whether there is. Raises OSError.

        What a channel's `keep_at_least` protects stays, and so does everything of a channel that would rather stop.
        Where something was deleted the reserve is room enough, else what was deleted would be gone for nothing.
        """
        wanted = reserve + SPARE
        device = folder.stat().st_dev
        if now < self._futile.get(device, now):
            return self._disk.free(folder) >= wanted
        candidates = sorted(self._removable(wall, device), key=lambda stored: stored.started)
        before = self.deleted
        for stored in candidates:
            if self._disk.free(folder) >= wanted:
                break
            self._delete(stored, "the disk is full")
        free = self._disk.free(folder)
        if free < wanted:
            self._futile[device] = now + FUTILE_S
        return free >= (reserve if self.deleted > before else wanted)

    def _removable(self, wall: float, device: int) -> list[Stored]:
        return [
            stored
            for shelf, settings in self._shelves
            if settings.when_full == "delete-oldest" and shelf.folder.is_dir()
            if shelf.folder.stat().st_dev == device
            for stored in _finished(shelf)
            if wall - stored.started - settings.segment > settings.keep_at_least
        ]

    def _delete(self, stored: Stored, why: str) -> bool:
        """Whether it is gone. One that cannot be is told of once for its folder, and keeps nothing from the others."""
        try:
            stored.path.unlink(missing_ok=True)
        except OSError as error:
            folder = stored.path.parent
            if folder not in self._told:
                self._told.add(folder)
                log.error(
                    "recording %s cannot be deleted: %s; move it away by hand", stored.path, reason(error)
                )
            return False
        self.deleted += 1
        log.info("recording %s deleted: %s", stored.name, why)
        return True


def _finished(shelf: Shelf) -> list[Stored]:
    return [stored for stored in shelf.recordings() if not stored.partial]
