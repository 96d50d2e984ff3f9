"""Whether anything is really heard: the state comes from decoded sound, not from the connection."""

from __future__ import annotations

from typing import Literal

from .level import Level

QUIET_S = 2.0
"""So long without sound is silence to a listener; pauses of speech are shorter."""

State = Literal["waiting", "sound", "silent", "nothing"]


class Hearing:
    """Judges windows of decoded sound; `now` is in monotonic seconds.

    "waiting" just after connecting, "sound" while it sounds, "silent" when packets bring no sound,
    "nothing" when no packets come.
    """

    def __init__(self, now: float) -> None:
        self.heard_s = 0.0
        """Time that sounded, in windows above the threshold."""
        self.last_sound: float | None = None
        self._last_packet: float | None = None
        self._began = now

    def on_packet(self, now: float) -> None:
        """A packet was decoded."""
        self._last_packet = now

    def on_level(self, level: Level, now: float) -> None:
        """A window was measured."""
        if level.samples and not level.silent:
            self.heard_s += level.samples / 48000
            self.last_sound = now

    def state(self, now: float) -> State:
        """What a listener would say at `now`."""
        if self.last_sound is not None and now - self.last_sound < QUIET_S:
            return "sound"
        if self._last_packet is not None and now - self._last_packet < QUIET_S:
            return "silent" if now - self._began >= QUIET_S else "waiting"
        return "nothing" if now - self._began >= QUIET_S else "waiting"


def in_words(state: State) -> str:
    """The state as a sentence for a person."""
    return {
        "waiting": "connected, waiting for sound",
        "sound": "sound",
        "silent": "connected but silent: packets come, and there is no sound in them",
        "nothing": "connected but silent: no packets come; is anybody on air?",
    }[state]
