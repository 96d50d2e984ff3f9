"""Which lost packets to ask for again, and when: while a retransmission can still come in time (RFC 4585 §6.2.1).

Unlike `loacodecs.nack`, which gives up by age, this knows when each packet will be wanted: its place in media time
tells. A packet with time to spare is asked for once per round trip; one that has little is asked for oftener, since
a doubled packet costs less than a hole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MAX_MISSING: Final = 256
"""Packets waited for at once; the oldest is given up first. Relays remember about as many."""
MAX_TRIES: Final = 6
REORDER_S: Final = 0.008
"""Grace before the first request, for packets that were only overtaken."""
PROBE_EVERY: Final = 20
"""Of the packets for which the time seems too short, every so many is asked for: the path may have become better."""
_SOONEST_S: Final = 0.040
_FIRST_ROUND_TRIP_S: Final = 0.15


@dataclass(slots=True)
class Asked:
    """Requests for one packet that was only overdue: when the first and the last left, and how many there were."""

    start: int
    """Media time at which it would begin."""
    first: float
    last: float
    tries: int = 1


NOTHING_ASKED: Final[Mapping[int, Asked]] = MappingProxyType({})


class RoundTrip:
    """Round trip of requests: smoothed, and its deviation (RFC 6298 §2), in seconds."""

    def __init__(self) -> None:
        self.smoothed = _FIRST_ROUND_TRIP_S
        self._deviation = _FIRST_ROUND_TRIP_S / 2
        self._known = False

    @property
    def hopeful(self) -> float:
        """A quick answer: in less time hardly any comes."""
        return max(0.0, self.smoothed - self._deviation)

    @property
    def patience(self) -> float:
        """After so long an answer is no longer to be expected."""
        return self.smoothed + 3 * self._deviation

    def answers(self, asked: Asked, now: float) -> bool:
        """Whether what comes `now` may be the answer to those requests; or else it was under way, and only late."""
        soonest = self.hopeful if self._known else 0.0
        return now - asked.first >= soonest and now - asked.last <= 2 * self.patience

    def add(self, seconds: float) -> None:
        """A request was answered after `seconds`."""
        if not 0 < seconds < 10:
            return
        if not self._known:
            self._known = True
            self.smoothed = seconds
            self._deviation = seconds / 2
            return
        self._deviation += (abs(seconds - self.smoothed) - self._deviation) / 4
        self.smoothed += (seconds - self.smoothed) / 8


@dataclass(slots=True)
class _Missing:
    start: int  # media time at which it presumably begins
    end: int  # and ends
    next_ask: float
    asked: float = 0.0  # first
    tries: int = 0
    early: bool = False
    """Asked for when it was only overdue."""


class Repair:
    """The missing packets of one stream, by extended sequence number."""

    def __init__(self, round_trip: RoundTrip) -> None:
        self._round_trip = round_trip
        self._missing: dict[int, _Missing] = {}
        # Given up, but the answers tell how long answers take.
        self._overdue: dict[int, _Missing] = {}
        self._hopeless = 0

    def __len__(self) -> int:
        return len(self._missing)

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._missing

    def notice(
        self,
        first: int,
        begin: int,
        end: int,
        count: int,
        now: float,
        asked: Mapping[int, Asked] = NOTHING_ASKED,
    ) -> int:
        """`count` packets from number `first` on are missing between the media times `begin` and `end`.

        `asked` are the requests there were already, when they were only overdue. Gives how many had to be given up
        because too many are missing.
        """
        step = (end - begin) / count
        skipped = max(0, count - MAX_MISSING)
        given_up = skipped
        for index in range(skipped, count):
            if len(self._missing) >= MAX_MISSING:
                del self._missing[next(iter(self._missing))]
                given_up += 1
            start, until = begin + int(index * step), begin + int((index + 1) * step)
            missing = _Missing(start, until, now + REORDER_S)
            if (before := asked.get(first + index)) is not None:
                missing.asked, missing.tries, missing.early = before.first, before.tries, True
                again = before.last + max(_SOONEST_S, self._round_trip.smoothed)
                missing.next_ask = max(missing.next_ask, again)
            self._missing[first + index] = missing
        return given_up

    def arrived(self, sequence: int, now: float) -> bool:
        """Packet `sequence` came; whether it had been asked for."""
        missing = self._missing.pop(sequence, None) or self._overdue.pop(sequence, None)
        if missing is None or not missing.tries:
            return False
        # Requests are repeated sooner than answers can come, so Karn's rule would leave nothing to measure. Most
        # answers are to the first request; where it was lost, the round trip is overrated, once. In a burst, and
        # before the relay had the packet, the first is mostly in vain.
        if missing.tries == 1 or not missing.early:
            self._round_trip.add(now - missing.asked)
        return True

    def resolve(self, sequence: int) -> bool:
        """The content of packet `sequence` came another way; whether it was missing."""
        return self._missing.pop(sequence, None) is not None

    def due(
        self,
        now: float,
        deadline: Callable[[int], float | None],
        absent: Callable[[int, int], int | None],
        *,
        ask: bool = True,
    ) -> tuple[list[int], int, int]:
        """What to ask for at `now`, how many were given up, and how many others brought meanwhile.

        `deadline` tells when the frame at a media time will be wanted (None: nobody knows), `absent` the first media
        time in a stretch that is not there yet (None: all is); without `ask` the missing are only counted.
        """
        asked: list[int] = []
        gone: list[int] = []
        given_up = 0
        for sequence, missing in self._missing.items():
            if now < missing.next_ask:
                continue
            wanted = absent(missing.start, missing.end)
            if wanted is None:
                gone.append(sequence)
                continue
            at = deadline(wanted)
            left = self._round_trip.patience * MAX_TRIES if at is None else at - now
            if left <= 0:
                gone.append(sequence)
                given_up += 1
            elif ask and self._worthwhile(missing, left):
                asked.append(sequence)
                missing.tries += 1
                missing.asked = missing.asked or now
                missing.next_ask = now + self._interval(left)
            else:
                missing.next_ask = now + left  # what is under way may still come
        for sequence in gone:
            missing = self._missing.pop(sequence)
            if missing.tries:
                self._overdue[sequence] = missing
        while len(self._overdue) > MAX_MISSING:
            del self._overdue[next(iter(self._overdue))]
        return asked, given_up, len(gone) - given_up

    def next_deadline(self) -> float | None:
        """When `due` will have something to say."""
        earliest = min((missing.next_ask for missing in self._missing.values()), default=math.inf)
        return None if earliest == math.inf else earliest

    def _worthwhile(self, missing: _Missing, left: float) -> bool:
        """Whether an answer can come within `left` seconds; now and then one is asked for to measure that anew."""
        if missing.tries >= MAX_TRIES:
            return False
        if left >= self._round_trip.hopeful:
            return True
        if missing.tries:
            return False
        self._hopeless += 1
        return self._hopeless % PROBE_EVERY == 0

    def _interval(self, left: float) -> float:
        """Until the next request, `left` seconds before the packet is wanted: two more answers should fit in."""
        spare = (left - self._round_trip.smoothed) / 2
        soonest = max(_SOONEST_S, self._round_trip.smoothed / 2)
        return max(soonest, min(self._round_trip.patience, spare))
