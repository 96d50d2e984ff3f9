"""ICE as the side that offers: one local socket, its own checks, nomination and consent (RFC 8445, RFC 7675).

It controls, and turns controlled only if a full agent on the other side wins a role conflict. There is one
local base (the socket), so that a remote candidate is a pair. Checks start 50 ms apart, highest priority first.
The first valid pair is nominated at once when nothing better is still unanswered, otherwise after 100 ms.

An unanswered check is repeated every 100 ms for a second, then with waits that grow by a quarter to 2 s, not after
500 ms with doubled ones as RFC 8445 §14.3 has it: a burst that loses five packets in a row would keep live sound away
for 8 s. Each repetition is a transaction of its own, so that whichever is answered tells the round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from . import stun
from .address import Address
from .candidate import Candidate
from .errors import MalformedError

PACING = 0.05
FIRST_WAIT = 0.1
EAGER_REPETITIONS = 10
WAIT_GROWTH = 1.25
LONGEST_WAIT = 2.0
MAX_TRANSMISSIONS = 32
NOMINATION_PATIENCE = 0.1
CONSENT_INTERVAL = 5.0
MAX_PAIRS = 40

# Priority of the candidate a peer would learn from our checks (RFC 8445 §7.1.1): peer-reflexive, best local.
_REFLEXIVE_PRIORITY = (110 << 24) | (65535 << 8) | 255
_TIE_BREAKERS = 2**64


@dataclass(slots=True, eq=False)
class _Pair:
    """A remote address to reach. `state`: "waiting", "checking", "valid" or "failed"."""

    address: Address
    priority: int
    state: str = "waiting"
    #: As controlled: the peer nominated it before our own check succeeded.
    nominated: bool = False


@dataclass(slots=True, eq=False)
class _Transaction:
    """One of our requests on its way. `purpose`: "check", "nominate" or "consent".

    `sent` has the moment of each repetition by its transaction ID, `wait` is the pause before the next one.
    """

    pair: _Pair
    purpose: str
    due: float
    wait: float
    sent: dict[bytes, float] = field(default_factory=dict)


class IceClient:
    """A full ICE agent for one component on one socket. `receive` gives back a refusal's reason or None."""

    def __init__(
        self, *, ufrag: str, pwd: str, random: Callable[[int], bytes], consent_timeout: float
    ) -> None:
        self._random = random
        self._consent_timeout = consent_timeout
        self._consent_interval = CONSENT_INTERVAL
        self._consent_since = 0.0
        self._ufrag, self._pwd = ufrag, pwd
        self._remote_ufrag = self._remote_pwd = ""
        self._remote_lite = False
        self._tie_breaker = int.from_bytes(random(8), "big")
        self._pairs: dict[Address, _Pair] = {}
        self._triggered: list[_Pair] = []
        self._transactions: dict[bytes, _Transaction] = {}
        self._checked: dict[Address, None] = {}
        self._next_check = 0.0
        self._first_valid: float | None = None
        self._selected: _Pair | None = None
        self._next_consent: float | None = None
        #: When the last authentic response to a check of the selected pair came.
        self.last_check: float | None = None
        self._alive = 0.0
        #: Seconds from the last check that was answered to its answer; a repeated check is not measured.
        self.round_trip: float | None = None
        self.controlling = True
        #: Where media goes: the nominated pair, or the one being nominated.
        self.remote: Address | None = None
        self.consent_lost = False
        #: Datagrams to send; the owner drains it after every call.
        self.outgoing: list[tuple[bytes, Address]] = []

    @property
    def nominated(self) -> bool:
        """Whether a pair is selected."""
        return self._selected is not None

    def set_remote(self, ufrag: str, pwd: str, candidates: Iterable[Candidate], *, lite: bool) -> None:
        """Learn whom to check; checks that came earlier are answered by triggered checks now."""
        self._remote_ufrag, self._remote_pwd, self._remote_lite = ufrag, pwd, lite
        self.add_candidates(candidates)
        if not lite:
            for address in list(self._checked):
                self._trigger(address, 0)

    def add_candidates(self, candidates: Iterable[Candidate]) -> None:
        """Try further addresses (trickle)."""
        for candidate in candidates:
            if candidate.address not in self._pairs and len(self._pairs) < MAX_PAIRS:
                self._pairs[candidate.address] = _Pair(candidate.address, candidate.priority)

    def restart(self, *, ufrag: str, pwd: str, remote_ufrag: str, remote_pwd: str) -> None:
        """Begin a new generation (RFC 8445 §9): media keeps its path until a pair of the new one is selected."""
        self._ufrag, self._pwd = ufrag, pwd
        self._remote_ufrag, self._remote_pwd = remote_ufrag, remote_pwd
        for pair in self._pairs.values():
            pair.state, pair.nominated = "waiting", False
        self._triggered.clear()
        self._transactions.clear()
        self._first_valid = self._selected = self._next_consent = None
        self._next_check = 0.0

    def set_consent(self, now: float, *, interval: float, timeout: float) -> None:
        """Ask for consent every `interval` seconds from now on, beginning at once, and wait `timeout` for it.

        The time without an answer counts from now, however long the pauses were before.
        """
        self._consent_interval, self._consent_timeout = interval, timeout
        self._consent_since = now
        if self._next_consent is not None:
            self._next_consent = now

    def note_alive(self, now: float) -> None:
        """The peer sent authentic media: consent is not lost while it does, though the answers to checks may be.

        That is wider than RFC 7675 §5.1, which takes answers alone; who seals media with the session's keys is there.
        """
        self._alive = max(self._alive, now)

    def is_checked(self, addr: Address) -> bool:
        """Tell whether `addr` answered a check of ours or sent an authentic one."""
        return addr in self._checked

    def next_deadline(self) -> float | None:
        """When `on_timeout` has something to do, or None."""
        moments = [transaction.due for transaction in self._transactions.values()]
        if self._wants_check():
            moments.append(self._next_check)
        if self._first_valid is not None and self._selected is None and self._may_nominate():
            moments.append(self._first_valid + NOMINATION_PATIENCE)
        if self._selected is not None and self._next_consent is not None:
            moments.append(self._next_consent)
            moments.append(self._consent_end())
        return min(moments, default=None)

    def on_timeout(self, now: float) -> None:
        """Retransmit, start checks, nominate, renew consent; whatever is due at `now`."""
        for transaction in [t for t in self._open() if t.due <= now]:
            self._retransmit(now, transaction)
        if self._wants_check() and now >= self._next_check:
            self._check(now, self._next_pair(), "check")
            self._next_check = now + PACING
        self._consider_nomination(now)
        self._renew_consent(now)

    def receive(self, now: float, data: bytes, addr: Address) -> str | None:
        """Take in one STUN message."""
        try:
            message = stun.parse(data)
        except MalformedError:
            return "stun_malformed"
        if message.kind is stun.Class.INDICATION:
            return None
        if message.kind is stun.Class.REQUEST:
            return self._on_request(now, message, addr)
        return self._on_response(now, message, addr)

    def _on_request(self, now: float, message: stun.Message, addr: Address) -> str | None:
        ours, _, theirs = (message.username or "").partition(":")
        if ours != self._ufrag or (self._remote_ufrag and theirs != self._remote_ufrag):
            return "stun_integrity"
        if not message.verify(self._pwd):
            return "stun_integrity"
        if self._keeps_role(message):
            self.outgoing.append((stun.role_conflict(message.transaction_id, self._pwd), addr))
            return None
        self.outgoing.append((stun.binding_response(message.transaction_id, addr, self._pwd), addr))
        self._remember(addr)
        if self._remote_ufrag and not self._remote_lite:
            pair = self._trigger(addr, message.priority)
            if pair is not None and message.nominates and not self.controlling:
                pair.nominated = True
                if pair.state == "valid":
                    self._select(now, pair)
        return None

    def _keeps_role(self, message: stun.Message) -> bool:
        """Resolve a role conflict (RFC 8445 §7.3.1.1); true when the other side has to switch."""
        theirs = message.controlling if self.controlling else message.controlled
        if theirs is None or self._remote_lite:
            return False
        we_win = self._tie_breaker >= theirs
        if self.controlling == we_win:
            return True
        self._switch_role()
        return False

    def _switch_role(self) -> None:
        self.controlling = not self.controlling

    def _on_response(self, now: float, message: stun.Message, addr: Address) -> str | None:
        transaction = self._transactions.get(message.transaction_id)
        if transaction is None and message.verify(self._remote_pwd):
            return None  # the answer to a repetition of what was answered already
        # Not from where the request went: a non-symmetric path, unusable (RFC 8445 §7.2.5.2.1).
        if transaction is None or addr != transaction.pair.address or not message.verify(self._remote_pwd):
            return "stun_integrity"
        sent = transaction.sent[message.transaction_id]
        self._forget(transaction)
        pair = transaction.pair
        if message.kind is stun.Class.ERROR:
            self._on_error(message, transaction)
            return None
        self._remember(addr)
        pair.state = "valid"
        self.round_trip = now - sent
        if self._first_valid is None:
            self._first_valid = now
        if transaction.purpose == "nominate" or (pair.nominated and not self.controlling):
            self._select(now, pair)
        elif transaction.purpose == "consent" and pair is self._selected:
            self.last_check = now
        self._consider_nomination(now)
        return None

    def _on_error(self, message: stun.Message, transaction: _Transaction) -> None:
        if transaction.purpose == "consent":
            return
        if message.error_code == stun.ROLE_CONFLICT and not self._remote_lite:
            self._switch_role()
            transaction.pair.state = "waiting"
            self._enqueue(transaction.pair)
        else:
            self._fail(transaction.pair)

    def _select(self, now: float, pair: _Pair) -> None:
        if self._selected is not pair:
            self._selected = pair
            self.remote = pair.address
            self._next_consent = now + self._consent_wait()
        self.last_check = now
        self._triggered.clear()
        self._transactions.clear()

    def _consider_nomination(self, now: float) -> None:
        """Nominate the best valid pair when no better one is open, or patience has run out."""
        if self._selected is not None or not self._may_nominate():
            return
        best = max((p for p in self._pairs.values() if p.state == "valid"), key=lambda p: p.priority)
        better = any(
            p.priority > best.priority and p.state in ("waiting", "checking") for p in self._pairs.values()
        )
        assert self._first_valid is not None
        if better and now < self._first_valid + NOMINATION_PATIENCE:
            return
        self.remote = best.address
        self._check(now, best, "nominate")

    def _may_nominate(self) -> bool:
        nominating = any(t.purpose == "nominate" for t in self._transactions.values())
        return self.controlling and not nominating and any(p.state == "valid" for p in self._pairs.values())

    def _renew_consent(self, now: float) -> None:
        """Ask for consent again; the nomination is repeated, so that a lite server follows a NAT's rebinding."""
        if self._selected is None or self._next_consent is None:
            return
        if now >= self._consent_end():
            self.consent_lost = True
            self._next_consent = None
            self._transactions.clear()
        elif now >= self._next_consent:
            self._check(now, self._selected, "consent")
            self._next_consent = now + self._consent_wait()

    def _consent_end(self) -> float:
        """When the consent given last runs out, if nothing more comes."""
        return max(self.last_check or 0.0, self._consent_since, self._alive) + self._consent_timeout

    def _consent_wait(self) -> float:
        """The interval, randomised by ±20 % (RFC 7675 §5.1)."""
        return self._consent_interval * (0.8 + 0.4 * self._random(1)[0] / 255)

    def _wants_check(self) -> bool:
        if self._selected is not None or not self._remote_ufrag:
            return False
        return bool(self._triggered) or any(p.state == "waiting" for p in self._pairs.values())

    def _next_pair(self) -> _Pair:
        if self._triggered:
            return self._triggered.pop(0)
        return max((p for p in self._pairs.values() if p.state == "waiting"), key=lambda p: p.priority)

    def _check(self, now: float, pair: _Pair, purpose: str) -> None:
        if purpose == "check":
            pair.state = "checking"
        wait = 2 * CONSENT_INTERVAL if purpose == "consent" else FIRST_WAIT
        self._send(now, _Transaction(pair, purpose, now + wait, wait))

    def _send(self, now: float, transaction: _Transaction) -> None:
        identifier = self._random(12)
        data = stun.binding_request(
            identifier,
            username=f"{self._remote_ufrag}:{self._ufrag}",
            password=self._remote_pwd,
            priority=_REFLEXIVE_PRIORITY,
            controlling=self.controlling,
            tie_breaker=self._tie_breaker,
            nominate=self.controlling and transaction.purpose != "check",
        )
        transaction.sent[identifier] = now
        self._transactions[identifier] = transaction
        self.outgoing.append((data, transaction.pair.address))

    def _retransmit(self, now: float, transaction: _Transaction) -> None:
        if transaction.purpose == "consent":
            self._forget(transaction)  # never retransmitted (RFC 7675 §5.1)
            return
        if len(transaction.sent) >= MAX_TRANSMISSIONS:
            self._forget(transaction)
            self._fail(transaction.pair)
            return
        # The more checks are open the longer each waits, so that they stay about PACING apart (RFC 8445 §14.3).
        growth = WAIT_GROWTH if len(transaction.sent) >= EAGER_REPETITIONS else 1.0
        grown = max(transaction.wait * growth, PACING * len(self._open()))
        transaction.wait = min(grown, LONGEST_WAIT)
        transaction.due = now + transaction.wait
        self._send(now, transaction)

    def _open(self) -> list[_Transaction]:
        return list(dict.fromkeys(self._transactions.values()))

    def _forget(self, transaction: _Transaction) -> None:
        for identifier in transaction.sent:
            self._transactions.pop(identifier, None)

    def _fail(self, pair: _Pair) -> None:
        pair.state = "failed"
        if self.remote == pair.address and self._selected is None:
            self.remote = None

    def _trigger(self, addr: Address, priority: int) -> _Pair | None:
        """Check back where a check came from (RFC 8445 §7.3.1.4), learning peer-reflexive addresses."""
        pair = self._pairs.get(addr)
        if pair is None:
            if len(self._pairs) >= MAX_PAIRS:
                return None
            pair = self._pairs[addr] = _Pair(addr, priority)
        if pair.state in ("waiting", "failed") and self._selected is None:
            pair.state = "waiting"
            self._enqueue(pair)
        return pair

    def _enqueue(self, pair: _Pair) -> None:
        if pair not in self._triggered:
            self._triggered.append(pair)

    def _remember(self, addr: Address) -> None:
        self._checked.pop(addr, None)
        self._checked[addr] = None
        if len(self._checked) > MAX_PAIRS:
            del self._checked[next(known for known in self._checked if known != self.remote)]
