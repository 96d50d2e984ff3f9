"""What a meeting wants to be done about microphones, and what it is told of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """A microphone is to be closed, or to be heard."""

    session: str
    held: bool


@dataclass(frozen=True, slots=True)
class Dismiss:
    """A microphone's session is to be ended."""

    session: str


@dataclass(frozen=True, slots=True)
class Announce:
    """The meeting comes on air: what announces it is to be heard first. Comes before the microphones are opened."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the mixer knows of a microphone: its level, 20 ms blocks missing so far, whether the last one came."""

    level_dbfs: float
    missing: int
    came: bool


Action = Hold | Dismiss | Announce
