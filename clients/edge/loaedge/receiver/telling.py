"""What a receiver says about itself: telemetry, receipts, one line for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loacodecs.opus import SAMPLE_RATE

from ..control.receipts import ReceiptBook
from ..control.spans import Heard, SpanTracker
from ..control.telemetry import Report
from ..local.selector import Selector
from ..local.wallclock import WallClock
from ..outputs.chain import Chain
from ..outputs.player import Player
from .sessions import Sessions
from .sound import SharedPlayout

SILENT_DBFS: Final = -70.0
"""Below this the output counts as silent: its level is not told."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Whom to ask. `faults` gives what else is wrong (link, files, switch), a sentence each."""

    sessions: Sessions
    playout: SharedPlayout
    selector: Selector
    chain: Chain
    player: Player
    wall: WallClock
    faults: Callable[[], tuple[str, ...]]


class Teller:
    """Looks at all parts; `look` once a second, in a worker's thread, since receipts go to the disk."""

    def __init__(self, parts: Parts, receipts: ReceiptBook, new_id: Callable[[], str]) -> None:
        self._parts = parts
        self._spans = SpanTracker(receipts, new_id)
        self._level: float | None = None

    def look(self, now: float) -> None:
        """Measure the second that went by, and note what was heard in it."""
        level = self._parts.chain.take_level()
        self._level = level.rms if level.samples and level.rms > SILENT_DBFS else None
        self._spans.note(self._heard(now), now)

    def close(self) -> None:
        """The receiver ends, and the programme with it."""
        self._spans.close()

    @property
    def state(self) -> str:
        """What is being done, in a word or two."""
        sessions, sounding = self._parts.sessions, self._parts.selector.sounding
        if sounding.quiet:
            return "quiet hours"
        if sounding.source == "local":
            return f"playing {sounding.programme}"
        if sessions.flowing:
            live = "live, emergency" if sounding.kind == "emergency" else "live"
            return live if sounding.source == "live" else "live, silent"
        if sessions.connected:
            return "idle"
        return "connecting" if sessions.channel else "no channel"

    @property
    def on_air(self) -> bool:
        """Whether something is heard, or would be but for quiet hours: live or local."""
        return self._parts.sessions.flowing or self._parts.selector.sounding.source == "local"

    def faults(self, now: float) -> tuple[str, ...]:
        """What needs mending, a sentence each, the gravest first; empty when all is well."""
        parts = self._parts
        found = [parts.player.state.problem] if parts.player.state.problem else []
        if not parts.sessions.connected:
            found += parts.sessions.problems.values()
        every = dict.fromkeys((*found, *parts.faults(), *parts.selector.words(now)))
        every.pop(self.state, None)  # quiet hours are the state already
        return tuple(every)

    def report(self, now: float) -> Report:
        """For telemetry."""
        stats = self._parts.playout.stats
        flowing = self._parts.sessions.flowing
        return Report(
            on_air=self.on_air,
            level_dbfs=self._level,
            buffer_ms=stats.buffer_s * 1000 if flowing else 0.0,
            concealed_ms=stats.concealed_samples * 1000 / SAMPLE_RATE,
            lost=stats.lost,
            recovered=stats.recovered_nack + stats.recovered_red + stats.recovered_second,
            error_ms=stats.error_s * 1000 if flowing else None,
            state=self.state,
            faults=self.faults(now),
        )

    def _heard(self, now: float) -> Heard:
        parts = self._parts
        sounding = parts.selector.sounding
        channel = parts.sessions.channel
        programme = sounding.programme if sounding.source == "local" else ""
        if not programme and parts.sessions.flowing:
            programme = channel
        return Heard(
            programme=programme,
            channel=channel,
            unix=parts.wall.unix(now),
            concealed_ms=parts.playout.stats.concealed_samples * 1000 / SAMPLE_RATE,
            level_dbfs=self._level,
            hindered=self._hindered(),
        )

    def _hindered(self) -> str:
        if not self._parts.player.state.running:
            return "no sound device"
        if self._parts.selector.sounding.quiet:
            return "quiet hours"
        return "muted" if self._parts.chain.volume.muted else ""
