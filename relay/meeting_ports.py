"""What the HTTP side knows of meetings, and nothing more: values that cross are frozen.

`relay.http` is written against `MeetingDesk`; `relay.live.meetings` provides it. Errors are RelayErrors.
What outlasts the process crosses here, too: `relay.live.meeting_keeping` gives it to a `MeetingArchive`.
An `Order` is what a participant wants to be done; the meeting decides whether it is his to want.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from relay.tokens import MeetingRole

Phase = Literal["closed", "open", "ended"]
"""Closed: no chair has opened it yet. Ended: everybody is told, and a chair may open the next."""

EndReason = Literal["", "chair", "cap", "empty"]
Link = Literal["none", "good", "fair", "poor"]

Presence = Literal["waiting", "listening", "muted", "on_air"]
"""Waiting: not let in. Listening: without a microphone. Muted: with one that is closed, by whomever, or because the
meeting is not open. On air: heard when he speaks."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Who comes to a meeting, by his token. `token` is the token's id; `secret` is what an earlier entry gave."""

    role: MeetingRole
    subject: str
    token: str
    name: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """Who he is from now on: `person` is known to all, `secret` to him alone."""

    person: str
    secret: str
    role: MeetingRole


@dataclass(frozen=True, slots=True)
class PersonView:
    """A participant as another may see him.

    here        his page is connected
    connected   his microphone is
    admitted    a chair has let him in, or nobody has to
    on_air      he is heard when he speaks
    muted       by himself
    silenced    by a chair
    hand        place among those who raised their hands, from 1; 0 for none
    level_dbfs  of his microphone, whether heard or not; -200 for silence
    link        of his microphone to the relay
    """

    id: str
    name: str
    role: MeetingRole
    here: bool
    connected: bool
    admitted: bool
    on_air: bool
    muted: bool
    silenced: bool
    hand: int
    level_dbfs: float
    link: Link


@dataclass(frozen=True, slots=True)
class MeetingView:
    """A meeting as one participant may see it: a speaker sees those who are let in, without their links.

    remaining_s  until it ends by itself, None while it is not open
    warned       whether that is soon
    extend_s     by how much a chair may put that off
    removed      whether a chair has removed the participant
    """

    phase: Phase
    reason: EndReason
    remaining_s: float | None
    warned: bool
    extend_s: float
    removed: bool
    people: Sequence[PersonView]


@dataclass(frozen=True, slots=True)
class MeetingStats:
    """The meeting of a channel now: whether it is open, and how many are there, each counted once.

    Who was removed, and whose page and microphone are both away, is nowhere in `people`, which has every Presence.
    """

    open: bool
    people: Mapping[Presence, int]


@dataclass(frozen=True, slots=True)
class Open:
    """Begin; the cap counts from here. Chairs only."""


@dataclass(frozen=True, slots=True)
class End:
    """End it for all. Chairs only."""


@dataclass(frozen=True, slots=True)
class Extend:
    """Put the end off. Chairs only, once it is near."""


@dataclass(frozen=True, slots=True)
class Admit:
    """Let somebody in. Chairs only."""

    person: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Put somebody out until the meeting ends. Chairs only."""

    person: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Close a microphone or open it: everybody his own, a chair anybody's. What one of them closed, only he opens."""

    person: str
    muted: bool


@dataclass(frozen=True, slots=True)
class Hand:
    """Ask for the floor, or no longer; a chair may lower anybody's hand."""

    person: str
    raised: bool


@dataclass(frozen=True, slots=True)
class Rename:
    """Be called otherwise."""

    name: str


Order = Open | End | Extend | Admit | Remove | Mute | Hand | Rename


class MeetingRoom(Protocol):
    """The meetings of one channel, one after the other; for the thread of the event loop."""

    def enter(self, entry: Entry) -> Entered:
        """A page comes, or comes back; `leave` must follow. Raises MeetingRefused when it is full."""
        ...

    def role(self, person: str) -> MeetingRole:
        """What a participant is. Raises MeetingRefused."""
        ...

    def leave(self, person: str) -> None:
        """A page has gone; its microphone has a life of its own."""
        ...

    def seat(self, entry: Entry) -> str:
        """Whose microphone is about to be connected.

        Raises MeetingRefused for who was removed, Unavailable for a secret that is none.
        """
        ...

    def connect(self, person: str, session: str) -> None:
        """The microphone of a participant is the publisher's session of that id."""
        ...

    def may_hear(self, session: str) -> bool:
        """Whether who speaks by that session may hear the others."""
        ...

    def view(self, person: str) -> MeetingView:
        """How everything stands now, as that participant may see it."""
        ...

    def obey(self, by: str, order: Order) -> None:
        """Do what a participant wants. Raises MeetingRefused for what is not his to do, or makes no sense now."""
        ...

    async def changed(self, seen: int) -> int:
        """Wait until something has changed since the change number `seen`; gives the newest number."""
        ...


class MeetingDesk(Protocol):
    """All channels with meetings."""

    def room(self, channel: str) -> MeetingRoom | None:
        """Of one channel; None for one without meetings."""
        ...

    def stats(self) -> Mapping[str, MeetingStats]:
        """Of all channels with meetings."""
        ...


@dataclass(frozen=True, slots=True)
class SavedPerson:
    """What was decided about a participant; fields as in PersonView.

    digest   SHA-256 of his secret; empty for one without a page, who has none
    token    the id of the token he came with
    bare     he came without a page
    removed  a chair has put him out
    """

    id: str
    digest: bytes
    role: MeetingRole
    name: str
    token: str
    bare: bool
    admitted: bool
    removed: bool
    muted: bool
    silenced: bool
    hand: int


@dataclass(frozen=True, slots=True)
class SavedMeeting:
    """What outlasts the process of a channel's meeting. Times are unix seconds and make no two of them different.

    ends     when it ends by itself; 0 while it is not open
    written  when all this was so
    number   of the participant who came last
    watched  ids of tokens with which nobody is let in unseen
    """

    phase: Phase
    reason: EndReason
    ends: float = field(compare=False)
    written: float = field(compare=False)
    number: int
    watched: frozenset[str]
    people: tuple[SavedPerson, ...]


class MeetingArchive(Protocol):
    """Keeps meetings on a disk. Every method raises StoreUnavailable."""

    async def load(self) -> Mapping[str, SavedMeeting]:
        """All that is known, by channel."""
        ...

    async def save(self, channel: str, saved: SavedMeeting) -> None:
        """Keep a channel's, in place of what was kept before."""
        ...

    async def retain(self, channels: Collection[str]) -> None:
        """Forget those of all other channels."""
        ...
