"""An input of a mixed channel: what people set, and what they are told of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from loamedia.spec import Kind
from relay.live.announcing import Gate
from relay.live.guard import GuardedFeed
from relay.live.packets import PacketFeed
from relay.live.recently import Recently
from relay.live_ports import InputKind, InputState, Role
from relay.mixer.desk import RAMP_S, Input
from relay.mixer.intake import Feed
from relay.mixer.meter import Level
from relay.ports import Hearing
from relay.sources.feed import StreamFeed

SILENT_S: Final = 3.0
"""A publisher of whom nothing has come for so long is said to send nothing."""
DAMAGED: Final = 10
"""So many damaged packets of late are told; one or two come with every stream that is joined in the middle."""

STREAMS: Final[dict[Kind, InputKind]] = {
    "file": "file",
    "http": "stream",
    "rtsp": "stream",
    "srt": "stream",
    "alsa": "line",
    "tone": "tone",
}
"""What people call a source, by its kind in `loamedia.spec`."""


@runtime_checkable
class Described(Protocol):
    """A feed that knows what is on and what is wrong: a StreamFeed, or what automation makes of several."""

    @property
    def title(self) -> str:
        """What is on."""
        ...

    @property
    def reason(self) -> str:
        """Why it is not heard just now; "" when all is well."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How an input begins."""

    role: Role = "programme"
    gain_db: float = 0.0
    pan: float = 0.0
    muted: bool = False


class ChannelInput:
    """One input. Its methods may be called from any thread and wait for a tick at the most."""

    def __init__(
        self, name: str, kind: InputKind, feed: Feed, guard: GuardedFeed, source: Input, settings: Settings,
        *, label: str = "", clock: Callable[[], float], gate: Gate | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.kind: InputKind = kind
        self.role: Role = settings.role
        self.label = label or name
        self.feed = feed
        self.session = ""
        """The id of the publisher's session: a secret. Empty for other kinds."""
        self.hears = ""
        """The channel that is heard here, if this is one."""
        self.muted = settings.muted
        self.held = False
        """Kept closed, whatever `muted` says: its meeting has not let it in."""
        self.gain_db = 0.0
        self.fade_db = 0.0
        self.on_removed: Callable[[], None] | None = None
        """Told once when it is gone, by the mixer's thread; what feeds it can be let go of."""
        self._guard = guard
        self._gate = gate
        self._source = source
        self._clock = clock
        self._began = clock()
        self._cleaned, self._damaged = Recently(self._began), Recently(self._began)
        self.gain(settings.gain_db, 0.0)
        self.pan(settings.pan)
        self.mute(settings.muted)

    @property
    def source(self) -> Input:
        """The engine's handle."""
        return self._source

    def gain(self, db: float, seconds: float = RAMP_S) -> None:
        """Go to a gain in dB within so many seconds; minus infinity is silence."""
        self.gain_db = db
        self._tell(lambda: self._source.gain(db, seconds))

    def mute(self, muted: bool) -> None:
        """Close or open it."""
        self.muted = muted
        self._tell(lambda: self._source.mute(muted or self.held))

    def hold(self, held: bool) -> None:
        """Keep it closed, or leave it to `mute`: for who decides above those who mix."""
        self.held = held
        self._tell(lambda: self._source.mute(self.muted or held))

    def fade(self, db: float, seconds: float) -> None:
        """Fade to `db`, 0 or less, along a quarter of a sine; adds to the gain."""
        self.fade_db = db
        self._tell(lambda: self._source.fade(db, seconds))

    def pan(self, place: float) -> None:
        """Put it at a place from -1 (left) to 1 (right)."""
        self._source.pan(place)

    def level(self) -> Level:
        """What it delivers, before gain, mute and fade."""
        return self._source.level()

    def block_dbfs(self) -> float:
        """RMS of its last block alone in dBFS, before everything."""
        return self._source.block_dbfs()

    @property
    def sounding(self) -> bool:
        """Whether it delivered the last block."""
        return self._source.came

    @property
    def hearing(self) -> Hearing | None:
        """Whether it is heard, where a chime may keep it waiting."""
        return None if self._gate is None else Hearing(self._gate.heard, self._gate.waiting)

    @property
    def awaits_chime(self) -> bool:
        """Whether it is not heard yet, since the chime before it sounds."""
        return self._gate is not None and self._gate.waiting

    @property
    def title(self) -> str:
        """What is on."""
        return self.feed.title if isinstance(self.feed, Described) else self.label

    @property
    def fault(self) -> str:
        """One sentence on what is wrong with it, "" when nothing is."""
        if self._guard.broken:
            return self._guard.broken
        if isinstance(self.feed, Described) and self.feed.reason:
            return self.feed.reason
        now = self._clock()
        stream = self.feed.counters if isinstance(self.feed, StreamFeed) else None
        if self._cleaned.grown(self._source.faults + (stream.cleaned if stream else 0), now):
            return "some of its samples are no sound (NaN or far too loud); they are silenced"
        if stream and self._damaged.grown(stream.damaged, now) >= DAMAGED:
            return "many of its packets are damaged; they are left out"
        if isinstance(self.feed, PacketFeed):
            heard = self.feed.last_arrival
            silent = self._clock() - (self._began if heard is None else heard)
            if silent > SILENT_S:
                return f"nothing has come from it for {silent:.0f} s"
        return ""

    def state(self) -> InputState:
        """How it stands now."""
        level = self.level()
        feed = self.feed
        packets = feed if isinstance(feed, PacketFeed) else None
        stream = feed.counters if isinstance(feed, StreamFeed) else None
        buffered = packets.buffered_s if packets else stream.buffer_s if stream else 0.0
        return InputState(
            name=self.name,
            kind=self.kind,
            role=self.role,
            label=self.label,
            title=self.title,
            channels=self._source.channels,
            gain_db=self.gain_db,
            fade_db=self.fade_db,
            pan=self._source.place,
            muted=self.muted,
            sounding=self.sounding,
            rms_dbfs=level.rms_dbfs,
            peak_dbfs=level.peak_dbfs,
            fault=self.fault,
            missing=round(packets.counters.concealed_s / 0.02) if packets else stream.dry if stream else 0,
            cleaned=self._source.faults + (stream.cleaned if stream else 0),
            rejected=packets.unusable if packets else stream.damaged if stream else 0,
            reconnects=max(0, stream.opened - 1) if stream else 0,
            buffer_ms=round(buffered * 1e3, 1),
            awaits_chime=self.awaits_chime,
        )

    def _tell(self, engine: Callable[[], None]) -> None:
        """Have the engine and the gate know of a change.

        A block may be mixed between the two: what opens is known to the gate first, what closes to the engine.
        """
        db = -math.inf if self.muted or self.held else self.gain_db + self.fade_db
        if self._gate is not None and db > -math.inf:
            self._gate.hear(db)
        engine()
        if self._gate is not None and db == -math.inf:
            self._gate.hear(db)
