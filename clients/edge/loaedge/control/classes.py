"""What relays have stated of the class of the live programme: normal, priority or emergency.

A statement holds for one channel, until its time is over or the relay that made it says otherwise; nothing of it is
kept on the disk. It reaches this receiver as a signed command, so whoever lacks a relay's key can make neither an
emergency nor its end. Each relay speaks for itself: one that is turned to when another fails cannot end an emergency
of which it has not heard, and the gravest statement counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from loacodecs.control import CLASS_CONFIRM_S, CLASS_SECONDS_MAX, CLASSES, BulletinClass, LiveClass

RELAYS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class _Statement:
    kind: BulletinClass
    issued: float
    deadline: float


class LiveClasses:
    """The statements of all relays on `channel`. Lives in the event loop; `now` is the receiver's monotonic time."""

    def __init__(self, channel: str = "") -> None:
        self._channel = channel
        self._stated: dict[str, _Statement] = {}

    def tune(self, channel: str) -> None:
        """Another channel is played from now on: what was stated was not of it."""
        if channel != self._channel:
            self._channel = channel
            self._stated.clear()

    def take(self, relay: str, stated: LiveClass, *, issued: float, relay_now: float, now: float) -> str:
        """Believe `relay`, whose clock shows `relay_now`; "", or why not: channel, expired, lifetime, stale."""
        if stated.channel != self._channel:
            return "channel"
        if stated.kind == "normal":  # always heeded: it can only make a receiver more silent
            self._stated.pop(relay, None)
            return ""
        if stated.until <= relay_now:
            return "expired"
        if stated.until - issued > CLASS_SECONDS_MAX:
            return "lifetime"
        known = self._stated.get(relay)
        if known is not None and issued < known.issued:
            return "stale"
        if known is not None or len(self._stated) < RELAYS_MAX:
            self._stated[relay] = _Statement(stated.kind, issued, now + stated.until - relay_now)
        return ""

    def welcomed(self, relay: str, now: float) -> None:
        """A link to `relay` is up anew: what it stated before holds only if it says so again."""
        known = self._stated.get(relay)
        if known is not None:
            deadline = min(known.deadline, now + CLASS_CONFIRM_S)
            self._stated[relay] = replace(known, deadline=deadline)

    def kind(self, now: float) -> BulletinClass:
        """What the live programme is at `now`."""
        self._stated = {relay: each for relay, each in self._stated.items() if now < each.deadline}
        kinds = [each.kind for each in self._stated.values()]
        return max(kinds, key=CLASSES.index, default="normal")
