"""What the HTTP side knows of programme automation, and nothing more: values that cross are frozen.

`relay.http` is written against `AutomationDesk`; `relay.automation` provides it. Errors are RelayErrors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from relay.live_ports import MixState
from relay.ports import ChannelState

VerdictName = Literal["absent", "ready", "heard", "warned", "silent"]
DeckState = Literal["waiting", "opening", "ready", "playing", "paused"]
Outcome = Literal["played", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class QueueItem:
    """Something to be played. Times are unix seconds.

    title       what a person calls it, "" for what the source itself says
    position_s  where in it to begin
    chime       whether the channel's chime comes before it
    """

    id: str
    source: str
    title: str
    gain_db: float
    added: float
    added_by: str
    position_s: float = 0.0
    chime: bool = False


@dataclass(frozen=True, slots=True)
class InputSetting:
    """What an operator has set of an input, to be set again after a restart; None is as configured."""

    gain_db: float | None = None
    muted: bool | None = None
    pan: float | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a restart has to know."""

    items: Sequence[QueueItem] = ()
    stopped: bool = False
    pinned: str | None = None
    inputs: Mapping[str, InputSetting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source of the list.

    source   its address without password, or `publishers`, or `queue`
    verdict  absent, ready (not listened to yet), heard, warned (quiet for a while), silent (quiet for too long)
    quiet_s  for how long it has been quiet
    fault    one sentence on what is wrong, "" when nothing is
    """

    name: str
    source: str
    on_air: bool
    verdict: VerdictName
    quiet_s: float
    title: str
    fault: str


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item of the queue. `added` is unix seconds; `state` says whether it is open already."""

    id: str
    source: str
    title: str
    gain_db: float
    added: float
    added_by: str
    state: DeckState
    position_s: float
    duration_s: float | None
    fault: str
    chime: bool = False


@dataclass(frozen=True, slots=True)
class PastView:
    """What became of an item of the queue, and when (unix seconds)."""

    id: str
    source: str
    title: str
    outcome: Outcome
    ended: float
    fault: str


@dataclass(frozen=True, slots=True)
class AutomationView:
    """What is on air by itself and why.

    on_air      name of the source, None for none
    reason      one sentence on why it is that one
    pinned      the source that an operator has chosen
    queue       the next items, the first being the one that is played
    length      how many there are in all
    stored      whether a restart would find what was commanded
    """

    on_air: str | None
    reason: str
    stopped: bool
    pinned: str | None
    ducked: bool
    sources: Sequence[SourceView]
    queue: Sequence[ItemView]
    length: int
    past: Sequence[PastView]
    stored: bool


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A mixed channel with its automation."""

    channel: ChannelState
    mix: MixState
    automation: AutomationView


@dataclass(frozen=True, slots=True)
class WantedItem:
    """Something to be put into the queue; an empty title is what the source itself says.

    chime  whether the channel's chime comes before it
    """

    source: str
    title: str = ""
    gain_db: float = 0.0
    chime: bool = False


@dataclass(frozen=True, slots=True)
class InputChange:
    """What shall be different about an input; None stays. `seconds` is how long the gain takes."""

    gain_db: float | None = None
    muted: bool | None = None
    pan: float | None = None
    seconds: float = 0.01


@dataclass(frozen=True, slots=True)
class AutomationStats:
    """What `/metrics` shows of one channel's automation; counted since the relay started.

    verdicts  of its sources
    switches  changes of the source on air
    """

    on_air: str | None = None
    verdicts: Mapping[str, VerdictName] = field(default_factory=dict)
    faulty: Mapping[str, bool] = field(default_factory=dict)
    queued: int = 0
    played: int = 0
    failed: int = 0
    switches: int = 0


class AutomationDesk(Protocol):
    """The automation of all mixed channels; for the thread of the event loop.

    Every method raises ChannelNotFound, and NotMixed for a channel that is passed through. What changes something
    returns when it would survive the end of the process, or when the store cannot be used (`stored` tells).
    """

    def view(self, channel: str) -> ChannelView:
        """How everything stands now."""
        ...

    def queue(self, channel: str) -> Sequence[ItemView]:
        """All items."""
        ...

    def stats(self) -> Mapping[str, AutomationStats]:
        """Of all mixed channels, by name."""
        ...

    async def play(self, channel: str, *, source: str | None, item: str | None) -> None:
        """Go on after a stop; put a source of the list on air and keep it there; jump to an item of the queue.

        Without either what was chosen is undone. Raises InputNotFound, ItemNotFound.
        """
        ...

    async def stop(self, channel: str, *, fade_s: float) -> None:
        """Fade the programme out and let it stand still; who publishes is still heard."""
        ...

    async def skip(self, channel: str) -> None:
        """Go to the next item. Raises ItemNotFound when nothing is queued."""
        ...

    async def duck(self, channel: str, held: bool) -> None:
        """Hold the programme down, or leave it to the announcements."""
        ...

    async def change_input(self, channel: str, name: str, change: InputChange) -> None:
        """Raises InputNotFound."""
        ...

    async def enqueue(
        self, channel: str, wanted: Sequence[WantedItem], *, place: int | None, subject: str
    ) -> Sequence[ItemView]:
        """Put items into the queue, at its end or at a place. Raises QueueFull, SourceRefused, Unprocessable."""
        ...

    async def remove(self, channel: str, item: str) -> None:
        """Take an item out; the one that is played is faded out. Raises ItemNotFound."""
        ...

    async def move(self, channel: str, item: str, place: int) -> None:
        """Put an item at another place. Raises ItemNotFound."""
        ...

    async def clear(self, channel: str) -> int:
        """Empty the queue; gives how many items went."""
        ...
