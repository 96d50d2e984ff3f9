"""One connection of the control link, sans-I/O: texts and time in, texts and events out.

Feed `receive`, drain `poll` and `next_event`, sleep until `next_deadline`. Hostile texts never raise: they end the
session with a word (`ended`), since over an authenticated connection they mean that the other side is not what it
should be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from loacodecs.clocksync import Exchange
from loacodecs.control import (
    HELLO_SECONDS,
    PROTOCOL,
    Challenge,
    Clock,
    ClockAnswer,
    Command,
    Hello,
    Message,
    OnAir,
    Receipt,
    ReceiptOk,
    Refused,
    Result,
    Telemetry,
    Token,
    Welcome,
    decode,
    encode,
)
from loacodecs.errors import MalformedError

from .identity import Identity

BURST: Final = 8
BURST_PAUSE_S: Final = 0.2
ANSWER_S: Final = 20.0
"""A relay that has not answered by then is gone; TCP alone would notice after a quarter of an hour."""
RECEIPT_AGAIN_S: Final = 300.0
"""A relay whose disk is in trouble does not acknowledge; the receipt is offered again after so long."""
_ASKED_MAX: Final = 16
_EXTRA_EXCHANGES: Final = 4.0
"""So many exchanges of clocks beside telemetry and the burst an idle receiver may spend at once, and …"""
_EXTRA_EVERY_S: Final = 120.0
"""… one more in this time, so that a clock which never settles costs 27 bit/s. An exchange is some 400 bytes on the
wire: one a second, until the rate is learnt, would be 3 kbit/s for a sound that nobody hears; on air it is learnt in
a minute."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a session is over: one word for programs, a sentence for people."""

    word: str
    detail: str


class RelayClock(Protocol):
    """What is needed of `loacodecs.clocksync.ClockSync`."""

    def add(self, exchange: Exchange) -> bool:
        """Take an exchange."""

    def pause_s(self, on_air: bool) -> float:
        """How long to wait before the next exchange."""


Event = Welcome | Token | OnAir | Command | ReceiptOk


class LinkSession:
    """The receiver's side of one connection, from the relay's challenge on.

    identities  by the relay's name
    telemetry   makes the next message: (number, now)
    on_air      whether the receiver sounds: how often telemetry is due
    receipt     the oldest receipt not acknowledged, or None
    """

    def __init__(
        self,
        identities: Mapping[str, Identity],
        clock: RelayClock,
        *,
        version: str,
        capabilities: tuple[str, ...],
        telemetry: Callable[[int, float], Telemetry],
        on_air: Callable[[], bool],
        receipt: Callable[[], Receipt | None],
        now: float,
    ) -> None:
        self.identity: Identity | None = None
        self.up = False
        self.ended: Ended | None = None
        self._identities = identities
        self._clock = clock
        self._version = version
        self._capabilities = capabilities
        self._telemetry = telemetry
        self._on_air = on_air
        self._receipt = receipt
        self._began = now
        self._relay_time: tuple[float, float] | None = None
        self._out: deque[str] = deque()
        self._events: deque[Event] = deque()
        self._asked: dict[float, float] = {}
        self._burst = 0
        self._next_clock: float | None = None
        self._extra = _EXTRA_EXCHANGES
        self._extra_at = now
        self._next_telemetry = now
        self._intervals = (10.0, 60.0)
        self._number = 0
        self._was_on_air = False
        self._receipt_sent: tuple[str, float] | None = None
        self._acknowledged = ""  # and perhaps not yet gone from the book

    @property
    def unanswered(self) -> float | None:
        """Local time of the oldest question that has no answer yet."""
        return min(self._asked.values(), default=None)

    def relay_time(self, now: float) -> float | None:
        """The relay's clock as it told it last on this link: late by the time on the way, known before any exchange."""
        if self._relay_time is None:
            return None
        told, at = self._relay_time
        return told + (now - at)

    def receive(self, document: str | bytes, now: float) -> None:
        """Take a message that arrived at `now`."""
        if self.ended is not None:
            return
        try:
            if isinstance(document, bytes):
                raise MalformedError("the link carries texts only")
            message = decode(document)
        except MalformedError as error:
            self._end("malformed", f"the relay says something that is no message: {error}")
            return
        if self.up:
            self._receive_up(message, now)
        elif isinstance(message, Challenge) and self.identity is None:
            self._on_challenge(message, now)
        elif isinstance(message, Welcome) and self.identity is not None:
            self._on_welcome(message, now)
        elif isinstance(message, Refused):
            self._end(message.code, f"the relay refuses this receiver: {message.detail or message.code}")
        else:
            self._end("malformed", "the relay does not begin as the control link does")

    def ask(self, now: float) -> None:
        """Send telemetry now: for a sign of life, or because something has changed."""
        self._next_telemetry = min(self._next_telemetry, now)

    def reply(self, result: Result) -> None:
        """Tell what became of a command."""
        self._send(result)

    def poll(self, now: float) -> str | None:
        """The next text to send, or None until `next_deadline` or the next `receive`."""
        if not self.up:
            if self.ended is None and now - self._began >= 2 * HELLO_SECONDS:
                self._end("silent", "the relay does not speak the control link")
        elif self.ended is None:
            self._work(now)
        return self._out.popleft() if self._out else None

    def next_event(self) -> Event | None:
        """What the shell has to do, in order."""
        return self._events.popleft() if self._events else None

    def next_deadline(self) -> float:
        """When `poll` has something to do at the latest."""
        if not self.up:
            return self._began + 2 * HELLO_SECONDS
        times = [self._next_telemetry]
        if self._next_clock is not None:
            times.append(self._next_clock)
        if (asked := self.unanswered) is not None:
            times.append(asked + ANSWER_S)
        if self._receipt_sent is not None:
            times.append(self._receipt_sent[1] + RECEIPT_AGAIN_S)
        return min(times)

    def _on_challenge(self, challenge: Challenge, now: float) -> None:
        self._relay_time = (challenge.time, now)
        if challenge.protocol != PROTOCOL:
            self._end(
                "protocol",
                f"the relay speaks protocol {challenge.protocol}, this receiver {PROTOCOL}: update one",
            )
            return
        identity = self._identities.get(challenge.relay)
        if identity is None:
            self._end("other relay", f"this receiver is not enrolled with the relay {challenge.relay}")
            return
        self.identity = identity
        signature = identity.answer(challenge.nonce)
        self._send(Hello(identity.device, self._version, PROTOCOL, self._capabilities, signature))

    def _on_welcome(self, welcome: Welcome, now: float) -> None:
        self.up = True
        self._intervals = (welcome.telemetry_on_air_s, welcome.telemetry_idle_s)
        self._burst, self._next_clock = BURST, now
        self._next_telemetry = now
        self._events.append(welcome)

    def _receive_up(self, message: Message, now: float) -> None:
        match message:
            case ClockAnswer():
                # Only an answer to a question of ours: the rest could be a replay.
                if self._asked.pop(round(message.sent, 6), None) is not None:
                    self._relay_time = (message.replied, now)
                    self._clock.add(Exchange(message.sent, message.received, message.replied, now))
            case ReceiptOk(id):
                if self._receipt_sent is not None and self._receipt_sent[0] == id:
                    self._receipt_sent, self._acknowledged = None, id
                    self._events.append(message)
            case Token() | OnAir() | Command():
                self._events.append(message)
            case Refused(code, detail):
                self._end(code, f"the relay refuses this receiver: {detail or code}")
            case _:
                self._end("malformed", "the relay says what only a receiver says")

    def _work(self, now: float) -> None:
        """Send what is due."""
        asked = self.unanswered
        if asked is not None and now - asked >= ANSWER_S:
            self._end("silent", "the relay does not answer any more")
            return
        on_air = self._on_air()
        if on_air != self._was_on_air:
            self._was_on_air = on_air
            self._next_telemetry = now
        if now >= self._next_telemetry:
            self._number += 1
            self._question(self._telemetry(self._number, now), now)
            self._next_telemetry = now + self._intervals[0 if on_air else 1]
            # Its answer is an exchange of clocks, too.
            self._schedule_clock(now, on_air)
        if self._next_clock is not None and now >= self._next_clock:
            self._refill(now)
            if not on_air:
                self._extra = max(0.0, self._extra - 1.0)
            self._question(Clock(now), now)
            self._schedule_clock(now, on_air)
        if self._receipt_sent is not None and now - self._receipt_sent[1] >= RECEIPT_AGAIN_S:
            self._receipt_sent = None
        if self._receipt_sent is None:
            receipt = self._receipt()
            if receipt is not None and receipt.id != self._acknowledged:
                self._receipt_sent = (receipt.id, now)
                self._send(receipt)

    def _schedule_clock(self, now: float, on_air: bool) -> None:
        self._burst -= 1
        pause = BURST_PAUSE_S if self._burst > 0 else self._clock.pause_s(on_air)
        self._refill(now)
        if not on_air and self._burst <= 0:
            pause = max(pause, (1.0 - self._extra) * _EXTRA_EVERY_S)
        due = now + pause
        self._next_clock = due if due < self._next_telemetry else None

    def _refill(self, now: float) -> None:
        """What an idle receiver may spend on its clock grows with time."""
        grown = self._extra + (now - self._extra_at) / _EXTRA_EVERY_S
        self._extra, self._extra_at = min(_EXTRA_EXCHANGES, grown), now

    def _question(self, message: Clock | Telemetry, now: float) -> None:
        if len(self._asked) < _ASKED_MAX:
            self._asked[round(message.sent, 6)] = now
        self._send(message)

    def _send(self, message: Message) -> None:
        try:
            self._out.append(encode(message))
        except MalformedError as error:  # our own mistake, and no reason to be silent about the rest
            self._end("malformed", f"this receiver cannot say {type(message).__name__}: {error}")

    def _end(self, word: str, detail: str) -> None:
        if self.ended is None:
            self.ended = Ended(word, detail)
