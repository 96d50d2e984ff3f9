"""What the live programmes of channels have been declared to be, and when that is over. Time is an argument (unix).

A declaration ends when it is withdrawn, when its time is over, or with the programme: when the channel has been heard
and then has been silent for END_S. One that was made ahead of its programme waits for that. What the relay that
a channel is pulled from has stated of it stands beside it, until its time is over or that relay says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from loacodecs.control import CLASSES
from relay.device_ports import Declaration

END_S: Final = 30.0
"""A programme that is silent for so long has ended; a publisher that has lost its network comes back sooner."""


class ChannelClasses:
    """One declaration a channel; a channel without one is normal. Lives in the event loop, but for `of`, which the
    mixer asks in every block in which a chime may be due."""

    def __init__(self) -> None:
        self._declared: dict[str, Declaration] = {}
        self._adopted: dict[str, Declaration] = {}
        """What the relay that a channel is pulled from has stated of it."""
        self._heard: dict[str, float] = {}
        """When a channel was last heard, of those heard since they were declared."""
        self._said: set[str] = set()
        """Channels of which something was said here: what was kept of them is older."""

    def all(self) -> list[Declaration]:
        """Every declaration that was made here."""
        return list(self._declared.values())

    def in_force(self) -> list[Declaration]:
        """What holds, of every channel that is not normal."""
        channels = {*self._declared, *self._adopted}
        return [declaration for channel in channels if (declaration := self.of(channel)) is not None]

    def of(self, channel: str) -> Declaration | None:
        """What `channel` is declared to be: the gravest, and of two the one that lasts longer. From any thread."""
        known = self._declared.get(channel), self._adopted.get(channel)
        found = [declaration for declaration in known if declaration is not None]
        return max(found, key=lambda each: (CLASSES.index(each.kind), each.until), default=None)

    def adopt(self, declaration: Declaration) -> bool:
        """Take what another relay states of a channel that is pulled from it; whether that changes what holds.

        What was declared here stands beside it: neither ends the other.
        """
        channel, before = declaration.channel, self.of(declaration.channel)
        if declaration.kind == "normal":
            self._adopted.pop(channel, None)
        else:
            self._adopted[channel] = declaration
        after = self.of(channel)
        return (before and (before.kind, before.until)) != (after and (after.kind, after.until))

    def declare(self, declaration: Declaration) -> None:
        """From now on, instead of what was declared before; "normal" withdraws that."""
        channel = declaration.channel
        self._said.add(channel)
        self._heard.pop(channel, None)  # the silence before it says nothing of the programme that it is for
        if declaration.kind == "normal":
            self._declared.pop(channel, None)
        else:
            self._declared[channel] = declaration

    def restore(self, declarations: Iterable[Declaration]) -> list[str]:
        """Take up what was kept, where nothing newer is known; the channels that have changed."""
        found = [each for each in declarations if each.channel not in self._said | self._declared.keys()]
        self._declared.update({each.channel: each for each in found})
        return [each.channel for each in found]

    def end(self, now: float, on_air: Callable[[str], bool]) -> list[Declaration]:
        """End what is over; gives it."""
        over = []
        for channel, declaration in list(self._declared.items()):
            if on_air(channel):
                self._heard[channel] = now
            silent_since = self._heard.get(channel, now)
            if now >= declaration.until or now - silent_since >= END_S:
                del self._declared[channel]
                self._heard.pop(channel, None)
                over.append(declaration)
        for channel, declaration in list(self._adopted.items()):
            if now >= declaration.until:  # that its programme has ended its own relay says
                del self._adopted[channel]
                over.append(declaration)
        return over
