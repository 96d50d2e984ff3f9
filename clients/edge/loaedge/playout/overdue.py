"""Packets that ought to have come by now: they are asked for before a later one tells of them.

Losses of mobile links come in bursts, and a gap is seen only by the packet after it. After a burst of half a second
that is too late to ask for its beginning. But a stream has a beat: after each packet the next ones are due at known
times, give or take what the path's delay wanders. What is overdue by more than that is asked for by its presumable
number, together with whatever has become due meanwhile; twice in a round trip, since requests are lost in bursts, too,
and relays send nothing again twice in a round trip.

Perhaps the source has only paused, and so for all receivers at once. So a silence is good for `MAX_REQUESTS`, each
receiver draws its moment, and where a retransmission has much time to come the question waits while two still fit.
Where packets repeat those before (RED, RFC 2198) it waits for these, too, if two fit in after them, or if no answer
is to be expected anyway. With time for one, that one would be late for the bursts that repeats do not mend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from loacodecs.opus import SAMPLE_RATE

from .repair import Asked, RoundTrip

MAX_REQUESTS: Final = 4
"""Requests until a packet comes; each names all that is overdue."""
MAX_OVERDUE: Final = 24
"""Packets asked for at once."""
DEVIATIONS: Final = 3.0
"""How much later than usual, in mean deviations, a packet is overdue: some two in a hundred of a wandering delay."""
SLACK_S: Final = 0.010
"""What a packet may be late on a path that does not wander at all."""
_SETTLED: Final = 8
_SOONEST_S: Final = 0.060


class Beat:
    """When packets come, by their place in media time: what the delay is usually, how far it strays from that, and how
    far from that of the packet before (mean deviations, RFC 6298 §2). The smaller of the two tells more."""

    def __init__(self) -> None:
        self._mean = self._newest = 0.0
        self._deviation = self._step = 0.0
        self._count = 0

    @property
    def known(self) -> bool:
        """Whether enough packets have come to tell."""
        return self._count >= _SETTLED

    def note(self, end: int, now: float) -> None:
        """A packet of which the last sample has the media time `end` came at `now`, by itself."""
        delay = now - end / SAMPLE_RATE
        if not self._count:
            self._mean = self._newest = delay
        gain = 1 / min(self._count + 1, 4 * _SETTLED)
        difference = delay - self._mean
        self._mean += gain * difference
        self._deviation += gain * (abs(difference) - self._deviation)
        self._step += gain * (abs(delay - self._newest) - self._step)
        self._newest = delay
        self._count += 1

    def usual(self, end: int) -> float:
        """When the packet that ends at media time `end` is usually there."""
        return max(self._mean, self._newest) + end / SAMPLE_RATE

    def latest(self, end: int) -> float:
        """When the packet that ends at media time `end`, the next one, is overdue."""
        late = min(self._mean + DEVIATIONS * self._deviation, self._newest + DEVIATIONS * self._step)
        return end / SAMPLE_RATE + late + SLACK_S


class Overdue:
    """What is to follow the newest packet of one stream and has not come."""

    def __init__(self, round_trip: RoundTrip) -> None:
        self.beat = Beat()
        self._round_trip = round_trip
        self._asked: dict[int, Asked] = {}
        self._newest: tuple[int, int, int] | None = None  # number, end, samples
        self._spread = 0.0
        self._redundancy = 0
        self._requests = 0
        self._last = 0.0

    def follow(
        self, sequence: int, begin: int, end: int, spread: float, *, pausing: bool, redundancy: int = 0
    ) -> None:
        """Packet `sequence` with the media time begin … end-1 is the newest; `spread` is drawn from 0 … 1.

        After a `pausing` one, by which the source says that it falls silent, nothing is expected. It repeats the
        `redundancy` packets before it, and so presumably will those that follow.
        """
        self._newest = None if pausing else (sequence, end, end - begin)
        self._spread = spread
        self._redundancy = redundancy
        self._requests = 0
        # Answers to what has been repeated meanwhile are still to come, and tell how long answers take.
        oldest = sequence - 2 * MAX_OVERDUE
        self._asked = {number: asked for number, asked in self._asked.items() if number > oldest}

    def arrived(self, sequence: int, start: int) -> Asked | None:
        """Packet `sequence` that begins at media time `start` came; the requests for it, if any.

        If it begins elsewhere than supposed, the source had paused, and nothing was overdue.
        """
        asked = self._asked.pop(sequence, None)
        if asked is not None and asked.start != start:
            self._asked.clear()
            return None
        return asked

    def missed(self, first: int, end: int) -> dict[int, Asked]:
        """A later packet shows that first … end-1 are lost: the requests for them, by number."""
        return {number: asked for number, asked in self._asked.items() if first <= number < end}

    def next_deadline(self, deadline: Callable[[int], float | None]) -> float | None:
        """When something will be overdue (local time); `deadline` tells when a media time will be wanted."""
        if self._newest is None or self._requests >= MAX_REQUESTS or not self.beat.known:
            return None
        _, begin, samples = self._newest
        if self._requests:
            return self._last + self._pause
        overdue = self.beat.latest(begin + samples)
        wanted = deadline(begin)
        if wanted is None:
            return None
        overdue += self._repeats(wanted - overdue, samples / SAMPLE_RATE)
        spare = wanted - 2 * self._round_trip.patience - overdue
        if spare > 0:
            return overdue + spare * (0.5 + self._spread / 2)
        return overdue + self._spread * samples / SAMPLE_RATE / 2

    def _repeats(self, left: float, length: float) -> float:
        """How long to wait for packets, each of `length`, that repeat one that is wanted in `left` seconds."""
        if left < self._round_trip.patience:
            return length * self._redundancy
        spare = left - 2 * self._round_trip.patience
        return length * min(self._redundancy, max(0, int(spare / length)))

    @property
    def _pause(self) -> float:
        """Between two requests."""
        return max(_SOONEST_S, self._round_trip.smoothed / 2)

    def due(
        self, now: float, deadline: Callable[[int], float | None], absent: Callable[[int, int], int | None]
    ) -> list[int]:
        """What to ask for at `now`, by presumable number; `absent` as for `Repair.due`."""
        moment = self.next_deadline(deadline)
        if moment is None or now < moment or self._newest is None:
            return []
        newest, begin, samples = self._newest
        self._requests += 1
        self._last = now
        wanted: list[int] = []
        for index in range(MAX_OVERDUE):
            start = begin + index * samples
            # Where one is overdue something is wrong: those after it are given no more than the usual time.
            if index and now < self.beat.usual(start + samples):
                break
            first = absent(start, start + samples)
            at = None if first is None else deadline(first)
            if at is None or at - now < self._round_trip.hopeful:
                continue
            sequence = newest + 1 + index
            asked = self._asked.get(sequence)
            if asked is not None and now - asked.last < self._pause / 2:
                continue
            wanted.append(sequence)
            if asked is None:
                self._asked[sequence] = Asked(start, now, now)
            else:
                asked.last, asked.tries = now, asked.tries + 1
        return wanted
