"""When to ask for sound: early and much at once where all of it is there, at the last moment where some is missing.

What is written to a device cannot be mended any more. A device that holds 200 ms would take so much from the time
that a lost packet has to come again, and one that holds little would wake us up often. So blocks are large, and
only a block in which something is missing waits, until the device has hardly more than `margin_s` left.
"""

from __future__ import annotations

from typing import Final

from loacodecs.opus import SAMPLE_RATE

from .output import Ready

MARGIN_S: Final = 0.03
"""What the device holds at the least: a thread that is woken up late, or has to wait for another, is not heard."""
STEP: Final = SAMPLE_RATE // 100
"""Frames asked for at the last moment, when what is missing has not come."""
ASK_S: Final = 0.01
"""How often it is looked whether what is missing has come."""


class LateCommit:
    """How many frames to render now, and how long to rest when none."""

    def __init__(self, block: int, latency_s: float) -> None:
        """For a device that is kept `latency_s` full and takes blocks of `block` frames."""
        self.block = block
        self.margin_s = min(MARGIN_S, latency_s / 2)

    @property
    def commit_s(self) -> float:
        """So long before it is heard sound is rendered at the latest, if the device adds nothing to its buffer."""
        return self.margin_s + STEP / SAMPLE_RATE

    def frames(self, room: int, buffered_s: float, heard_at: float, ready: Ready) -> int:
        """Frames to render now, 0 to rest first.

        room        frames the device takes now; nothing is rendered before a block has room
        buffered_s  how long the device can go on with what it holds
        heard_at    local time at which the next frame is heard, as `ready` takes it
        """
        if room < self.block:
            return 0
        sure = min(self.block, ready(self.block, heard_at))
        if 2 * sure >= self.block:
            return sure
        return 0 if buffered_s > self.margin_s else max(STEP, sure)

    def rest_s(self, room: int, buffered_s: float) -> float:
        """How long to rest when `frames` gave 0 for the same device."""
        if room < self.block:
            return (self.block - room) / SAMPLE_RATE
        return min(ASK_S, max(0.001, buffered_s - self.margin_s))
