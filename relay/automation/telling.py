"""Tells the log what a channel's automation did by itself: another source on air, and why; items that failed."""

from __future__ import annotations

import logging
from typing import Final

from relay.automation.programme import ChannelAutomation
from relay.automation.views import shown_source

_log = logging.getLogger("loa.automation")

_NORMAL: Final = ("the first of the list", "nothing has begun", "no source is there")
_COMMANDED: Final = "by an operator"


class Telling:
    """What was told of one channel; `look` after each step."""

    def __init__(self, channel: str, automation: ChannelAutomation) -> None:
        self._extra = {"channel": channel}
        self._automation = automation
        self._told = automation.standing
        self._on_air = self._told[0]
        self._failures = automation.queue.failures

    def look(self) -> None:
        """Tell what has changed since the last look."""
        automation = self._automation
        standing = automation.standing
        if standing != self._told:
            self._told = standing
            self._tell(*standing)
        failed = automation.queue.failures - self._failures
        if failed:
            self._failures += failed
            past = [each for each in automation.queue.past if each.outcome == "failed"]
            for each in reversed(past[:failed]):
                _log.warning(
                    "%s was not played: %s",
                    each.item.title or shown_source(each.item.source),
                    each.fault,
                    extra=self._extra,
                )

    def _tell(self, on_air: str | None, reason: str) -> None:
        if on_air is None and reason == "no source is there" and not self._on_air:
            return  # a queue that was always empty
        self._on_air = on_air
        usual = reason in _NORMAL or reason.endswith(_COMMANDED) or reason.startswith("waiting for ")
        level = logging.INFO if usual else logging.WARNING
        _log.log(level, "%s is on air: %s", on_air or "nothing", reason, extra=self._extra)
