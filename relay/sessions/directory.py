"""Whose datagram is it? Sessions by their own port, by checked source address, and by ICE user fragment."""

from __future__ import annotations

from collections import Counter

from loacodecs import stun
from loacodecs.address import Address
from relay.net import sockaddr
from relay.sessions.session import Session

SOURCES = 8
"""Addresses one session may own at a time; a phone that roams forever does not grow the table."""

HELD_S = 8.0
"""An address that media goes to, and that was heard from so lately, is nobody else's, though a check seems to prove it:
who forges a source would silence a publisher by one datagram, and one that never checks again (FFmpeg) for good. Who
only listens is heard from every 4 to 6 s (RFC 7675)."""


class Directory:
    """Finds sessions. `capacity` bounds what is remembered beyond them; what cannot be placed is counted in
    `refused`."""

    def __init__(self, capacity: int, refused: Counter[str]) -> None:
        self._capacity = capacity
        self._refused = refused
        self._by_source: dict[bytes, Session] = {}
        self._by_ufrag: dict[str, Session] = {}
        self._by_port: dict[int, Session] = {}
        self._addresses: dict[bytes, Address] = {}

    def add(self, session: Session) -> None:
        """Find `session` by its user fragment, or by its own port if it has one."""
        if session.kind == "pull" and session.port is not None:
            self._by_port[session.port.fd] = session
        else:
            self._by_ufrag[session.credentials.ufrag] = session

    def rename(self, session: Session) -> None:
        """Find the session by its new credentials, and by those before until the new are used."""
        session.ufrags.append(session.credentials.ufrag)
        self._by_ufrag[session.credentials.ufrag] = session
        while len(session.ufrags) > 2:
            self._by_ufrag.pop(session.ufrags.pop(0), None)

    def remove(self, session: Session) -> None:
        """Find it no more."""
        for ufrag in session.ufrags:
            self._by_ufrag.pop(ufrag, None)
        if session.kind == "pull" and session.port is not None:
            self._by_port.pop(session.port.fd, None)
        for source in session.sources:
            if self._by_source.get(source) is session:
                del self._by_source[source]

    def own(self, session: Session, source: bytes, now: float) -> bool:
        """Datagrams from `source` are `session`'s from now on, a check has proved it; False where it is in use.

        What goes to `source` leaves by the socket that the check came by. The address media goes to stays known.
        """
        before = self._by_source.get(source)
        if before is not None and before is not session and self._holds(before, source, now):
            self._refused["address_in_use"] += 1
            return False
        session.sources.pop(source, None)
        session.sources[source] = None
        if session.port is not None:
            session.ports[self.text(source)] = session.port
        self._by_source[source] = session
        if len(session.sources) > SOURCES:
            oldest = next(known for known in session.sources if self.text(known) != session.peer.remote)
            del session.sources[oldest]
            session.ports.pop(self.text(oldest), None)
            if self._by_source.get(oldest) is session:
                del self._by_source[oldest]
        return True

    def _holds(self, session: Session, source: bytes, now: float) -> bool:
        peer = session.peer
        return peer.remote == self.text(source) and now - peer.last_received < HELD_S

    def by_address(self, fd: int, source: bytes) -> Session | None:
        """The session that receives on socket `fd` alone, or that owns `source`."""
        return self._by_port.get(fd) or self._by_source.get(source)

    def find(self, fd: int, data: bytes, source: bytes) -> Session | None:
        """The session of a datagram that is not media: by port, by source address, for checks by user fragment."""
        session = self._by_port.get(fd)
        if session is not None:
            return session
        if data and data[0] < 4:
            username = stun.username_of(data)
            if username is None:
                self._refused["stun_malformed"] += 1
                return None
            session = self._by_ufrag.get(username.partition(":")[0])
            if session is None:
                self._refused["stun_unknown_user"] += 1
            return session
        session = self._by_source.get(source)
        if session is None:
            known = bool(data) and (20 <= data[0] <= 63 or 128 <= data[0] <= 191)
            self._refused["unchecked_address" if known else "malformed"] += 1
        return session

    def text(self, source: bytes) -> Address:
        """The text form of a packed address; the cache is emptied when it grows beyond what is alive."""
        known = self._addresses.get(source)
        if known is not None:
            return known
        if len(self._addresses) > 4 * self._capacity:
            self._addresses.clear()
        address = self._addresses[source] = sockaddr.unpack(source)
        return address
