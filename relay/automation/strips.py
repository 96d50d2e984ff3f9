"""The sources of the list as the mixer has them: opened, watched, faded in and out. Times are monotonic seconds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Final

from relay.automation.metering import MeteredFeed
from relay.automation.mixer import Mixer, MixerInput, Source
from relay.automation.rundown import Standing
from relay.automation.settings import WatchSettings
from relay.automation.watch import SourceWatch, Verdict
from relay.live_ports import InputKind
from relay.mixer.block import SILENCE_DBFS

REOPEN_S: Final = 10.0
"""A source that is over for good, a file that was taken away above all, is opened again after so long."""
PATIENCE_S: Final = 5.0
"""A source that is there within so long is believed to sound."""


class Place(Enum):
    """Where a source stands."""

    ON_AIR = "on air"
    WATCHED = "watched"
    """Before the one on air: it would be on air if it were heard, so it plays on unheard."""
    STANDBY = "standby"
    """Not asked for now: a file stands still."""


class Strip(ABC):
    """A source with its watch and its fader."""

    optional = False
    """Whether it is there only when people want it to be."""

    def __init__(self, name: str, source: str, watching: WatchSettings) -> None:
        self.name = name
        self.source = source
        """How it is shown: without a password."""
        self.place = Place.STANDBY
        self.watch = SourceWatch(watching)
        self.verdict = Verdict.ABSENT
        self.fault = ""
        """One sentence on what is wrong, "" when nothing is."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What is on."""

    @property
    @abstractmethod
    def input(self) -> MixerInput | None:
        """Its input of the mixer."""

    @abstractmethod
    def look(self, now: float) -> Standing:
        """Listen to it, open it again if need be; gives how it stands."""

    def put(self, now: float, place: Place, fade_s: float) -> None:
        """Let it stand elsewhere from now on, fading if it is thereby heard or heard no more."""
        if place is self.place:
            return
        before, self.place = self.place, place
        found = self.input
        if found is not None and Place.ON_AIR in (before, place):
            found.fade(0.0 if place is Place.ON_AIR else -math.inf, fade_s)

    def close(self) -> None:
        """Let go of it."""
        self.place = Place.STANDBY

    def _stand(self, verdict: Verdict, opening: bool = False) -> Standing:
        self.verdict = verdict
        return Standing(self.name, verdict, opening, self.optional)


class StreamStrip(Strip):
    """A file, a stream, a line input, a tone: opened by us. Files play only when they are needed, and for ever."""

    def __init__(
        self, name: str, source: str, watching: WatchSettings, mixer: Mixer, open_source: Callable[[], Source],
        *, gain_db: float, kind: InputKind, now: float,
    ) -> None:  # fmt: skip
        """Raises ChannelBusy when the mixer has no room."""
        super().__init__(name, source, watching)
        self._open = open_source
        self._feed = open_source()
        self._metered = MeteredFeed(self._feed)
        self._input = mixer.add_input(
            name, self._metered, role="programme", gain_db=gain_db, label=source, kind=kind
        )
        self._input.fade(-math.inf, 0.0)
        self._since = now
        self._opened = False
        self._running = False
        self._rest_at = math.inf
        self._reopen_at = math.inf

    @property
    def title(self) -> str:
        """What it says is on."""
        return self._feed.title

    @property
    def input(self) -> MixerInput:
        """Its input of the mixer."""
        return self._input

    def look(self, now: float) -> Standing:
        """Listen to it, open it again if need be; gives how it stands."""
        if now >= self._reopen_at:
            self._reopen()
        if self._reopen_at < math.inf or self._feed.state in ("ended", "failed"):
            return self._over(now)
        self.fault = self._feed.reason
        level = self._metered.level_dbfs()
        if not self._opened and not self._begin(now):
            return self._stand(Verdict.ABSENT, opening=True)
        if now >= self._rest_at:
            self._rest()
        if not self._running:
            return self._stand(Verdict.READY)
        return self._stand(self.watch.verdict if level is None else self.watch.look(now, level))

    def put(self, now: float, place: Place, fade_s: float) -> None:
        """Let it stand elsewhere; a file that is not needed any more stands still when it has faded."""
        if place is self.place:
            return
        super().put(now, place, fade_s)
        self._rest_at = math.inf
        if place is Place.STANDBY:
            self._rest_at = now + fade_s
        elif self._opened:
            self._run()

    def close(self) -> None:
        """Let go of it."""
        super().close()
        self._feed.close()

    def _begin(self, now: float) -> bool:
        """It may have come by now."""
        if not self._feed.ready:
            return False
        self._opened = True
        if not self._feed.live:
            self.watch.restart()
        elif now - self._since > PATIENCE_S:
            self.watch.lose()
        if self._feed.live or self.place is not Place.STANDBY:
            self._run()
        return True

    def _run(self) -> None:
        if not self._running:
            self._running = True
            self._feed.play()

    def _rest(self) -> None:
        """Stand still, and be believed to sound when it is needed again. What is live goes on and is listened to."""
        self._rest_at = math.inf
        if not self._feed.live:
            self._running = False
            self._feed.pause()
            self.watch.restart()

    def _over(self, now: float) -> Standing:
        if self._reopen_at == math.inf:
            self.fault = self._feed.reason or f"{self._feed.title} has come to its end"
            self._reopen_at = now + REOPEN_S
            self.watch.lose()
        return self._stand(Verdict.ABSENT)

    def _reopen(self) -> None:
        self._feed.close()
        self._feed = self._metered.feed = self._open()
        self._opened = self._running = False
        self._reopen_at = math.inf


class PublishersStrip(Strip):
    """Whoever publishes: always heard; while they are, what comes after them in the list is not."""

    optional = True

    def __init__(self, name: str, watching: WatchSettings, mixer: Mixer) -> None:
        super().__init__(name, name, watching)
        self._mixer = mixer
        self._title = ""
        self.watch.lose()

    @property
    def title(self) -> str:
        """Who they are."""
        return self._title

    @property
    def input(self) -> None:
        """They have inputs of their own."""
        return None

    def look(self, now: float) -> Standing:
        """Listen to those who are not muted."""
        publishers = [each for each in self._mixer.inputs.values() if each.kind == "publisher"]
        self._title = ", ".join(each.label for each in publishers)
        if not publishers:
            self.watch.lose()
            return self._stand(Verdict.ABSENT)
        levels = [
            each.level().rms_dbfs for each in publishers if each.sounding and not (each.muted or each.held)
        ]
        return self._stand(self.watch.look(now, max(levels, default=SILENCE_DBFS)))


class ChannelStrip(Strip):
    """Another channel of the relay, opened by the mixer."""

    def __init__(
        self, name: str, source: str, watching: WatchSettings, mixer: Mixer, *, gain_db: float, now: float
    ) -> None:
        """Raises ChannelBusy when the mixer has no room, ConfigurationError when there is no such channel."""
        super().__init__(name, source, watching)
        self._input = mixer.add_input(name, source, role="programme", gain_db=gain_db)
        self._input.fade(-math.inf, 0.0)
        self._since = now
        self._opened = False

    @property
    def title(self) -> str:
        """Its name."""
        return self._input.title

    @property
    def input(self) -> MixerInput:
        """Its input of the mixer."""
        return self._input

    def look(self, now: float) -> Standing:
        """Listen to it."""
        self.fault = self._input.fault
        if not self._opened:
            if not self._input.sounding:
                return self._stand(Verdict.ABSENT, opening=True)
            self._opened = True
            if now - self._since > PATIENCE_S:
                self.watch.lose()
        level = self._input.level().rms_dbfs if self._input.sounding else SILENCE_DBFS
        return self._stand(self.watch.look(now, level))
