"""Hands the upkeep of connected listeners to the kernel, and takes back what the kernel learnt."""

from __future__ import annotations

from loacodecs import rtcp
from relay.net.upkeep import Upkeep, UpkeepTable
from relay.sessions.listener import Listener
from relay.sessions.session import Port, Session

QUIET_S = 12.0
"""Peers check every four to six seconds (RFC 7675 §5.1); one that was not heard for two such times is looked at."""

QUIET_CHECKS = 2.0
"""One that has said it checks more rarely is looked at after so many of its own times."""


class Keeper:
    """Keeps the upkeep table in step with the listeners' sessions; `capacity` is how many it can hold.

    A session that finds no place, or whose credentials are changing, is simply kept up by the Python code.
    """

    def __init__(self, capacity: int) -> None:
        self.table = UpkeepTable(capacity)
        self.upkeep = Upkeep(self.table)
        self._slots: dict[str, int] = {}
        self._sessions: dict[int, Session] = {}

    def admit(self, listener: Listener, now: float) -> bool:
        """Let the kernel answer the listener's checks and read its reports; whether it can."""
        session = listener.session
        peer = session.peer
        if not self.upkeep.available or peer.remote is None or peer.state != "connected":
            return False
        port = session.port_to(peer.remote)
        if port is None:
            return False
        slot = self.table.add(
            port.pack(peer.remote),
            f"{session.credentials.ufrag}:{session.remote_ufrag}",
            session.credentials.pwd,
            ssrc=listener.ssrc,
            opener=peer.opener.handle,
            patience=max(QUIET_S, QUIET_CHECKS * session.idle_s),
            now=now,
        )
        if slot is None:
            return False
        self._slots[session.id] = slot
        self._sessions[slot] = session
        return True

    def moved(self, session: Session, port: Port) -> None:
        """The session's peer nominated another address."""
        slot = self._slots.get(session.id)
        if slot is not None and session.peer.remote is not None:
            self.table.move(slot, port.pack(session.peer.remote))

    def dismiss(self, session: Session) -> None:
        """Take the session back: it ended, or its credentials change."""
        slot = self._slots.pop(session.id, None)
        if slot is not None:
            self.table.remove(slot)
            del self._sessions[slot]

    def heard_rtcp(self, session: Session, packets: list[rtcp.Packet]) -> None:
        """RTCP that Python opened: from now on the kernel opens what this sender sends."""
        slot = self._slots.get(session.id)
        if slot is None or not packets:
            return
        first = packets[0]
        if isinstance(first, rtcp.ReceiverReport | rtcp.SenderReport):
            self.table.trust(slot, first.ssrc)

    def tell(self, session: Session | None) -> None:
        """Tell the session's peer when the kernel last heard it, if the kernel keeps it up."""
        slot = None if session is None else self._slots.get(session.id)
        if session is not None and slot is not None:
            session.peer.note_authentic(self.table.heard(slot))

    def quiet(self, now: float) -> list[Session]:
        """Sessions of whose peers the kernel heard nothing for some time; the peers are told when they last did."""
        found = []
        for slot in self.table.quiet(now):
            session = self._sessions[slot]
            self.tell(session)
            found.append(session)
        return found

    def read_report(self, listener: Listener) -> None:
        """Tell the listener what its newest report said."""
        slot = self._slots.get(listener.session.id)
        report = self.table.report(slot) if slot is not None else None
        if report is not None:
            listener.note(report.fraction_lost, report.packets_lost, report.jitter)
