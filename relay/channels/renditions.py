"""A channel's renditions: its packets as one class of link wants them, built once for all who hear them.

A *stream* is one numbering of the channel's sound: the packets as the source made them, or joined to 40 or
60 ms. In a stream there are renditions: the stream's packets themselves, and RED ones that repeat the packets
before (RFC 2198). Renditions of one stream share its sequence and timestamps, so a listener can be moved
between them from one packet to the next and its SRTP index goes on; each has a history of its own, since under
one number each has its own octets.

What nobody hears is not built. Only the plain rendition is always there, and it is the channel's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from loacodecs import red
from loacodecs.rtp import sequence_delta, timestamp_delta
from relay.channels.history import PacketHistory
from relay.channels.packing import Packing
from relay.channels.timeline import CLOCK_RATE
from relay.net.fanout import Group, Packet
from relay.net.kernel import MAX_PAYLOAD

PACKET_TIMES_MS = (40, 60)
"""Lengths a listener may ask for; beyond 60 ms headers weigh little and a lost packet much."""

RECALLED = 100
"""Packets from before a stream that it begins with at most: one second in packets of 10 ms."""

REPEATED_MAX = 16
"""Forms of RED of one stream: each costs the media thread 15 µs a packet and more, however few hear it. Browsers and
receivers number Opus in half a dozen ways; who finds no place hears the plain rendition, which every answer allows."""

MAX_REDUNDANCY = 2
"""Of independent loss p, RED-1 leaves p² and RED-2 p³; more repeats cost more than they save."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a rendition's packets look like.

    `ptime_ms` 0: as long as the source's. `redundancy`: how many packets before are repeated, 0 for none.
    `opus`: the Opus payload type written into RED blocks, 0 without redundancy; listeners that number Opus
    differently cannot share RED payloads.
    """

    ptime_ms: int = 0
    redundancy: int = 0
    opus: int = 0

    def __str__(self) -> str:
        parts = [f"{self.ptime_ms}ms"] if self.ptime_ms else []
        parts += [f"red-{self.redundancy}"] if self.redundancy else []
        return "-".join(parts) or "plain"


PLAIN = Form()


class Rendition:
    """One form of the channel's packets, the rows that hear it, and what they were sent last."""

    __slots__ = ("form", "group", "history", "stream")

    def __init__(self, form: Form, stream: Numbering, group: Group, history: PacketHistory) -> None:
        self.form = form
        self.stream = stream
        self.group = group
        self.history = history


class Numbers(Protocol):
    """Who numbers the packets of a stream: the channel's timeline, or a packing."""

    sequence: int
    """Extended sequence of the newest packet, -1 before the first."""


class Numbering:
    """Of a stream, as its renditions know it: in a circle with the stream itself they would never be collected."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    @property
    def newest(self) -> int:
        """Extended sequence of the newest packet, -1 before the first."""
        return self._numbers.sequence

    def extend(self, sequence: int) -> int:
        """The extended number of a 16-bit sequence of this stream near its newest packet."""
        newest = self.newest
        return newest + sequence_delta(sequence, newest & 0xFFFF)


class Stream:
    """A numbering of the channel's packets: `plain` has them as they are, `repeated` as RED."""

    __slots__ = ("numbering", "packing", "plain", "repeated")

    def __init__(self, ptime_ms: int, numbers: Numbers, group: Group, history: PacketHistory) -> None:
        self.numbering = Numbering(numbers)
        self.packing = numbers if isinstance(numbers, Packing) else None
        self.plain = Rendition(Form(ptime_ms), self.numbering, group, history)
        self.repeated: dict[Form, Rendition] = {}

    def repeat(self, packet: Packet) -> Iterator[tuple[Rendition, Packet]]:
        """The RED forms of a packet that is in the plain rendition's history; they are remembered."""
        for rendition in self.repeated.values():
            if packet.sequence in rendition.history:  # never other octets under one number (RFC 7714 §8.1)
                continue
            built = repeat(packet, self.plain.history, rendition.form)
            if built is not None:
                rendition.history.add(built.sequence, built)
                yield rendition, built


class Renditions:
    """All renditions of a channel. The plain one is the channel's own: it numbers, remembers and sends it.

    `group` and `history` are the plain rendition's, `timeline` numbers it. `capacity` rows fit every other
    group, `remembered` packets of each can be retransmitted.
    """

    def __init__(
        self, timeline: Numbers, group: Group, history: PacketHistory, *, capacity: int, remembered: int
    ) -> None:
        self._capacity = capacity
        self._remembered = remembered
        source = Stream(0, timeline, group, history)
        self._streams = {0: source}
        self.plain = source.plain

    def __iter__(self) -> Iterator[Rendition]:
        """All there are, the plain one first."""
        for stream in list(self._streams.values()):
            yield stream.plain
            yield from list(stream.repeated.values())

    @property
    def active(self) -> bool:
        """Whether there is any besides the plain one, so that packets must be fed as soon as they come."""
        return len(self._streams) > 1 or bool(self._streams[0].repeated)

    @property
    def listeners(self) -> int:
        """Rows of all groups."""
        return sum(rendition.group.count for rendition in self)

    def open(self, form: Form, recalled_at: float | None = None) -> Rendition:
        """The rendition of that form, made if nobody has heard it so far; `close` it when nobody does. The plain one
        of the stream where there are `REPEATED_MAX` others.

        With `recalled_at`, the time now (monotonic seconds), a stream that is made remembers what was sent in the
        last second as if somebody had heard it: for listeners who want that first.
        """
        stream = self._streams.get(form.ptime_ms)
        if stream is None:
            packing = Packing(form.ptime_ms)
            stream = self._streams[form.ptime_ms] = Stream(
                form.ptime_ms, packing, Group(self._capacity), PacketHistory(self._remembered)
            )
            if recalled_at is not None:
                for packet in self._recent():
                    for _ in self._packed(stream, packing.feed(packet, recalled_at)):
                        pass  # remembered, and heard by nobody
        if not form.redundancy:
            return stream.plain
        found = stream.repeated.get(form)
        if found is None and len(stream.repeated) >= REPEATED_MAX:
            return stream.plain
        if found is None:
            found = Rendition(form, stream.numbering, Group(self._capacity), PacketHistory(self._remembered))
            stream.repeated[form] = found
        return found

    def close(self, rendition: Rendition) -> None:
        """Build `rendition` no more if nobody hears it; a stream ends with the last of its listeners."""
        stream = self._streams.get(rendition.form.ptime_ms)
        if stream is None or stream.numbering is not rendition.stream:
            return
        if not rendition.group.count:
            stream.repeated.pop(rendition.form, None)
        if stream.packing is not None and not stream.plain.group.count and not stream.repeated:
            self._streams.pop(rendition.form.ptime_ms, None)

    def feed(self, packet: Packet, now: float) -> list[tuple[Rendition, Packet]]:
        """What to send besides, now (monotonic seconds) that the channel has remembered and sent `packet`."""
        out: list[tuple[Rendition, Packet]] = []
        for stream in self._streams.values():
            if stream.packing is None:
                out += stream.repeat(packet)
            else:
                out += self._packed(stream, stream.packing.feed(packet, now))
        return out

    def deadline(self) -> float | None:
        """When `due` will have something to say (monotonic seconds), None when it will not."""
        moments = (stream.packing.deadline for stream in self._streams.values() if stream.packing is not None)
        return min((moment for moment in moments if moment is not None), default=None)

    def due(self, now: float) -> list[tuple[Rendition, Packet]]:
        """What was held back for a packet that did not come."""
        out: list[tuple[Rendition, Packet]] = []
        for stream in self._streams.values():
            if stream.packing is not None:
                out += self._packed(stream, stream.packing.due(now))
        return out

    def _recent(self) -> Iterator[Packet]:
        """The newest second of the plain rendition, in order."""
        newest = self.plain.stream.newest
        last = self.plain.history.get(newest)
        for sequence in range(max(0, newest - RECALLED + 1), newest + 1):
            packet = self.plain.history.get(sequence)
            if packet is None or last is None:
                continue
            if timestamp_delta(last.timestamp, packet.timestamp) < CLOCK_RATE:
                yield packet

    def _packed(self, stream: Stream, packets: Sequence[Packet]) -> Iterator[tuple[Rendition, Packet]]:
        for packet in packets:
            stream.plain.history.add(packet.sequence, packet)
            yield stream.plain, packet
            yield from stream.repeat(packet)


def repeat(packet: Packet, before: PacketHistory, form: Form) -> Packet | None:
    """`packet` as RED with the `form.redundancy` packets before it, as far as `before` has them.

    A packet that never came, or lies more than 341 ms back, is left out. None when the primary itself leaves no
    room for a header.
    """
    earlier = (before.get(packet.sequence - back) for back in range(form.redundancy, 0, -1))
    blocks = [
        red.Block(form.opus, timestamp_delta(packet.timestamp, other.timestamp), other.payload)
        for other in earlier
        if other is not None
    ]
    payload = red.build([*blocks, red.Block(form.opus, 0, packet.payload)], MAX_PAYLOAD)
    if len(payload) > MAX_PAYLOAD:
        return None
    return Packet(packet.sequence, packet.timestamp, payload, packet.marker, packet.capture)


def choose(wished: Form, allowed: Iterable[str]) -> Form:
    """The form nearest to `wished` of which every part is in `allowed` ("40ms", "60ms", "red-1", "red-2").

    A packet time that is not allowed becomes the source's, a redundancy that is not allowed the next smaller.
    """
    names = frozenset(allowed)
    ptime_ms = wished.ptime_ms if f"{wished.ptime_ms}ms" in names else 0
    redundancy = min(wished.redundancy, MAX_REDUNDANCY)
    while redundancy and f"red-{redundancy}" not in names:
        redundancy -= 1
    return Form(ptime_ms, redundancy, wished.opus if redundancy else 0)
