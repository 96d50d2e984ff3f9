"""Which missing packets to ask for again, and when (generic NACK of RFC 4585 §6.2.1).

Sans-I/O: the caller feeds every packet's extended sequence number, asks `due` what to put into the next
NACK and sleeps until `next_deadline`. Memory and work are bounded by `max_outstanding`; a packet that is not
worth waiting for any longer is given up and counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# A jump of more than this many packets, either way, is a sender that started afresh and not a loss:
# 10 s of 20 ms frames, far more than any history holds.
RESTART_GAP = 500


@dataclass(slots=True)
class _Missing:
    noticed: float
    next_ask: float
    tries: int


class NackScheduler:
    """Decides which packets of one stream to ask for again.

    max_age_s        a packet noticed missing longer ago than this is given up (it would come too late)
    max_outstanding  at most so many packets are waited for; the oldest is given up first
    min_interval_s   pause between two requests for the same packet; wants to be at least one round trip
    max_tries        requests per packet
    reorder_s        grace before the first request, for packets that were only overtaken
    """

    def __init__(
        self,
        max_age_s: float = 0.5,
        max_outstanding: int = 64,
        min_interval_s: float = 0.05,
        max_tries: int = 4,
        reorder_s: float = 0.01,
    ) -> None:
        self.max_age_s = max_age_s
        self.max_outstanding = max_outstanding
        self.min_interval_s = min_interval_s
        self.max_tries = max_tries
        self.reorder_s = reorder_s
        self.recovered = 0
        """Packets that came after they had been asked for."""
        self.given_up = 0
        """Packets noticed missing that are no longer waited for."""
        self._highest: int | None = None
        # Keys are in order of noticing, hence of age: the first is always the oldest.
        self._missing: dict[int, _Missing] = {}

    @property
    def outstanding(self) -> int:
        """Number of packets waited for."""
        return len(self._missing)

    def on_packet(self, extended_seq: int, now: float) -> bool:
        """Note an arrival (extended sequence number, monotonic seconds); True when it fills a gap."""
        highest = self._highest
        if highest is not None and extended_seq == highest + 1 and not self._missing:
            self._highest = extended_seq
            return False
        if highest is None or abs(extended_seq - highest) > RESTART_GAP:
            self.given_up += len(self._missing)
            self._missing.clear()
            self._highest = extended_seq
            return False
        self._expire(now)
        if extended_seq <= highest:
            missing = self._missing.pop(extended_seq, None)
            if missing is None:
                return False
            if missing.tries:
                self.recovered += 1
            return True
        self._notice(highest + 1, extended_seq, now)
        self._highest = extended_seq
        return False

    def due(self, now: float) -> list[int]:
        """Extended sequence numbers to ask for at `now`, rising; counts one try for each."""
        self._expire(now)
        asked: list[int] = []
        for sequence, missing in self._missing.items():
            if now < missing.next_ask:
                continue
            asked.append(sequence)
            missing.tries += 1
            following = now + self.min_interval_s
            worthwhile = missing.tries < self.max_tries and following < missing.noticed + self.max_age_s
            missing.next_ask = following if worthwhile else math.inf
        return asked

    def next_deadline(self) -> float | None:
        """When `due` will next have something to say (monotonic seconds); None when it will not."""
        earliest = min((missing.next_ask for missing in self._missing.values()), default=math.inf)
        return None if earliest == math.inf else earliest

    def _notice(self, first: int, end: int, now: float) -> None:
        """Start to wait for first … end-1; the newest stay when there are too many."""
        skipped = max(0, end - first - self.max_outstanding)
        self.given_up += skipped
        for sequence in range(first + skipped, end):
            if len(self._missing) >= self.max_outstanding:
                self._give_up_oldest()
            self._missing[sequence] = _Missing(now, now + self.reorder_s, 0)

    def _expire(self, now: float) -> None:
        while self._missing:
            oldest = next(iter(self._missing.values()))
            if now - oldest.noticed <= self.max_age_s:
                return
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        del self._missing[next(iter(self._missing))]
        self.given_up += 1
