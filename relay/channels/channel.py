"""A channel: one continuous Opus stream, alive whether or not a source is on air."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import NamedTuple

from loacodecs import rtp
from relay.channels.capture import CaptureClock
from relay.channels.history import PacketHistory
from relay.channels.ingest import Ingest
from relay.channels.renditions import Renditions
from relay.channels.timeline import Timeline
from relay.net.fanout import Group, Packet
from relay.net.forward import Expectation
from relay.net.kernel import MAX_PAYLOAD

CAPTURE_INTERVAL_S = 1.0
"""Packets carry abs-capture-time this often, and always after a splice; between, receivers count samples."""
SETTLING_INTERVAL_S = 0.25
"""The same while the capture clock settles, so that receivers follow it before they have begun to sound."""


class Received(NamedTuple):
    """What became of packets of a channel's sources."""

    lost: int = 0
    duplicates: int = 0
    late: int = 0
    nacks_sent: int = 0

    def and_of(self, ingest: Ingest) -> Received:
        """With another source's counts."""
        return Received(
            self.lost + ingest.lost,
            self.duplicates + ingest.duplicates,
            self.late + ingest.late,
            self.nacks_sent + ingest.nacks_sent,
        )


class Channel:
    """Decides what of its source goes out, and as which packet; sending is the caller's.

    `capacity` is the number of rows its group can hold, `history` how many packets can be retransmitted,
    `first_timestamp` a random 32-bit start (RFC 3550 §5.1).
    """

    def __init__(
        self, name: str, *, title: str = "", public: bool = False, origin: str = "", media_timeout: float =
        2.0, capacity: int = 5_000, history: int = 256, first_timestamp: int = 0,
    ) -> None:  # fmt: skip
        self.name = name
        self.title = title or name
        self.public = public
        self.origin = origin
        """The address the channel is pulled from, without secrets; empty for channels that are published
        to."""
        self.private = False
        """In no list, and reached through another channel only: the mix-minus of one who talks there."""
        self.media_timeout = media_timeout
        self.group = Group(capacity)
        self.history = PacketHistory(history)
        self.timeline = Timeline(first_timestamp)
        self.renditions = Renditions(
            self.timeline, self.group, self.history, capacity=capacity, remembered=history
        )
        """Group and history of the plain one are the channel's own."""
        self.capture = CaptureClock()
        self.source: Hashable | None = None
        """Who may feed the channel now; at most one."""
        self.source_since = 0.0
        self.last_packet = -1e9
        self.level_dbov: float | None = None
        self.capture_delay_s: float | None = None
        """How old the sound was when it arrived here: what relays before this one, and jitter, have cost."""
        self.packets_in = 0
        self.octets_in = 0
        self.sent: Counter[str] = Counter(plain=0)
        """Packets sent, by rendition."""
        self.switches = 0
        self.oversized = 0
        self.nacks_received = 0
        self.nacks_refused = 0
        self.retransmitted = 0
        self.taps: list[Callable[[Packet, float], None]] = []
        """Called with each packet and its arrival (monotonic) when it has gone out to the group's rows: renditions,
        recorders. With `group.prompt` that is at once, otherwise at the next tick."""
        self._received: tuple[Received, tuple[Ingest, ...]] = Received(), ()
        """The counts of sources that have left, and those that are connected; replaced whole, so that each is counted
        once, whoever looks."""
        self._prompt: list[Callable[[Packet, float], None]] = []
        self._capture_due = 0.0
        self._stated: tuple[Hashable, int, int, float] | None = None
        """What the source said of its clock before its first packet: source, SSRC, timestamp, unix seconds."""

    def tap(self, receive: Callable[[Packet, float], None], *, prompt: bool = True) -> None:
        """Give each packet to `receive` as soon as it has gone out; without `prompt` at the next tick will do, which
        saves the interpreter a wake-up for each."""
        self.taps.append(receive)
        if prompt:
            self._prompt.append(receive)
            self.group.prompt = True

    def untap(self, receive: Callable[[Packet, float], None]) -> None:
        """Give `receive` no more packets."""
        self.taps.remove(receive)
        if receive in self._prompt:
            self._prompt.remove(receive)
        self.group.prompt = bool(self._prompt)

    @property
    def reached_as(self) -> str:
        """The channel in the addresses of its sessions: its name, or for a private one that of the channel it is part
        of."""
        return self.name.partition("~")[0]

    @property
    def packets_out(self) -> int:
        """Packets sent, of all renditions."""
        return sum(dict(self.sent).values())

    def on_air(self, now: float) -> bool:
        """Whether packets came within the media timeout."""
        return now - self.last_packet <= self.media_timeout

    def free_for(self, source: Hashable, now: float) -> bool:
        """Whether `source` may feed the channel: nobody does, or who did has fallen silent."""
        if self.source is None or self.source == source:
            return True
        return now - max(self.last_packet, self.source_since) > self.media_timeout

    def admit(self, ingest: Ingest) -> None:
        """Count what comes by `ingest`, from now until its source is released."""
        gone, there = self._received
        self._received = gone, (*there, ingest)

    @property
    def received(self) -> Received:
        """The counts of all sources so far. From any thread."""
        counts, there = self._received
        for ingest in there:
            counts = counts.and_of(ingest)
        return counts

    @property
    def sources(self) -> int:
        """How many sources are connected, on air or not. From any thread."""
        return len(self._received[1])

    def take(self, source: Hashable, now: float) -> None:
        """Make `source` the one that feeds the channel."""
        self.source = source
        self.source_since = now
        self._stated = None
        self.group.revoke()

    def release(self, source: Hashable, ingest: Ingest) -> None:
        """`source` feeds the channel no more; listeners stay, and what its ingest counted."""
        ingest.end()
        gone, there = self._received
        self._received = gone.and_of(ingest), tuple(each for each in there if each is not ingest)
        if self.source == source:
            self.source = None
            self.level_dbov = None
            self.group.revoke()

    def on_packet(
        self, source: Hashable, ingest: Ingest, packet: rtp.RtpPacket, now: float, arrival: float
    ) -> Packet | None:
        """What to send to the group for a packet of `source`, or None.

        `now` is monotonic, `arrival` unix seconds. A source that fell silent and lost the channel meanwhile
        is not heard; one that comes back to a free channel is.
        """
        if self.source != source:
            if not self.free_for(source, now):
                return None
            self.take(source, now)
        if len(packet.payload) > MAX_PAYLOAD or not packet.payload:
            self.oversized += 1
            return None
        if not ingest.accept(packet, now):
            return None
        position = self.timeline.place(source, packet.ssrc, packet.sequence, packet.timestamp, now)
        if position is None:
            return None
        if position.spliced:
            self._begin_anew(source, packet.ssrc)
        self._follow(ingest, packet, position.timestamp, now, arrival)
        capture = 0
        if now >= self._capture_due:
            settling = self.capture.settling(arrival)
            self._capture_due = now + (SETTLING_INTERVAL_S if settling else CAPTURE_INTERVAL_S)
            captured = self.capture.capture(position.timestamp)
            if captured is not None:
                capture = rtp.ntp_from_unix(captured)
                self.capture_delay_s = arrival - captured
        out = Packet(
            position.sequence,
            position.timestamp,
            packet.payload,
            packet.marker or position.spliced,
            capture,
        )
        self.history.add(position.sequence, out)
        return out

    def expect(self, source: Hashable, ingest: Ingest) -> Expectation | None:
        """What the next packet of `source` is, and becomes, if nothing is out of the ordinary; None if something is:
        packets are missing, the channel is somebody else's, or the newest packet was not of this source."""
        following = self.timeline.following(source, ingest.ssrc) if ingest.ssrc is not None else None
        if following is None or ingest.ssrc is None or self.source != source or ingest.waiting:
            return None
        sequence, timestamp, position, base = following
        if ingest.following != sequence:
            return None
        return Expectation(ingest.ssrc, sequence, timestamp, position, base, self._capture_due)

    def on_divergence(self, sent: Packet, booked: Packet | None) -> None:
        """`sent` went out, but is `booked` under other numbers. What was sent under a number is what is sent under it
        again, and the number serves no other packet: the same nonce over other bytes would give the key away
        (RFC 7714 §8.1)."""
        if booked is not None:
            self.history.forget(booked.sequence)
        self.history.add(sent.sequence, sent)
        self.timeline.skip(sent.sequence, sent.timestamp)
        self.group.revoke()

    def on_sender_report(self, source: Hashable, ssrc: int, timestamp: int, captured: float) -> None:
        """An upstream relay's sender report: `timestamp` of its stream was captured at `captured` (unix
        seconds). The first comes before the first packet, whose place in the channel is not known yet."""
        if source != self.source:
            return
        mine = self.timeline.translate(source, ssrc, timestamp)
        if mine is not None:
            self.capture.on_statement(mine, captured)
        else:
            self._stated = source, ssrc, timestamp, captured

    def _begin_anew(self, source: Hashable, ssrc: int) -> None:
        """Of what follows a splice only the source itself can have told the capture time so far."""
        self.switches += 1
        self.capture.reset()
        self._capture_due = 0.0
        if self._stated is not None and self._stated[:2] == (source, ssrc):
            self.on_sender_report(*self._stated)
        self._stated = None

    def _follow(
        self, ingest: Ingest, packet: rtp.RtpPacket, timestamp: int, now: float, arrival: float
    ) -> None:
        self.last_packet = now
        self.level_dbov = ingest.level_dbov
        self.packets_in += 1
        self.octets_in += len(packet.payload)
        captured = ingest.captured(packet)
        if captured is not None:
            self.capture.on_statement(timestamp, captured)
        else:
            self.capture.on_arrival(timestamp, arrival, arrival - now)
