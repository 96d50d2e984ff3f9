"""The studio: one mixing engine for all mixed channels, and what a tick of it is. Knows no thread.

Drive it by `tick` with what a `TickClock` gives; while `idle` no tick is needed until `wake` is called.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from loamedia.policy import Policy
from relay.errors import ChannelNotFound
from relay.live.air import Air
from relay.live.encoding import Encoding
from relay.live.mixed import MixedChannel
from relay.live.moment import Moment
from relay.live.output import BusOutput
from relay.live.programme import Programme
from relay.live.settings import MixSettings
from relay.live.tick import Counts, Tick
from relay.live_ports import LiveStats
from relay.mixer.engine import MixEngine
from relay.mixer.standard import standard
from relay.net.histogram import HistogramCounter
from relay.ports import Histogram

log = logging.getLogger("loa.live")

LATE_S: Final = 0.001
PLACES: Final = 2
"""Of each input: who comes back takes his second one until he sounds."""
LEAVING: Final = 8
"""Room of each channel for inputs that still fade out while others have come, and for its own bus."""
CHIME: Final = 1
"""And for its chime."""
UNDISTURBED_S: Final = 0.0001
JITTER_S: Final = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2)


class Studio:
    """All mixed channels. `settings` by name of channel; the channels themselves exist already.

    `tick` belongs to one thread, the rest may be called from any. `wall` is unix seconds.
    """

    def __init__(
        self, settings: Mapping[str, MixSettings], air: Air, encoding: Encoding, policy: Policy, *,
        clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        inputs = sum(
            (each.inputs_max * PLACES + LEAVING + CHIME) * each.channels for each in settings.values()
        )
        buses = sum((each.inputs_max + LEAVING) * each.channels for each in settings.values())
        self.engine = MixEngine(inputs, buses, standard(inputs, buses))
        self.air = air
        self.policy = policy
        self.clock = clock
        self.moment = Moment()
        self.counts = Counts()
        self.jitter = HistogramCounter(JITTER_S)
        """How late ticks began, in seconds."""
        self.seconds = HistogramCounter(JITTER_S)
        """How long they took."""
        self.lock = threading.RLock()
        """Kept while inputs come and go; the tick never takes it."""
        self.on_wake: Callable[[], None] = lambda: None
        self.is_emergency: Callable[[str], bool] = lambda name: False
        """Whether the programme of a channel is declared an emergency."""
        self._wall = wall
        self._offset = 0.0
        self._encoding = encoding
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._later_lock = threading.Lock()
        self._serial, self._lanes = itertools.count(), itertools.count()
        self._channels = {name: MixedChannel(name, each, self) for name, each in settings.items()}

    def start(self) -> None:
        """Open what the configuration names. Raises ConfigurationError."""
        for channel in self._channels.values():
            channel.start()

    def close(self) -> None:
        """Let go of what was opened; there are no ticks any more."""
        for channel in self._channels.values():
            channel.close()

    def channel(self, name: str) -> MixedChannel:
        """One of the mixed channels. Raises ChannelNotFound."""
        found = self._channels.get(name)
        if found is None:
            raise ChannelNotFound(f"channel {name} is not a mixed channel of this relay")
        return found

    @property
    def channels(self) -> Mapping[str, MixedChannel]:
        """All of them."""
        return self._channels

    def heard(self) -> dict[str, list[str]]:
        """Which channels each mixed channel has as inputs."""
        return {
            name: [each.hears for each in channel.inputs.values() if each.hears]
            for name, channel in self._channels.items()
        }

    @property
    def idle(self) -> bool:
        """Whether nothing is to be mixed: nobody is there, and what was heard has died away."""
        chimes = sum(channel.announcing.rests for channel in self._channels.values())
        inputs = len(self.engine.inputs) > chimes
        return not (inputs or self._later or any(bus.sounding for bus in self.engine.buses))

    def tick(self, tick: Tick) -> None:
        """Mix one block and hand it to the encoders."""
        self.moment.now, self.moment.skipped = tick.began, tick.skipped
        self._count(tick)
        self._tie()
        self._run_later(tick.began)
        try:
            self.engine.tick()
            for channel in self._channels.values():
                for output in channel.outputs:
                    output.after(tick, self._wall_at)
        except Exception:  # the sound of all channels outlives any mistake
            self.counts.faults += 1
            log.exception("a tick of the mixer failed")
        self.seconds.observe(max(0.0, self.clock() - tick.began))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have `action` done by the mixer's thread in so many seconds."""
        with self._later_lock:
            heapq.heappush(self._later, (self.clock() + seconds, next(self._serial), action))
        self.wake()

    def wake(self) -> None:
        """There is something to mix again."""
        self.on_wake()

    def output(self, settings: MixSettings, programme: Programme) -> BusOutput:
        """A bus that feeds `programme`. Raises MixerFull."""
        return BusOutput(self.engine, settings, programme, self.air, self._encoding, next(self._lanes))

    def stats(self) -> LiveStats:
        """A snapshot of all counters."""
        counts = self.counts
        return LiveStats(
            ticks=counts.ticks,
            late=counts.late,
            overruns=counts.overruns,
            skipped=counts.skipped,
            faults=counts.faults,
            jitter_seconds=_snapshot(self.jitter),
            tick_seconds=_snapshot(self.seconds),
            channels={name: channel.state() for name, channel in self._channels.items()},
            sources={
                (name, source): counted
                for name, channel in self._channels.items()
                for source, counted in channel.sources().items()
            },
        )

    def _wall_at(self, moment: float) -> float:
        return moment + self._offset

    def _tie(self) -> None:
        """Look how wall time stands to ours; not if we were interrupted while looking."""
        before = self.clock()
        wall = self._wall()
        after = self.clock()
        if after - before < UNDISTURBED_S or not self._offset:
            self._offset = wall - (before + after) / 2

    def _count(self, tick: Tick) -> None:
        self.counts.ticks += 1
        self.counts.late += tick.late > LATE_S
        self.counts.overruns += tick.overrun
        self.counts.skipped += tick.skipped
        self.jitter.observe(tick.late)

    def _run_later(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            with self._later_lock:
                action = heapq.heappop(self._later)[2]
            try:
                action()
            except Exception:
                self.counts.faults += 1
                log.exception("something that was put off failed")


def _snapshot(counter: HistogramCounter) -> Histogram:
    cumulative = list(itertools.accumulate(list(counter.buckets)))
    return Histogram(counter.bounds, tuple(cumulative[:-1]), counter.total, cumulative[-1])
