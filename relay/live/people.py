"""Who takes part in a meeting, what was decided about each, and how well the microphones arrive."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Self

from relay.meeting_ports import Link, Presence, SavedPerson
from relay.tokens import MeetingRole

QUALITY_S: Final = 5.0
"""The link of a microphone is judged by so much of the past."""
FAIR: Final = 0.01
POOR: Final = 0.05
"""From these shares of missing sound on."""
SETTLING_S: Final = 1.0
"""What is missing while a microphone begins is no fault of its link."""
SILENT_S: Final = 1.0
"""A microphone of which nothing has come for so long has no link; also browsers' DTX sends something every 0.4 s."""
BLOCK_S: Final = 0.02

NAME_MAX: Final = 60


def tidy(name: str) -> str:
    """A name as it can be shown: one line, no characters that print nothing or turn the direction of writing."""
    printable = "".join(character if character.isprintable() else " " for character in name)
    return " ".join(printable.split())[:NAME_MAX]


def digest_of(secret: str) -> bytes:
    """What is kept of a participant's secret: SHA-256. It has too many random bits to be guessed from that."""
    return hashlib.sha256(secret.encode()).digest()


class LinkWatch:
    """How well a microphone arrives, from what the mixer counts. Time is an argument: monotonic seconds."""

    def __init__(self) -> None:
        self._missing: deque[tuple[float, int]] = deque()
        self._heard = float("-inf")
        self._settled: float | None = None

    def update(self, now: float, missing: int, came: bool) -> None:
        """`missing` blocks of 20 ms in all so far; whether the last block `came`."""
        if came:
            self._heard = now
            self._settled = self._settled or now + SETTLING_S
        if self._settled is None or now < self._settled:
            return
        self._missing.append((now, missing))
        while len(self._missing) > 2 and self._missing[1][0] <= now - QUALITY_S:
            self._missing.popleft()

    def link(self, now: float) -> Link:
        """The judgement."""
        if now - self._heard > SILENT_S:
            return "none"
        if not self._missing:
            return "good"
        (since, before), (_, after) = self._missing[0], self._missing[-1]
        share = (after - before) * BLOCK_S / max(QUALITY_S, now - since)
        return "poor" if share >= POOR else "fair" if share >= FAIR else "good"


@dataclass
class Person:
    """A participant. `token` is the id of the token he came with, `bare` that he came without a page."""

    id: str
    digest: bytes
    """Of his secret; empty for one who has none."""
    role: MeetingRole
    name: str
    token: str
    bare: bool
    admitted: bool
    removed: bool = False
    muted: bool = False
    silenced: bool = False
    hand: float | None = None
    """When he raised it."""
    pages: int = 0
    """How many of his are connected."""
    sessions: set[str] = field(default_factory=set)
    """His microphones: one, and while a new one takes over from it, two."""
    seen: float = 0.0
    level_dbfs: float = -200.0
    watch: LinkWatch = field(default_factory=LinkWatch)

    @property
    def away(self) -> bool:
        """Neither page nor microphone is there."""
        return not self.pages and not self.sessions

    def saved(self, hand: int) -> SavedPerson:
        """What a later run has to know; `hand` is its place among those raised, from 1, or 0."""
        return SavedPerson(
            self.id, self.digest, self.role, self.name, self.token, self.bare, self.admitted, self.removed,
            self.muted, self.silenced, hand,
        )  # fmt: skip

    @classmethod
    def taken_up(cls, saved: SavedPerson, now: float) -> Self:
        """As he was saved, and away since `now`."""
        # In their order, and all before those that are raised from now on.
        hand = now - 1 / saved.hand if saved.hand else None
        return cls(
            saved.id, saved.digest, saved.role, saved.name, saved.token, saved.bare, saved.admitted,
            saved.removed, saved.muted, saved.silenced, hand, seen=now,
        )  # fmt: skip

    def presence(self, heard: bool) -> Presence:
        """What he does there, when it has been decided whether he is to be `heard`."""
        if not self.admitted:
            return "waiting"
        if not self.sessions:
            return "listening"
        return "on_air" if heard else "muted"
