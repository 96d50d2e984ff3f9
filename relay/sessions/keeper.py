"""Hands the upkeep of connected sessions to the kernel, and takes back what the kernel learnt."""

from __future__ import annotations

from loacodecs import rtcp
from relay.net.upkeep import Upkeep, UpkeepTable
from relay.sessions.listener import Listener
from relay.sessions.session import Port, Session


class Keeper:
    """Keeps the upkeep table in step with the sessions; `capacity` is how many it can hold.

    A session that finds no place, or whose credentials are changing, is simply kept up by the Python code.
    """

    def __init__(self, capacity: int) -> None:
        self.table = UpkeepTable(capacity)
        self.upkeep = Upkeep(self.table)
        self._slots: dict[str, int] = {}

    def admit(self, session: Session, listener: Listener | None, now: float) -> None:
        """Let the kernel answer the session's checks and, for a listener, read its reports."""
        peer, port = session.peer, session.port
        if not self.upkeep.available or session.kind == "pull" or peer.remote is None or port is None:
            return
        if session.id in self._slots or peer.state != "connected":
            return
        opener = peer.opener.handle if listener is not None else 0
        slot = self.table.add(
            port.pack(peer.remote),
            f"{session.credentials.ufrag}:{session.remote_ufrag}",
            session.credentials.pwd,
            ssrc=listener.ssrc if listener is not None else 0,
            opener=opener,
            now=now,
        )
        if slot is not None:
            self._slots[session.id] = slot

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

    def heard_rtcp(self, session: Session, packets: list[rtcp.Packet]) -> None:
        """RTCP that Python opened: from now on the kernel opens what this sender sends."""
        slot = self._slots.get(session.id)
        if slot is None or not packets:
            return
        first = packets[0]
        if isinstance(first, rtcp.ReceiverReport | rtcp.SenderReport):
            self.table.trust(slot, first.ssrc)

    def refresh(self, session: Session, listener: Listener | None) -> None:
        """Tell the session what the kernel heard of its peer."""
        slot = self._slots.get(session.id)
        if slot is None:
            return
        session.peer.note_authentic(self.table.heard(slot))
        report = self.table.report(slot)
        if listener is not None and report is not None:
            listener.note(report.fraction_lost, report.packets_lost, report.jitter)
