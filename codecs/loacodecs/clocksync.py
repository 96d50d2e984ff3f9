"""The relay's clock, read through a network: from exchanges of four timestamps to a smooth, bounded mapping.

How it is well done elsewhere, and what is taken from there: NTP's clock filter (RFC 5905 §10) believes the exchanges
with the smallest round trip, because whatever made the others slower lay on one of the two ways and spoils their
offset by up to half of it; chrony weighs by the excess over the smallest delay and estimates the frequency along
with the offset, so that exchanges may be rare; PTP servos and adjtime never step a clock in lock, but slew it.

Two estimates run side by side. A Kalman filter over whole exchanges finds steps and changes of rate, and when exchanges
may become rare. Where the clock stands, and what is told, is found from the quickest way in each direction
(`loacodecs.envelope`): on a mobile link, where hardly an exchange is quick both there and back, that is some
three times closer.

Sans-I/O: `add` each exchange as it completes, ask `pause_s` how long to wait before the next.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from loacodecs.envelope import Envelope, Tie
from loacodecs.linetrack import LineTracker, wander_variance

BURST = 8
"""Exchanges made in quick succession at the start, at least."""
LONGEST_BURST = 40
"""As many are made when the offset is still uncertain, as over a mobile link."""
SETTLING_S = 60.0
"""While it is uncertain the mapping goes to each new estimate at once, so long at least: a playout follows at its own
pace, and a mapping that is slewed from a bad beginning is wrong for a minute."""
BURST_PAUSE_S = 0.5
LEARNING_PAUSE_S = 1.0
"""After the burst, while the rate is too uncertain to be carried over ten seconds."""
UNSURE_PAUSE_S = 5.0
"""On air, while the offset is not known to a millisecond: over mobile links, and 0.35 kbit/s more."""
ON_AIR_PAUSE_S = 10.0
IDLE_PAUSE_S = 60.0

SOUND_PAUSES = ((15.0, 0.25), (120.0, 0.5), (300.0, 1.0))
"""On the way of the sound (see `sound_pause_s`), while the offset is not known to a millisecond: until so many seconds
after sound began, pauses of so many. An exchange costs 176 octets there, less than half of what it costs by TCP, and
the relay 0.13 ms. More than one in five seconds later on brings nothing any more (simulated on P2)."""
SOUND_PAUSE_S = 5.0

LONGEST_ROUND_TRIP_S = 5.0
"""An exchange that took longer says too little."""
STEP_CONFIRMATIONS = 3
"""Exchanges in a row that must contradict the estimate, and agree with each other, before a step is followed."""

LARGEST_WALK_S = 0.030
"""A difference beyond this is stepped over, not slewed off: it would be an echo for minutes."""

# Noise of a timestamp taken by a program that the kernel wakes up for it.
_STAMP_NOISE_S = 150e-6
# Crystals of a board and of a server: commonly within 50 ppm of each other, 200 at the worst; a standard deviation.
_RATE_SIGMA = 70e-6
# Beyond this no estimate is a crystal's: it was drawn from a delay that crept one way.
_LARGEST_RATE = 3 * _RATE_SIGMA
# A box in the sun that a cloud shades: 1 ppm in ten minutes.
_WANDER = wander_variance(1.0, 600.0)
# Unix seconds of the year 5138 and as many of a monotonic clock: beyond are no times.
_LARGEST_TIME = 1e11

# The smallest round trip is looked for among so many exchanges, then forgotten: routes change.
_ROUND_TRIPS = 48
# Of so many newest exchanges the half with the smaller round trips is used, each weighed by its own.
_FILTERED = 16
# The burst may end, one in ten seconds and one a minute may do, when so much is known (standard deviations).
_SETTLED_OFFSET = 0.5e-3
_SURE_OFFSET = 1e-3
_LEARNT_RATE = 20e-6
_SETTLED_RATE = 5e-6

# The mapping approaches the estimate within this time, at most at this rate: far below what the ear notices.
_SLEW_S = 10.0
_LARGEST_SLEW = 200e-6
# Finding the estimate anew takes a board's processor some milliseconds, and a second's readings hardly change it, but
# at the beginning.
_ESTIMATED_EVERY_S = 2.0
# A run of innovations of one sign this far out (in standard deviations) is no noise: the rate has changed.
_MANOEUVRE_SIGMAS = 2.5
_MANOEUVRE_RUN = 3
_MANOEUVRE_RATE = 50e-6


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange of four timestamps (RFC 5905 §8), in seconds."""

    sent: float
    """By the local clock."""
    received: float
    """By the relay's clock, unix time."""
    replied: float
    """By the relay's clock."""
    arrived: float
    """By the local clock."""

    @property
    def round_trip(self) -> float:
        """Time on the way, both ways, without the relay's."""
        return (self.arrived - self.sent) - (self.replied - self.received)

    @property
    def midpoint(self) -> float:
        """The local time to which `offset` belongs."""
        return (self.sent + self.arrived) / 2

    @property
    def offset(self) -> float:
        """Relay's clock minus local clock; wrong by at most half the round trip."""
        return ((self.received - self.sent) + (self.replied - self.arrived)) / 2

    @property
    def sane(self) -> bool:
        """Whether the four times are possible: finite, in order, no faster than light and no slower than useful."""
        times = (self.sent, self.received, self.replied, self.arrived)
        if not all(0 <= time < _LARGEST_TIME for time in times):
            return False
        if self.arrived < self.sent or self.replied < self.received:
            return False
        return 0 <= self.round_trip <= LONGEST_ROUND_TRIP_S


@dataclass(frozen=True, slots=True)
class _Mapping:
    """Local to relay time as two straight pieces that meet: while slewing until `end`, and after that."""

    start: float
    offset: float
    rate: float
    slew: float
    end: float

    def relay_time(self, local: float) -> float:
        since = local - self.start
        slewed = min(max(since, 0.0), self.end - self.start)
        return local + self.offset + self.rate * since + self.slew * slewed

    def local_time(self, relay: float) -> float:
        # Two rounds suffice: the slope differs from 1 by parts per million, and relay times are coarse to 0.2 µs.
        local = relay - self.offset
        for _ in range(3):
            local += relay - self.relay_time(local)
        return local


class ClockSync:
    """Ties the local monotonic clock to the relay's by what was quickest on the way there, and on the way back.

    Estimates offset and rate. The mapping is continuous while in lock: it slews towards each new estimate. A step of
    the relay's clock is followed, by a step, once `STEP_CONFIRMATIONS` exchanges in a row have shown it.
    """

    def __init__(self) -> None:
        self.refused = 0
        """Exchanges that cannot be true: out of order, with a negative round trip, not finite."""
        self.steps = 0
        """Steps of the relay's clock that were followed."""
        self._bursting: list[Exchange] = []
        self._settled = False
        self._last_arrived = self._fitted = -math.inf
        self._round_trips: deque[float] = deque(maxlen=_ROUND_TRIPS)
        self._line: LineTracker | None = None
        self._envelope = Envelope(rate_sigma=_RATE_SIGMA, wander=_WANDER, noise=_STAMP_NOISE_S)
        self._tie: Tie | None = None
        self._known_rate = (0.0, _RATE_SIGMA)
        # Offsets are 1.7e9 s: the line is kept relative to the first one, where a float still resolves picoseconds.
        self._base = 0.0
        self._mapping: _Mapping | None = None
        self._contradicting: list[Exchange] = []
        # Exchanges that lie to one side, further out than noise would explain.
        self._run: list[Exchange] = []

    def add(self, exchange: Exchange) -> bool:
        """Take a completed exchange; False when it was refused or contradicts what is known (and is kept aside)."""
        if not exchange.sane or exchange.arrived < self._last_arrived:
            self.refused += 1
            return False
        self._last_arrived = exchange.arrived
        if self._line is None:
            self._begin([exchange], 0.0, _RATE_SIGMA)
            return True
        if self._contradicts(exchange):
            return self._doubt(exchange)
        self._contradicting.clear()
        self._round_trips.append(exchange.round_trip)
        self._note(exchange)
        if self._settled:
            self._accept(exchange)
        else:
            self._bursting.append(exchange)
            if len(self._bursting) <= 2 * BURST or exchange.arrived - self._fitted >= _ESTIMATED_EVERY_S:
                self._fit_burst()
        return True

    def relay_time(self, local: float) -> float | None:
        """The relay's unix time at local monotonic time `local`; None before the first exchange."""
        return None if self._mapping is None else self._mapping.relay_time(local)

    def local_time(self, relay: float) -> float | None:
        """The local monotonic time at the relay's unix time `relay`; None before the first exchange."""
        return None if self._mapping is None else self._mapping.local_time(relay)

    def confidence_s(self, local: float) -> float | None:
        """A bound for the error of `relay_time(local)`, seconds; None before the first exchange.

        Half the smallest round trip, were all of it on one way; three standard deviations of the estimate, which
        grow while no exchange comes; and what the mapping has still to be slewed.
        """
        if self._line is None or self._mapping is None:
            return None
        pending = abs(self._mapping.relay_time(local) - local - self._base - self._estimate.value(local))
        return min(self._round_trips) / 2 + 3 * self._estimate.deviation(local) + pending

    @property
    def rate_ppm(self) -> float:
        """How much faster the relay's clock runs than the local one, parts per million."""
        return 0.0 if self._line is None else self._estimate.rate * 1e6

    @property
    def settled(self) -> bool:
        """Whether the burst at the start is over: until then the mapping may step by its confidence, not after."""
        return self._settled

    def pause_s(self, on_air: bool) -> float:
        """How long to wait before the next exchange: short at the start and in doubt, then by need."""
        bursting = not self._settled and len(self._bursting) < LONGEST_BURST
        if self._line is None or bursting or self._contradicting or self._run:
            return BURST_PAUSE_S
        if self._line.rate_sigma > _LEARNT_RATE:
            return LEARNING_PAUSE_S
        if on_air and self._estimate.sigma > _SURE_OFFSET:
            return UNSURE_PAUSE_S
        return ON_AIR_PAUSE_S if on_air or self._line.rate_sigma > _SETTLED_RATE else IDLE_PAUSE_S

    def sound_pause_s(self, since_s: float) -> float:
        """How long to wait before the next exchange on the way of the sound, which began `since_s` ago."""
        if self._line is not None and self._estimate.sigma < _SURE_OFFSET and not self._contradicting:
            return SOUND_PAUSE_S
        return next((pause for until, pause in SOUND_PAUSES if since_s < until), SOUND_PAUSE_S)

    def _begin(self, exchanges: list[Exchange], rate: float, rate_sigma: float) -> None:
        """Start, or start again, from a few exchanges; of the rate so much is known."""
        self._settled = False
        self._bursting = exchanges
        self._round_trips.clear()
        self._round_trips.extend(one.round_trip for one in exchanges)
        self._base = exchanges[0].offset
        self._known_rate = (rate, rate_sigma)
        self._envelope.restart(exchanges[0].sent, rate, rate_sigma)
        for one in exchanges:
            self._note(one)
        self._fit_burst()

    def _fit_burst(self) -> None:
        """Fit the burst as a whole: only its smallest round trip tells what each of its exchanges is worth."""
        first, *others = self._bursting
        rate, rate_sigma = self._known_rate
        sigma = first.round_trip / 2 if not others else self._noise(first)
        self._line = LineTracker(
            first.midpoint, 0.0, sigma * sigma, rate=rate, rate_sigma=rate_sigma, wander=_WANDER
        )
        for one in others:
            self._line.update(one.midpoint, one.offset - self._base, self._noise(one) ** 2)
        local = self._fitted = self._last_arrived
        self._tie = self._envelope.estimate(local)
        tie = self._estimate
        self._mapping = _Mapping(local, self._base + tie.value(local), tie.rate, 0.0, local)
        known = math.sqrt(self._line.variance(local)) < _SETTLED_OFFSET
        made = len(self._bursting)
        long = made >= LONGEST_BURST and local - first.arrived >= SETTLING_S
        if long or (made >= BURST and known):
            self._settled = True
            self._bursting = []

    def _note(self, exchange: Exchange) -> None:
        there, back = exchange.received - exchange.sent, exchange.arrived - exchange.replied
        self._envelope.add(exchange.sent, there - self._base, exchange.arrived, back + self._base)

    @property
    def _estimate(self) -> Tie:
        """Where the relay's clock stands, relative to the base; from the line while there are no envelopes."""
        assert self._line is not None
        if self._tie is not None:
            return self._tie
        line, at = self._line, self._last_arrived
        return Tie(at, line.value(at), line.rate, math.sqrt(line.variance(at)), line.rate_sigma, _WANDER)

    def _innovation(self, exchange: Exchange) -> float:
        """How far the exchange's offset lies from the estimate, seconds."""
        assert self._line is not None
        return exchange.offset - self._base - self._line.value(exchange.midpoint)

    def _contradicts(self, exchange: Exchange) -> bool:
        """Whether no asymmetry of the ways can explain the difference between exchange and estimate."""
        assert self._line is not None
        known = min(self._round_trips) / 2 + 4 * math.sqrt(self._line.variance(exchange.midpoint))
        return abs(self._innovation(exchange)) > known + exchange.round_trip / 2 + 10 * _STAMP_NOISE_S

    def _doubt(self, exchange: Exchange) -> bool:
        aside = self._contradicting
        if aside:
            first = aside[0]
            drift = 2 * _RATE_SIGMA * (exchange.midpoint - first.midpoint)
            bound = (exchange.round_trip + first.round_trip) / 2 + drift + 10 * _STAMP_NOISE_S
            if abs(exchange.offset - first.offset) > bound:
                aside.clear()
        aside.append(exchange)
        if len(aside) < STEP_CONFIRMATIONS:
            return False
        self._restart(aside)
        return True

    def _accept(self, exchange: Exchange) -> None:
        assert self._line is not None
        newest = sorted(list(self._round_trips)[-_FILTERED:])
        if exchange.round_trip <= newest[len(newest) // 2]:
            sigma = self._noise(exchange)
            if self._manoeuvres(exchange, sigma):
                return
            self._line.update(exchange.midpoint, exchange.offset - self._base, sigma * sigma)
        if self._tie is None or exchange.arrived - self._tie.x >= _ESTIMATED_EVERY_S:
            self._tie = self._envelope.estimate(exchange.arrived)
            self._slew(exchange.arrived)

    def _noise(self, exchange: Exchange) -> float:
        """Standard deviation of the exchange's offset, from its round trip's excess over the smallest.

        The smallest one seen is itself above the smallest possible; by how much, the spread of the small ones tells.
        """
        known = sorted(self._round_trips)
        spread = known[(len(known) + 3) // 4] - known[0] if len(known) > 1 else known[0]
        excess = exchange.round_trip - known[0]
        return _STAMP_NOISE_S + (excess + spread / 2) / 2

    def _manoeuvres(self, exchange: Exchange, sigma: float) -> bool:
        """Let the estimate move faster when readings keep to one side: the relay's clock is being slewed.

        True when it was a step instead, too small to contradict the round trips, and the estimate was begun anew.
        """
        assert self._line is not None
        innovation = self._innovation(exchange)
        expected = math.sqrt(self._line.variance(exchange.midpoint) + sigma * sigma)
        if abs(innovation) < _MANOEUVRE_SIGMAS * expected:
            self._run.clear()
            return False
        if self._run and self._innovation(self._run[-1]) * innovation < 0:
            self._run.clear()
        self._run.append(exchange)
        if len(self._run) < _MANOEUVRE_RUN:
            return False
        run, self._run = self._run, []
        if abs(innovation) > LARGEST_WALK_S:
            self._restart(run)
            return True
        self._line.loosen(abs(innovation), _MANOEUVRE_RATE)
        self._envelope.forget(run[0].sent)
        self._tie = None
        return False

    def _restart(self, exchanges: list[Exchange]) -> None:
        """The relay's clock has stepped, as these exchanges show; its rate is as before."""
        assert self._line is not None
        self.steps += 1
        self._contradicting = []
        self._run = []
        if abs(self._line.rate) > _LARGEST_RATE:
            self._begin(exchanges, 0.0, _RATE_SIGMA)
        else:
            self._begin(exchanges, self._estimate.rate, max(self._estimate.rate_sigma, _SETTLED_RATE))

    def _slew(self, local: float) -> None:
        """From here on approach the estimate; the mapping keeps its value at `local`."""
        assert self._mapping is not None
        offset = self._mapping.relay_time(local) - local
        tie = self._estimate
        behind = self._base + tie.value(local) - offset
        slew = max(-_LARGEST_SLEW, min(behind / _SLEW_S, _LARGEST_SLEW))
        end = local + (behind / slew if slew else 0.0)
        self._mapping = _Mapping(local, offset, tie.rate, slew, end)
