"""The relay's own addresses as answers name them, looked up anew from time to time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from relay.net.interfaces import host_candidates, machine_addresses
from relay.net.sockaddr import Address

REFRESH_S = 30.0
"""A machine's addresses change when a link comes up; asking for each of a thousand joins would be waste."""


class AddressBook:
    """Host candidates for answers. `advertised` entries of port None use the port of the first socket."""

    def __init__(
        self,
        bound: Sequence[Address],
        advertised: Sequence[tuple[str, int | None]] = (),
        enumerate_addresses: Callable[[], list[str]] = machine_addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bound = list(bound)
        self._advertised = list(advertised)
        self._enumerate = enumerate_addresses
        self._clock = clock
        self._known: list[str] = []
        self._known_until = -1.0

    def candidates(self, asked_at: str | None) -> list[Address]:
        """The addresses to name to a client whose HTTP request arrived at `asked_at`, most likely first."""
        return host_candidates(self._bound, self._advertised, asked_at, self._addresses)

    def _addresses(self) -> list[str]:
        now = self._clock()
        if now >= self._known_until:
            self._known = self._enumerate()
            self._known_until = now + REFRESH_S
        return self._known
