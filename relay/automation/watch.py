"""Does a source sound? Judged by its level alone, late enough that a pause for breath is no silence.

Pure: time is an argument, monotonic seconds.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from relay.automation.settings import WatchSettings
from relay.mixer.silence import Silence, SilenceDetector, SilenceSettings

BLOCKS_A_SECOND: Final = 50
_LONGEST_S: Final = 2.0
"""A look that comes later than this after the last one says nothing of the time between them."""


class Verdict(Enum):
    """What is known of a source."""

    ABSENT = "absent"
    """It is not there: not open yet, failed, nobody publishes, nothing is queued."""
    READY = "ready"
    """It could be on air at once, and nobody has listened to it yet."""
    HEARD = "heard"
    WARNED = "warned"
    """It has been quiet for `warn_s`."""
    SILENT = "silent"
    """It has been quiet for `switch_s`, or was gone, and has not been heard for `back_s` since."""


_VERDICTS: Final = {
    Silence.HEARD: Verdict.HEARD,
    Silence.WARNED: Verdict.WARNED,
    Silence.SILENT: Verdict.SILENT,
}


class SourceWatch:
    """Shown the level of a source now and then, knows its verdict. Begins with HEARD."""

    def __init__(self, settings: WatchSettings | None = None) -> None:
        self._settings = settings or WatchSettings()
        self._detector = self._new()
        self._looked: float | None = None

    @property
    def verdict(self) -> Verdict:
        """As of the last look."""
        return _VERDICTS[self._detector.state]

    @property
    def quiet_s(self) -> float:
        """For how long it has been quiet."""
        return self._detector.quiet_blocks / BLOCKS_A_SECOND

    def look(self, now: float, level_dbfs: float) -> Verdict:
        """The source has had `level_dbfs` since the last look; gives the verdict now."""
        since = now if self._looked is None else self._looked
        blocks = int(min(now - since, _LONGEST_S) * BLOCKS_A_SECOND + 1e-6)
        # what is left of a block counts for the next look
        self._looked = since + blocks / BLOCKS_A_SECOND if now - since < _LONGEST_S else now
        for _ in range(blocks):
            self._detector.update(level_dbfs)
        return self.verdict

    def restart(self) -> None:
        """Believe that it sounds."""
        self._detector, self._looked = self._new(), None

    def lose(self) -> None:
        """It is gone: when it comes again it has to be heard for a while first."""
        self.restart()
        self._detector.state = Silence.SILENT

    def _new(self) -> SilenceDetector:
        settings = self._settings
        return SilenceDetector(
            SilenceSettings(
                settings.level_dbfs,
                round(settings.warn_s * BLOCKS_A_SECOND),
                round(settings.switch_s * BLOCKS_A_SECOND),
                round(settings.back_s * BLOCKS_A_SECOND),
            )
        )
