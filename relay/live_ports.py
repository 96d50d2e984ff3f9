"""What the HTTP side knows of mixed channels, and nothing more; as `relay.ports` is for the core.

Values that cross are frozen. Levels are dBFS and LUFS, -200 for digital silence; gains are dB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from relay.ports import Histogram

Role = Literal["programme", "announcement", "talk"]
"""An announcement brings programmes down while it is heard; talk is apart from both."""

InputKind = Literal["publisher", "file", "stream", "line", "tone", "channel", "feed"]
Silence = Literal["heard", "warned", "silent"]


@dataclass(frozen=True, slots=True)
class InputState:
    """An input as people see it.

    label      who publishes (the subject of the token), or what the configuration names
    sounding   whether it delivered the last block
    fault      one sentence on what is wrong, "" when nothing is
    missing    blocks of 20 ms it did not deliver while it was heard: lost, late, or run dry
    cleaned    samples that were no sound (NaN, infinite, far too large)
    rejected   packets that could not be used: no Opus, too late, too many
    reconnects times it was opened again after it had broken off
    buffer_ms  sound that is ready
    awaits_chime  whether it is not heard yet, since the chime before it sounds
    """

    name: str
    kind: InputKind
    role: Role
    label: str
    title: str
    channels: int
    gain_db: float
    fade_db: float
    pan: float
    muted: bool
    sounding: bool
    rms_dbfs: float
    peak_dbfs: float
    fault: str
    missing: int
    cleaned: int
    rejected: int
    reconnects: int
    buffer_ms: float
    awaits_chime: bool = False


@dataclass(frozen=True, slots=True)
class BusState:
    """What goes out. `duck_db` is by how much programmes are held down just now, `bitrate` in bit/s."""

    sounding: bool
    rms_dbfs: float
    peak_dbfs: float
    momentary_lufs: float
    short_term_lufs: float
    silence: Silence
    duck_db: float
    bitrate: int
    application: str
    frame_ms: int
    packets: int
    dropped: int


@dataclass(frozen=True, slots=True)
class MixState:
    """A mixed channel as people see it; `chime` says whether the chime before an announcement sounds."""

    name: str
    inputs_max: int
    inputs: Sequence[InputState]
    bus: BusState
    late: int
    overruns: int
    chime: bool = False


@dataclass(frozen=True, slots=True)
class SourceStats:
    """Counts of one source of a channel, or of all its publishers together, those that have left included.

    playing, faulty   how many there are just now
    the others        as in InputState
    """

    playing: int = 0
    faulty: int = 0
    reconnects: int = 0
    missing: int = 0
    cleaned: int = 0
    rejected: int = 0

    def and_of(self, state: InputState) -> SourceStats:
        """With another source's counts added."""
        return SourceStats(
            self.playing + state.sounding,
            self.faulty + bool(state.fault),
            self.reconnects + state.reconnects,
            self.missing + state.missing,
            self.cleaned + state.cleaned,
            self.rejected + state.rejected,
        )


@dataclass(frozen=True, slots=True)
class LiveStats:
    """What `/metrics` shows of mixing; counted since the relay started.

    late      ticks that began more than 1 ms after their deadline
    overruns  ticks that began only when the next was due
    skipped   ticks passed over because more than 200 ms were missing
    faults    mistakes in our own code that a tick outlived
    """

    ticks: int = 0
    late: int = 0
    overruns: int = 0
    skipped: int = 0
    faults: int = 0
    jitter_seconds: Histogram | None = None
    tick_seconds: Histogram | None = None
    channels: Mapping[str, MixState] = field(default_factory=dict)
    sources: Mapping[tuple[str, str], SourceStats] = field(default_factory=dict)
    """By channel and name; those who publish are one source, "publishers"."""


class LiveInput(Protocol):
    """An input of a mixed channel. What is set is heard from the next block on, without a click."""

    def gain(self, db: float, seconds: float = 0.01) -> None:
        """Go to a gain in dB within so many seconds."""
        ...

    def mute(self, muted: bool) -> None:
        """Close or open it."""
        ...

    def fade(self, db: float, seconds: float) -> None:
        """Fade to `db`, 0 or less, beside its gain."""
        ...

    def pan(self, place: float) -> None:
        """Put it at a place from -1 (left) to 1 (right)."""
        ...


class LiveChannel(Protocol):
    """A mixed channel. No method waits for a source or a listener."""

    @property
    def inputs(self) -> Mapping[str, LiveInput]:
        """By name."""
        ...

    def remove_input(self, name: str, fade_s: float = 0.05) -> None:
        """Fade an input out and let it go; a publisher's session ends with it. Raises InputNotFound."""
        ...

    def state(self) -> MixState:
        """How everything stands now."""
        ...


class LiveDesk(Protocol):
    """All mixed channels of the relay."""

    def channel(self, name: str) -> LiveChannel:
        """One of them. Raises ChannelNotFound, and NotMixed for a channel that is passed through."""
        ...

    def stats(self) -> LiveStats:
        """A snapshot of all counters."""
        ...
