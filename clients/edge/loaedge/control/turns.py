"""Which relay is tried next, and after how long. Knows no clock: how long a link stood is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loacodecs.backoff import Backoff
from loacodecs.control import CLOSE_LATER, CLOSE_MALFORMED, CLOSE_REFUSED, CLOSE_REPLACED

_RETRY_FIRST_S: Final = 1.0
_RETRY_LIMIT_S: Final = 60.0
_LASTING_PAUSE_S: Final = 300.0
"""A relay that refuses this receiver will do so again until a person changes something; each try costs some 5 kB.
One that has no room is not left for longer, whatever it asks for."""
_REPLACED_PAUSE_S: Final = 60.0
_STEADY_S: Final = 30.0
"""A link that stood for so long was a good one: the next pause is short again."""
_LASTING: Final = frozenset(
    {"unknown", "revoked", "signature", "protocol", "other relay", "malformed", "tls", "not found"}
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a connection.

    stood_s      seconds from its beginning to its end
    word         why it ended, as in `LinkStatus`
    code         the close code, 0 without one
    retry_after  seconds the relay asked to wait (RFC 9110 §10.2.3), None when it did not
    """

    was_up: bool
    stood_s: float
    word: str
    code: int = 0
    retry_after: float | None = None


class Turns:
    """Of `relays` relays, best first: each once a round, from the best one again after a link that was up."""

    def __init__(self, relays: int, random: Callable[[int], bytes]) -> None:
        self._relays = relays
        self._turn = 0
        self._pauses: list[float | None] = []
        """The least that each relay of this round deserves; None without a reason to wait."""
        self._backoff = Backoff(random, first_s=_RETRY_FIRST_S, limit_s=_RETRY_LIMIT_S)

    @property
    def relay(self) -> int:
        """The index of the one to try now."""
        return self._turn % self._relays

    def after(self, attempt: Attempt) -> float:
        """Seconds to wait after `attempt`."""
        if attempt.was_up and attempt.stood_s >= _STEADY_S and attempt.code != CLOSE_LATER:
            self._backoff.reset()
        self._turn = 0 if attempt.was_up else self._turn + 1
        self._pauses.append(_at_least(attempt))
        if not attempt.was_up and self.relay != 0:
            return 0.0
        # One that may be back soon is not made to wait for one that refuses us.
        known = [pause for pause in self._pauses if pause is not None]
        least = min(known) if len(known) == len(self._pauses) else None
        self._pauses.clear()
        return self._backoff.next_pause(least)


def _at_least(attempt: Attempt) -> float | None:
    if attempt.word in _LASTING or attempt.code in (CLOSE_REFUSED, CLOSE_MALFORMED):
        return _LASTING_PAUSE_S
    if attempt.code == CLOSE_REPLACED:
        return _REPLACED_PAUSE_S
    return None if attempt.retry_after is None else min(attempt.retry_after, _LASTING_PAUSE_S)
