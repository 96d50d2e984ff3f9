"""How long to wait before trying again."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Pauses that double up to a limit, each spread over its upper half so that many do not return at once.

    `random` gives random bytes, as os.urandom does.
    """

    def __init__(
        self, random: Callable[[int], bytes], *, first_s: float = 0.5, limit_s: float = 30.0
    ) -> None:
        self._random = random
        self._first = first_s
        self._limit = limit_s
        self._attempts = 0

    def next_pause(self, at_least_s: float | None = None) -> float:
        """Seconds to wait now; not less than the relay asked for (Retry-After)."""
        pause = min(self._limit, self._first * 2.0 ** min(self._attempts, 16))
        self._attempts += 1
        share = int.from_bytes(self._random(2), "big") / 65535
        spread = pause * (0.5 + 0.5 * share)
        return spread if at_least_s is None else max(spread, at_least_s * (1 + 0.1 * share))

    def reset(self) -> None:
        """The session stood: begin again with short pauses."""
        self._attempts = 0
