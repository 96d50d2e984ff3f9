"""What automation needs of the mixer and of sources, so that it can be driven without either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relay.automation.decks import Chimes, Playable
from relay.live_ports import InputKind, LiveInput, MixState, Role
from relay.mixer.intake import Feed
from relay.mixer.meter import Level


class MixerInput(LiveInput, Protocol):
    """An input of a mixed channel (`relay.live.inputs.ChannelInput`)."""

    @property
    def kind(self) -> InputKind:
        """What it is."""
        ...

    @property
    def label(self) -> str:
        """Who publishes, or what was named."""
        ...

    @property
    def muted(self) -> bool:
        """Whether it is closed."""
        ...

    @property
    def held(self) -> bool:
        """Whether it is closed by somebody above those who mix."""
        ...

    @property
    def sounding(self) -> bool:
        """Whether it delivered the last block."""
        ...

    @property
    def title(self) -> str:
        """What is on."""
        ...

    @property
    def fault(self) -> str:
        """What is wrong with it, "" when nothing is."""
        ...

    def level(self) -> Level:
        """What it delivers, before everything."""
        ...


class Mixer(Protocol):
    """A mixed channel (`relay.live.mixed.MixedChannel`)."""

    @property
    def inputs(self) -> Mapping[str, MixerInput]:
        """By name."""
        ...

    def add_input(
        self,
        name: str,
        source: str | Feed,
        *,
        role: Role = "programme",
        gain_db: float = 0.0,
        label: str = "",
        kind: InputKind = "feed",
    ) -> MixerInput:
        """Take an input. Raises ChannelBusy when there is no room, ConfigurationError for what names no source."""
        ...

    def remove_input(self, name: str, fade_s: float = 0.05) -> None:
        """Let one go. Raises InputNotFound."""
        ...

    def chimes(self, name: str) -> Chimes | None:
        """For the input of that name, which plays items one after another; None where no chime is configured."""
        ...

    def hold_duck(self, held: bool) -> None:
        """Keep programmes down whatever the announcements do, or leave it to them."""
        ...

    def state(self) -> MixState:
        """How everything stands now."""
        ...


class Source(Playable, Protocol):
    """A source that was opened to wait (`relay.sources.feed.StreamFeed`)."""

    def read(self, out: NDArray[np.float32]) -> bool:
        """Fill `out` (2, 960), or say False."""
        ...

    @property
    def live(self) -> bool:
        """Whether it comes at a pace of its own; known once it is open."""
        ...


class Open(Protocol):
    """Begins to open a source, paused; never waits (`relay.sources.feed.open_source`)."""

    def __call__(self, source: str, *, trusted: bool, loop: bool, reconnect: bool, start_s: float) -> Source:
        """`trusted`: the configuration names it. Raises ConfigurationError for what is no source."""
        ...
