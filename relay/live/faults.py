"""Tells the log what is wrong with the inputs of mixed channels, and when that is over.

The state and the metrics say it at every moment; the log is for who comes later. Publishers are told of where their
sessions begin and end.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from relay.live.mixed import MixedChannel

log = logging.getLogger("loa.live")

LOOK_S: Final = 1.0
PAUSE_S: Final = 60.0
"""Of one input something is told at most so often, or a source that comes and goes would fill the disk."""
_RETRY: Final = re.compile(r"; trying again in [\d.]+ s$")
_NUMBER: Final = re.compile(r"\d+")


class FaultLog:
    """Drive it by `look`, or have it `run`."""

    def __init__(
        self, channels: Mapping[str, MixedChannel], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._channels = channels
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[str, float]] = {}

    def look(self) -> None:
        """Tell what is another fault than the last one told, as far as it is time."""
        now = self._clock()
        there = set()
        for name, channel in self._channels.items():
            for each in channel.inputs.values():
                if each.kind != "publisher":
                    there.add((name, each.name))
                    self._look_at((name, each.name), _RETRY.sub("", each.fault), now)
        for gone in self._told.keys() - there:
            del self._told[gone]

    async def run(self) -> None:
        """Look at all inputs until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def _look_at(self, key: tuple[str, str], fault: str, now: float) -> None:
        told, when = self._told.get(key, ("", now - PAUSE_S))
        if _NUMBER.sub("", fault) == _NUMBER.sub("", told) or now - when < PAUSE_S:
            return
        self._told[key] = fault, now
        extra = {"channel": key[0], "input": key[1]}
        if fault:
            log.warning("input %s: %s", key[1], fault, extra=extra)
        else:
            log.info("input %s is well again", key[1], extra=extra)
