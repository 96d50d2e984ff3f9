"""A recorder under a hand-driven clock, on a disk whose room is set by hand."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import timedelta, timezone
from pathlib import Path

from relay.net.fanout import Packet
from relay.outputs.disk import Disk
from relay.outputs.keeping import Keeper
from relay.outputs.recorder import Recorder
from relay.outputs.settings import RecordingConfig
from relay.outputs.shelf import Shelf, Stored
from tests.support.on_air import Programme

HANOI = timezone(timedelta(hours=7))
SEVEN = 1_795_651_200.0
"""2026-11-26 07:00 in Hanoi."""


class HandDisk(Disk):
    """`room` octets may be written, on a disk that says it has `free` left."""

    def __init__(self) -> None:
        self.room = 1 << 40
        self.left = 1 << 40
        self.synced = 0

    def append(self, descriptor: int, data: bytes) -> None:
        super().append(descriptor, data[: self.room])
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)

    def sync(self, descriptor: int) -> None:
        self.synced += 1

    def free(self, folder: Path) -> int:
        return self.left


class Studio:
    """A programme, a recorder, and the clock of both; `start` is the wall-clock time of the beginning."""

    def __init__(
        self,
        folder: Path,
        start: float = SEVEN,
        programme: Programme | None = None,
        disk: HandDisk | None = None,
        **settings: object,
    ) -> None:
        self.disk = disk or HandDisk()
        self.programme = programme or Programme()
        self.offset = start - self.programme.now
        self.shelf = Shelf(folder, "tan-phu", HANOI)
        self.keeper = Keeper(self.disk)
        config = RecordingConfig.model_validate({"enabled": True, **settings})
        self.keeper.add(self.shelf, config)
        self.recorder = Recorder(
            self.shelf, config, self.keeper, self.disk, title=lambda: "Xã Tân Phú", serial=lambda: 7
        )

    def turn(self) -> None:
        self.recorder.turn(self.programme.now, self.programme.now + self.offset)

    def close(self) -> None:
        self.recorder.close(self.programme.now, self.programme.now + self.offset)

    def play(
        self, seconds: float, *, step: float = 10.0, edit: Callable[[Packet], Packet | None] = lambda p: p
    ) -> None:
        while seconds > 0:
            for packet, now in self.programme.take(min(step, seconds)):
                edited = edit(packet)
                if edited is not None:
                    self.recorder.lane.put(edited, now)
            seconds -= step
            self.turn()

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.programme.pause(1.0)
            self.turn()

    def names(self) -> list[str]:
        return [stored.name for stored in self.shelf.recordings()]

    def only(self) -> Stored:
        (stored,) = self.shelf.recordings()
        return stored
