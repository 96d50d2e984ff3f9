"""Who takes part in a meeting, what was decided about each, and how well the microphones arrive."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from relay.meeting_ports import Link, Presence
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
    secret: str
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

    def presence(self, heard: bool) -> Presence:
        """What he does there, when it has been decided whether he is to be `heard`."""
        if not self.admitted:
            return "waiting"
        if not self.sessions:
            return "listening"
        return "on_air" if heard else "muted"
