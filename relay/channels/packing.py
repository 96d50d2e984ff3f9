"""Joins a channel's packets to longer ones, so that a link carries fewer headers (RFC 6716 §3.2, RFC 7587 §4.2).

Packets fall into slots of the wanted length on a grid that begins with the stream. A slot leaves as one packet
when its last part is there: what is missing by then is no longer waited for, so a lost packet costs no delay.
The parts around the gap leave as packets of their own, one after the other, with their own timestamps; the
receiver sees a gap in time and none in the sequence, and has nothing to ask for that does not exist. When the
missing part comes after all (the relay asks its source for it), it leaves at once as the next packet, with its
old timestamp. So every number stands for one payload for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loacodecs.errors import MalformedError
from loacodecs.opus_packet import is_dtx, packet_samples
from loacodecs.opus_repacketize import join, joinable, joined_limit
from loacodecs.rtp import timestamp_delta
from relay.channels.timeline import CLOCK_RATE
from relay.net.fanout import Packet
from relay.net.kernel import MAX_PAYLOAD

HOLD = 2.0
"""A slot that is not complete after so many times its length leaves as it is: its source has paused."""


class Packing:
    """Packets of a channel in, packets of at most `ptime_ms` (20 … 120) with a numbering of their own out.

    Extended sequence numbers begin with 0. Packets that cannot be joined (already that long, no Opus, more
    than fits a datagram together) come out as they are; nothing raises, whatever the payloads are.
    """

    __slots__ = (
        "_count", "_frame", "_held", "_held_since", "_hold_s", "_marked", "_newest", "_origin", "_samples",
        "_silent", "sequence",
    )  # fmt: skip

    def __init__(self, ptime_ms: int) -> None:
        self._samples = ptime_ms * CLOCK_RATE // 1_000
        self._hold_s = HOLD * ptime_ms / 1_000
        self.sequence = -1
        """Extended sequence of the newest packet that left; -1 before the first."""
        self._newest = -1
        self._marked = self._silent = False
        # The grid: slots of `_count` packets of `_frame` samples; `_origin` is where the current one begins.
        self._origin = self._frame = self._count = 0
        self._held: dict[int, Packet] = {}
        self._held_since = 0.0

    @property
    def deadline(self) -> float | None:
        """When what is held back leaves at the latest (monotonic seconds), None when there is nothing."""
        return self._held_since + self._hold_s if self._held else None

    def feed(self, packet: Packet, now: float) -> Sequence[Packet]:
        """What leaves because of `packet`, which came at `now` (monotonic seconds)."""
        frame = _samples(packet)
        if packet.sequence < self._newest:
            return self._feed_late(packet, frame)
        begins = packet.marker and not self._marked
        self._newest, self._marked = packet.sequence, packet.marker
        ahead = timestamp_delta(packet.timestamp, self._origin)
        out: list[Packet] = []
        if begins or frame != self._frame or ahead < 0 or ahead % frame:
            out += self._release()
            self._origin, self._frame = packet.timestamp, frame
            self._count = max(1, self._samples // frame)
            ahead = 0
        elif ahead >= self._count * frame:
            out += self._release()
            slot = self._count * frame
            self._origin = (self._origin + ahead // slot * slot) & 0xFFFF_FFFF
            ahead %= slot
        out += self._hold(ahead // frame, packet, now)
        return out

    def due(self, now: float) -> Sequence[Packet]:
        """What leaves because it waited long enough."""
        deadline = self.deadline
        return self._release() if deadline is not None and now >= deadline else ()

    def _feed_late(self, packet: Packet, frame: int) -> Sequence[Packet]:
        """A packet that others overtook: into its slot while that waits, else out at once."""
        ahead = timestamp_delta(packet.timestamp, self._origin)
        position, off_grid = divmod(ahead, frame)
        if (
            self._held
            and frame == self._frame
            and not off_grid
            and 0 <= position < self._count
            and position not in self._held
        ):
            self._held[position] = packet
            return ()
        return self._number([(packet, packet.payload)])

    def _hold(self, position: int, packet: Packet, now: float) -> Sequence[Packet]:
        out: list[Packet] = []
        if position in self._held:  # a source whose clock stands still
            out += self._release()
        if not self._held:
            self._held_since = now
        self._held[position] = packet
        spoke, self._silent = not self._silent, is_dtx(packet.payload)
        # After the first DTX packet the source may say nothing for long (RFC 7587 §3.1.3).
        if position >= self._count - 1 or (spoke and self._silent):
            out += self._release()
        return out

    def _release(self) -> Sequence[Packet]:
        """All that is held, joined as far as it goes."""
        held = [self._held[position] for position in sorted(self._held)]
        self._held.clear()
        out: list[tuple[Packet, bytes]] = []
        for run in _runs(held):
            if len(run) == 1:
                out.append((run[0], run[0].payload))
                continue
            try:
                out.append((_first(run), join([packet.payload for packet in run])))
            except MalformedError:  # the source's mistake; its receivers may make of it what they can
                out += [(packet, packet.payload) for packet in run]
        return self._number(out)

    def _number(self, packets: Iterable[tuple[Packet, bytes]]) -> Sequence[Packet]:
        numbered = [
            Packet(sequence, packet.timestamp, payload, packet.marker, packet.capture)
            for sequence, (packet, payload) in enumerate(packets, self.sequence + 1)
        ]
        self.sequence += len(numbered)
        return numbered


def _samples(packet: Packet) -> int:
    """How long the packet lasts, for the grid; 120 ms for what is no Opus packet, so that it stands alone."""
    try:
        return packet_samples(packet.payload)
    except MalformedError:
        return CLOCK_RATE * 120 // 1_000


def _runs(packets: Iterable[Packet]) -> Iterable[list[Packet]]:
    """`packets` in runs that follow one another in time, can be joined and fit a datagram."""
    run: list[Packet] = []
    for packet in packets:
        if run and not _continues(run, packet):
            yield run
            run = []
        run.append(packet)
    if run:
        yield run


def _continues(run: list[Packet], packet: Packet) -> bool:
    last = run[-1]
    return (
        timestamp_delta(packet.timestamp, last.timestamp) == _samples(last)
        and joinable(last.payload, packet.payload)
        and joined_limit([*(part.payload for part in run), packet.payload]) <= MAX_PAYLOAD
    )


def _first(run: list[Packet]) -> Packet:
    """The packet that a run begins with, with the capture time of whichever in the run has one."""
    first = run[0]
    for packet in run:
        if packet.capture:
            later = timestamp_delta(packet.timestamp, first.timestamp)
            capture = (packet.capture - (later << 32) // CLOCK_RATE) & 0xFFFF_FFFF_FFFF_FFFF
            return Packet(first.sequence, first.timestamp, first.payload, first.marker, capture)
    return first
