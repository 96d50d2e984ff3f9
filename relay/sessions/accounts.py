"""Arms sources for the compiled way of a packet, and books what went that way.

A packet that compiled code forwarded is given to its publisher just as if it came now, at the time it came, but is not
sent again: so duplicates, losses, levels, capture times and the history are kept by the same code whichever way a
packet went (docs/adr/007).
"""

from __future__ import annotations

from collections.abc import Callable

from relay.channels.channel import Channel
from relay.net.fanout import Packet, Sent
from relay.net.forward import Entry, SourceTable
from relay.sessions.publisher import Publisher
from relay.sessions.session import Session

OnSent = Callable[[Channel, Packet, Sent, float, float], None]


class Accounts:
    """Keeps the source table in step with the publishers. `on_sent` gets the channel, the packet, what became of it,
    seconds of sending, and when it came (monotonic)."""

    def __init__(self, sources: SourceTable, on_sent: OnSent) -> None:
        self.booked = 0
        self.mismatches = 0
        """Packets that were sent under other numbers than the books give them; there should be none."""
        self._sources = sources
        self._on_sent = on_sent
        self._slots: dict[str, tuple[int, bytes, int]] = {}
        self._publishers: dict[int, Publisher] = {}

    def arm(self, publisher: Publisher, source: bytes, fd: int) -> None:
        """Let the kernel forward what the publisher sends from `source` to socket `fd`, if its next packet is known.

        To be called when a packet from there has been dealt with, and found authentic.
        """
        session = publisher.session
        channel, peer = session.channel, session.peer
        expected = channel.expect(publisher, publisher.ingest)
        if expected is None or session.closed or peer.state != "connected" or peer.keys is None:
            return
        slot = self._slot(publisher, source, fd)
        if slot is not None:
            self._sources.arm(
                slot,
                expected,
                channel.group,
                session=peer.opener.handle,
                tag=peer.keys.profile.tag_length,
                payload_type=publisher.payload_type,
            )

    def pause(self, session: Session) -> None:
        """Leave what the session sends to Python until it is armed again."""
        known = self._slots.get(session.id)
        if known is not None:
            self._sources.disarm(known[0])

    def dismiss(self, session: Session) -> None:
        """Forget the session; it ended."""
        self.collect(session)
        known = self._slots.pop(session.id, None)
        if known is not None:
            self._sources.remove(known[0])
            del self._publishers[known[0]]

    def collect(self, session: Session) -> None:
        """Tell the session's peer what the kernel refused since the last time."""
        known = self._slots.get(session.id)
        if known is None:
            return
        reasons = ("srtp_authentication", "srtp_replay", "malformed")
        for reason, count in zip(reasons, self._sources.refused(known[0]), strict=True):
            if count:
                session.peer.refused[reason] += count

    def settle(self) -> None:
        """Book everything that was sent."""
        for entry in self._sources.take():
            self._book(self._publishers[entry.slot], entry)

    def _book(self, publisher: Publisher, entry: Entry) -> None:
        channel = publisher.session.channel
        self.booked += 1
        publisher.session.peer.note_authentic(entry.now)
        packet = None
        try:
            packet = publisher.on_rtp(entry.packet, entry.now, entry.arrival)
        finally:
            if packet is None or not _is_as_sent(packet, entry):
                self.mismatches += 1
                self._sources.disarm(entry.slot)
                booked, packet = packet, _as_sent(entry)
                channel.on_divergence(packet, booked)
        self._on_sent(channel, packet, entry.outcome, entry.seconds, entry.now)

    def _slot(self, publisher: Publisher, source: bytes, fd: int) -> int | None:
        session = publisher.session
        known = self._slots.get(session.id)
        if known is not None:
            if known[1:] == (source, fd):
                return known[0]
            self.dismiss(session)
        slot = self._sources.add(source, fd)
        if slot is not None:
            self._slots[session.id] = slot, source, fd
            self._publishers[slot] = publisher
        return slot


def _is_as_sent(packet: Packet, entry: Entry) -> bool:
    numbers = (packet.sequence, packet.timestamp, packet.marker, packet.capture)
    return numbers == (entry.sequence, entry.timestamp, entry.marker, 0)


def _as_sent(entry: Entry) -> Packet:
    return Packet(entry.sequence, entry.timestamp, entry.payload, entry.marker)
