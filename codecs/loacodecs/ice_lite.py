"""ICE-lite: the side that has public addresses and only answers checks (RFC 8445 §2.5, RFC 7675).

A request is answered when its USERNAME is ours and theirs and its MESSAGE-INTEGRITY verifies; to everything else
the server is silent, so it cannot be used to reflect traffic. A lite agent is always controlled, so a peer
that thinks it is controlled too is answered like any other (RFC 8445 §7.3.1.1 has no lite-with-conflict case).
"""

from __future__ import annotations

from typing import NamedTuple

from . import stun, stun_check
from .address import Address
from .errors import MalformedError

# Addresses remembered as checked; a peer with more (a phone changing networks) loses its oldest.
MAX_CHECKED = 16


class Credentials(NamedTuple):
    """One generation of user name fragments, and the password that signs checks to us."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials({self.username!r})"

    @property
    def name(self) -> bytes:
        """The user name as it is on the wire."""
        return self.username.encode()

    @property
    def key(self) -> bytes:
        """The key of MESSAGE-INTEGRITY."""
        return self.password.encode()


class IceLite:
    """Answers checks and knows where the peer is. `receive` gives back a refusal's reason or None."""

    __slots__ = ("_checked", "_current", "_previous", "last_check", "outgoing", "remote")

    def __init__(self, *, ufrag: str, pwd: str, remote_ufrag: str) -> None:
        self._current = Credentials(f"{ufrag}:{remote_ufrag}", pwd)
        self._previous: Credentials | None = None
        self._checked: dict[Address, None] = {}
        #: Where the peer nominated last (USE-CANDIDATE), or None before.
        self.remote: Address | None = None
        #: When the last authentic check came, or None.
        self.last_check: float | None = None
        #: Datagrams to send; the owner drains it after every call.
        self.outgoing: list[tuple[bytes, Address]] = []

    def receive(self, now: float, data: bytes, addr: Address) -> str | None:
        """Take in one STUN message."""
        current = self._current
        quick = stun_check.answer(data, current.name, current.key, addr)
        if quick is not None:
            self._previous = None
            self._accept(now, addr, quick.nominates)
            self.outgoing.append((quick.data, addr))
            return None
        try:
            message = stun.parse(data)
        except MalformedError:
            return "stun_malformed"
        if message.kind is not stun.Class.REQUEST:
            # Indications keep a binding alive and want no answer; responses cannot be ours, we never ask.
            return None if message.kind is stun.Class.INDICATION else "stun_integrity"
        credentials = self._credentials_for(message)
        if credentials is None:
            return "stun_integrity"
        self._accept(now, addr, message.nominates)
        answer = stun.binding_response(message.transaction_id, addr, credentials.password)
        self.outgoing.append((answer, addr))
        return None

    def _accept(self, now: float, addr: Address, nominates: bool) -> None:
        self.last_check = now
        self._remember(addr)
        if nominates:
            self.remote = addr

    def is_checked(self, addr: Address) -> bool:
        """Tell whether an authentic check came from `addr`."""
        return addr in self._checked

    def restart(self, *, ufrag: str, pwd: str, remote_ufrag: str) -> None:
        """Take new credentials (RFC 8445 §9); the old ones and the old path serve until the new are used."""
        self._previous = self._current
        self._current = Credentials(f"{ufrag}:{remote_ufrag}", pwd)

    def _credentials_for(self, message: stun.Message) -> Credentials | None:
        for credentials in (self._current, self._previous):
            if credentials is None or message.username != credentials.username:
                continue
            if message.verify(credentials.password):
                if credentials is self._current:
                    self._previous = None
                return credentials
        return None

    def _remember(self, addr: Address) -> None:
        self._checked.pop(addr, None)
        self._checked[addr] = None
        if len(self._checked) > MAX_CHECKED:
            oldest = next(known for known in self._checked if known != self.remote)
            del self._checked[oldest]
