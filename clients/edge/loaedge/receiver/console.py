"""What a receiver is doing and what is wrong with it, on the console: a line for each change."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


class Console:
    """Tell it how things are every few seconds. `said_elsewhere` gives faults that have a line already."""

    def __init__(self, said_elsewhere: Callable[[], tuple[str, ...]] = tuple) -> None:
        self._said_elsewhere = said_elsewhere
        self._state = ""
        self._faults: tuple[str, ...] = ()

    def note(self, state: str, faults: tuple[str, ...]) -> None:
        """Say what has changed: the state, what is newly wrong, what is in order again."""
        elsewhere = self._said_elsewhere()
        faults = tuple(fault for fault in faults if fault not in elsewhere)
        if state != self._state:
            log.info("state: %s", state)
        for fault in faults:
            if fault not in self._faults:
                log.warning("needs mending: %s", fault)
        for fault in self._faults:
            if fault not in faults:
                log.info("in order again: %s", fault)
        self._state, self._faults = state, faults
