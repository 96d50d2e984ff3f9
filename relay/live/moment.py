"""The time at which the block that is being mixed is mixed, for those feeds to which it matters."""

from __future__ import annotations


class Moment:
    """Set before each tick by whoever ticks; `now` is monotonic seconds, `skipped` the blocks passed over before it."""

    __slots__ = ("now", "skipped")

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.skipped = 0
