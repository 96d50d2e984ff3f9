"""Records one channel as it was on air: packets in, Ogg Opus files out, nothing decoded.

Recordings begin at whole segments of local time. A short pause becomes silence in the file; a long one ends it, and
the next sound begins another, so that a silent night costs nothing and the time in a file is always the time on air.
Whatever the disk does stays in here: `turn` never raises for it, the channel goes on, and the recorder tries again.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from loacodecs.errors import MalformedError, reason
from loacodecs.opus_packet import packet_samples
from relay.net.fanout import Packet
from relay.outputs.disk import FULL, Disk
from relay.outputs.keeping import Keeper
from relay.outputs.lane import Lane
from relay.outputs.ordering import Ordering
from relay.outputs.segment import Segment
from relay.outputs.settings import RecordingConfig
from relay.outputs.shelf import Shelf

log = logging.getLogger("loa.recording")

QUEUE_PACKETS: Final = 3_000
"""A minute of 20 ms packets: so long may a disk hang before sound is missing from the recording."""
PATIENCE_S: Final = 2.0
"""So long a missing packet is waited for."""
PAUSE_S: Final = 1.0
"""After so much silence what there is is written, as if a page were full."""
SILENCE_S: Final = 60.0
"""A pause beyond this ends the recording."""
SYNC_S: Final = 10.0
"""What a power cut may take, besides the page that is being gathered."""
LOOK_S: Final = 10.0
"""Between looks at the room left on the disk, and between tries after a failure."""

TIDY_S: Final = 600.0
"""Between looks at what need not be kept; another is after each recording."""

Activity = Literal["idle", "recording", "full", "failed"]


@dataclass(slots=True)
class Tally:
    """What a recorder did since the relay started; samples at 48 kHz."""

    octets: int = 0
    samples: int = 0
    missing: int = 0
    errors: int = 0
    segments: int = 0


class Recorder:
    """Driven by `turn`, in one thread. `title` is asked when a recording begins; `serial` gives 32 random bits."""

    def __init__(
        self,
        shelf: Shelf,
        settings: RecordingConfig,
        keeper: Keeper,
        disk: Disk,
        *,
        title: Callable[[], str],
        serial: Callable[[], int],
    ) -> None:
        self.shelf = shelf
        self.lane = Lane(QUEUE_PACKETS)
        self.tally = Tally()
        self.fault = ""
        """One sentence while nothing can be recorded."""
        self._full = False
        self._told = ""
        self._settings = settings
        self._keeper = keeper
        self._disk = disk
        self._title = title
        self._serial = serial
        self._ordering = Ordering(PATIENCE_S)
        self._dropped: Counter[str] = Counter()
        self._segment: Segment | None = None
        self._began = self._ends = 0.0
        self._newest = self._flushed = self._synced = 0.0
        self._look = self._tidy = 0.0
        self._mended = False

    @property
    def activity(self) -> Activity:
        """What it does now; "idle" when there is no sound to record."""
        if self.fault:
            return "full" if self._full else "failed"
        return "recording" if self._segment is not None else "idle"

    @property
    def dropped(self) -> Counter[str]:
        """Packets that are in no recording, by reason. From any thread: copied at once, and then walked."""
        return Counter(dict(self._dropped)) + Counter(behind=self.lane.dropped, late=self._ordering.late)

    def turn(self, now: float, wall: float) -> None:
        """Write what came. `now` is monotonic, `wall` unix seconds, of the same moment."""
        if now >= self._look:
            self._look = now + LOOK_S
            self._guard(self._look_after, now, wall)
        for packet, arrival in self.lane.take():
            self._ordering.push(packet, arrival)
        for packet, arrival in self._ordering.pop(now):
            self._guard(self._take, packet, arrival, wall - (now - arrival))
        self._guard(self._keep, now)

    def close(self, now: float, wall: float) -> None:
        """Finish the recording under way, with all that waits."""
        for packet, arrival in self._ordering.pop(float("inf")):
            self._guard(self._take, packet, arrival, wall - (now - arrival))
        self._guard(self._end)

    def _take(self, packet: Packet, arrival: float, wall: float) -> None:
        if self.fault:
            self._dropped["no_room" if self._full else "failed"] += 1
            return
        if self._segment is not None and self._is_over(arrival, wall):
            self._end()
        if self._segment is None:
            self._begin(packet, arrival, wall)
        if self._segment is not None:
            self._write(self._segment, packet, arrival)

    def _is_over(self, arrival: float, wall: float) -> bool:
        # By the monotonic clock, too: the wall clock may be set back.
        too_long = arrival - self._began >= self._settings.segment
        return wall >= self._ends or too_long or arrival - self._newest > SILENCE_S

    def _begin(self, packet: Packet, arrival: float, wall: float) -> None:
        local = self.shelf.local(wall)
        offset = local.utcoffset()
        since = wall + (offset.total_seconds() if offset is not None else 0.0)
        self._began, self._newest, self._synced = arrival, arrival, arrival
        self._ends = wall + self._settings.segment - since % self._settings.segment
        title = self._title()
        tags = {
            "TITLE": f"{title} {local:%Y-%m-%d %H:%M %z}",
            "ALBUM": title,
            "DATE": local.isoformat(timespec="seconds"),
            "CHANNEL": self.shelf.channel,
        }
        channels = 2 if packet.payload[0] & 0x04 else 1
        path = self.shelf.new_path(wall)
        self._segment = Segment(path, self._disk, channels=channels, serial=self._serial(), tags=tags)
        self.tally.segments += 1
        self._told = ""
        log.info("recording to %s", path, extra={"channel": self.shelf.channel})

    def _write(self, segment: Segment, packet: Packet, arrival: float) -> None:
        try:
            duration = packet_samples(packet.payload)
        except MalformedError:
            self._dropped["malformed"] += 1
            return
        before = segment.size, segment.missing, segment.placement.position, segment.placement.excess
        try:
            segment.write(packet.payload, packet.timestamp, duration, arrival)
        finally:
            self._count(segment, *before)
        self._newest = max(self._newest, arrival)

    def _count(self, segment: Segment, size: int, missing: int, position: int, excess: int) -> None:
        self.tally.octets += segment.size - size
        self.tally.missing += segment.missing - missing
        self.tally.samples += segment.placement.position - position
        self._dropped["excess"] += segment.placement.excess - excess

    def _keep(self, now: float) -> None:
        """What time alone asks for."""
        segment = self._segment
        if segment is None:
            return
        if now - self._newest > SILENCE_S:
            self._end()
            return
        if now - self._newest > PAUSE_S and self._flushed < self._newest:
            self._flushed = self._newest
            self._flush(segment)
        if now - self._synced >= SYNC_S:
            self._synced = now
            segment.sync()

    def _flush(self, segment: Segment) -> None:
        size = segment.size
        segment.flush()
        self.tally.octets += segment.size - size

    def _end(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            self._tidy = 0.0
            try:
                segment.close()
            except OSError:
                segment.abandon()
                raise

    def _look_after(self, now: float, wall: float) -> None:
        """Mend once, delete what need not be kept, and see that there is room; raises OSError."""
        folder = self.shelf.folder
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not self._mended:
            self._mended = True
            mended = self.shelf.mend()
            if mended:
                log.warning("%d recordings of %s that a crash cut off are whole again", mended, folder)
        if now >= self._tidy:
            self._tidy = now + TIDY_S
            self._keeper.tidy(self.shelf, self._settings, wall)
        reserve = self._settings.reserve
        had_room = not self._full and self._keeper.has_room(folder, reserve)
        if not had_room and not self._keeper.make_room(folder, reserve, now, wall):
            self._stop(
                f"the disk of {folder} has less than its reserve of {reserve / 10**6:.0f} MB left", True
            )
            self._end()
        elif self.fault:
            self.fault, self._full = (
                "",
                False,
            )  # until the next failure, which is logged only if it is another one

    def _guard(self, work: Callable[..., None], *arguments: object) -> None:
        """Do `work`; what the disk does is a fault to be told, and to be tried again after."""
        try:
            work(*arguments)
        except OSError as error:
            self.tally.errors += 1
            self._stop(
                f"recordings of {self.shelf.channel} cannot be written: {reason(error)}", error.errno in FULL
            )
            self._abandon()

    def _stop(self, fault: str, full: bool) -> None:
        if fault != self._told:
            log.error("%s; the channel goes on without", fault)
        self.fault = self._told = fault
        self._full = full

    def _abandon(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            with contextlib.suppress(OSError):
                segment.abandon()
