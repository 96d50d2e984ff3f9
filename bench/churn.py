"""Listeners that leave and join all the time, while others are measured.

A pool of listeners of their own takes turns: at each swap the one that has been there longest leaves, with a goodbye
by DTLS, and the one that has rested longest comes back through HTTP, ICE and DTLS as a new session. With a rate of R
swaps a second each stays STAY_S and rests REST_S.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.histogram import BINS, bin_of, milliseconds
from bench.receivers import Receivers
from bench.session import Session, State
from bench.sessions import Sessions

STAY_S = 3.0
REST_S = 2.0


@dataclass(frozen=True, slots=True)
class Pool:
    """How many listeners a rate of swaps per second needs at once, and how many rest."""

    inside: int
    resting: int

    @classmethod
    def of(cls, rate: float) -> Pool:
        """For `rate` swaps per second; none for 0."""
        if rate <= 0:
            return cls(0, 0)
        return cls(math.ceil(rate * STAY_S), math.ceil(rate * REST_S) + 1)

    @property
    def sockets(self) -> int:
        """All of them."""
        return self.inside + self.resting


class Turnstile:
    """Says how many swaps are due. Times in seconds, on any clock that grows."""

    def __init__(self, rate: float) -> None:
        """Swaps per second."""
        self._interval = 1 / rate
        self._next: float | None = None

    def resume(self, now: float) -> None:
        """Count from now on; the first swap is due one interval later."""
        self._next = now + self._interval

    def pause(self) -> None:
        """No swap is due until `resume`."""
        self._next = None

    def due(self, now: float) -> int:
        """How many swaps have become due since the last call."""
        if self._next is None or now < self._next:
            return 0
        count = 1 + int((now - self._next) / self._interval)
        self._next += count * self._interval
        return count


class Churn:
    """The pool, and what became of its sessions."""

    def __init__(
        self, sessions: Sessions, receivers: Receivers, rows: Sequence[int], rate: float, channels: int
    ) -> None:
        """`rows` are the pool's receivers, as many as `Pool.of(rate)` asks for."""
        self._sessions = sessions
        self._receivers = receivers
        self._channels = channels
        self._rate = rate
        self._turnstile = Turnstile(rate)
        self._rest = deque(rows)
        self._inside: deque[Session] = deque()
        self._times = np.zeros(BINS, np.int64)
        self._size = Pool.of(rate).inside
        self.left = self.came = self.unheard = 0
        self.problems: list[str] = []

    @property
    def inside(self) -> Sequence[Session]:
        """Those that are there, or on their way in."""
        return self._inside

    def fill(self) -> None:
        """Let the first ones in, all at once."""
        for _ in range(self._size - len(self._inside)):
            self._enter()

    def settled(self) -> bool:
        """Whether all that came in are there, or have failed."""
        return all(session.state in (State.HEARD, State.FAILED) for session in self._inside)

    def resume(self, now: float) -> None:
        """Begin to swap."""
        self._turnstile.resume(now)

    def pause(self) -> None:
        """Stop for a while, everybody stays."""
        self._turnstile.pause()

    def look(self, now: float) -> None:
        """Do the swaps that are due."""
        for _ in range(self._turnstile.due(now)):
            self._leave()
            self._enter()

    def finish(self) -> None:
        """All of them leave; those that came last are not held to having heard sound."""
        while self._inside:
            self._leave(held=self._inside[0].state is State.HEARD)

    def _enter(self) -> None:
        row = self._rest.popleft()
        (session,) = self._sessions.prepare([row], "whep", channels=1)
        session.channel = self.came % self._channels
        self._sessions.begin([session], 1)
        self._inside.append(session)
        self.came += 1

    def _leave(self, *, held: bool = True) -> None:
        session = self._inside.popleft()
        if session.state is State.HEARD:
            first_ns = int(self._receivers.table.first_arrival[session.row])
            self._times[bin_of(first_ns - session.began_ns)] += 1
        elif held:
            self.unheard += 1
            text = session.problem or f"stayed {session.state.name.lower()}"
            if text not in self.problems:
                self.problems.append(text)
        if session.state is State.FAILED:
            self._sessions.drop(session)
        else:
            self._sessions.leave(session)
        self._rest.append(session.row)
        self.left += 1

    def to_json(self) -> dict[str, Any]:
        """What the report says."""
        return {
            "rate": self._rate,
            "pool": self._size,
            "joined": self.came,
            "left": self.left,
            "unheard": self.unheard,
            "join_ms": milliseconds(self._times, (0.5, 0.99, 1.0)),
        }
