"""One direction of an impaired path: what becomes of each packet, decided from a seed and the time given.

Pure: no clock, no socket, no state but its own. A packet's way:

    queue and line ─> chance of loss ─> delay and jitter ─> order ─> perhaps a second copy

A packet that chance loses has used the line, as on the radio. Whether the n-th packet is lost by chance, doubled,
and how much jitter it meets depends on the seed and n alone; queue, stalls and order also depend on when it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .bottleneck import Bottleneck, Queue
from .checks import within
from .counts import Counts
from .delay import Delay, DelayProcess
from .draws import Seed, derive, draws
from .loss import Loss, LossProcess
from .stalls import Stalls


class Fates(Protocol):
    """Whatever decides packets: `Link`, or a recorded trace."""

    @property
    def counts(self) -> Counts:
        """What was decided so far."""

    def fate(self, now: float, size: int) -> tuple[float, ...]:
        """When a datagram of `size` bytes sent at `now` is delivered: never, once or more often, rising."""


Links = Callable[[int, float], tuple[Fates, Fates]]
"""Makes the two directions, up and down, of the n-th client of a path whose time begins at a given moment."""


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """One direction. `duplicate` is the share of packets that come twice. Raises ConfigurationError."""

    loss: Loss = field(default_factory=Loss)
    delay: Delay = field(default_factory=Delay)
    duplicate: float = 0.0
    bottleneck: Bottleneck = field(default_factory=Bottleneck)
    stalls: Stalls | None = None

    def __post_init__(self) -> None:
        within("duplicate", self.duplicate, 0, 1)


@dataclass(frozen=True, slots=True)
class PathConfig:
    """Both directions between clients (up: from them) and a relay (down: to them)."""

    up: LinkConfig = field(default_factory=LinkConfig)
    down: LinkConfig = field(default_factory=LinkConfig)
    name: str = "custom"

    def links(self, seed: Seed) -> Links:
        """Independent links for each client and direction, all from one seed; stalls meet all clients at once."""

        def make(client: int, epoch: float) -> tuple[Link, Link]:
            up, down = (derive(seed, client, direction) for direction in ("up", "down"))
            return Link(self.up, up, epoch), Link(self.down, down, epoch)

        return make


class Link:
    """Decides the fates of one direction's packets. Links of the same configuration and seed decide alike."""

    def __init__(self, config: LinkConfig, seed: Seed, epoch: float | None = None) -> None:
        """`epoch` is the moment from which stalls count; without it, the first packet's."""
        self.counts = Counts()
        self._loss = LossProcess(config.loss, draws(seed, "burst"), draws(seed, "loss"))
        self._delay = DelayProcess(config.delay, draws(seed, "delay"))
        self._copy_delay = DelayProcess(config.delay, draws(seed, "copy delay"))
        self._copy_chance = draws(seed, "copy")
        self._duplicate = config.duplicate
        self._in_order = not config.delay.reorder
        self._stalls = config.stalls
        self._holds = config.stalls is not None and config.stalls.action == "hold"
        self._queue: Queue | None = None
        if self._holds or config.bottleneck.rate is not None:
            self._queue = Queue(config.bottleneck, self._release)
        self._epoch = epoch
        self._now = float("-inf")
        self._last_delivery = float("-inf")
        self._losing = False

    def fate(self, now: float, size: int) -> tuple[float, ...]:
        """When a datagram of `size` payload bytes sent at `now` (seconds) is delivered, in rising order; () if lost.

        No delivery is before `now` plus the base delay. Time does not go back: an earlier `now` than before
        counts as that.
        """
        self._now = now = max(now, self._now)
        if self._epoch is None:
            self._epoch = now
        lost = self._loss.next()
        delay = self._delay.next()
        copy = self._copy_chance() < self._duplicate
        copy_delay = self._copy_delay.next() if self._duplicate else 0.0
        self.counts.offered += 1
        self.counts.bytes += size
        departure = self._depart(now, size)
        if departure is None or lost:
            self.counts.lost_chance += departure is not None
            self.counts.bursts += not self._losing
            self._losing = True
            return ()
        self._losing = False
        delivery = self._arrive(departure + delay)
        if not copy:
            return (delivery,)
        self.counts.doubled += 1
        second = self._arrive(departure + copy_delay)
        return (delivery, second) if delivery <= second else (second, delivery)

    def _depart(self, now: float, size: int) -> float | None:
        """When the packet is through queue and line; None when it does not come that far."""
        stalled = self._stalls is not None and self._stall_end(now) is not None
        if stalled and not self._holds:
            self.counts.lost_stall += 1
            return None
        if self._queue is None:
            return now
        departure = self._queue.admit(now, size)
        if departure is None:
            self.counts.lost_queue += 1
        else:
            self.counts.held += stalled
        return departure

    def _arrive(self, delivery: float) -> float:
        if self._in_order:
            delivery = self._last_delivery = max(delivery, self._last_delivery)
        return delivery

    def _release(self, at: float) -> float:
        end = self._stall_end(at) if self._holds else None
        return at if end is None else max(at, end)

    def _stall_end(self, at: float) -> float | None:
        if self._stalls is None or self._epoch is None:
            return None
        end = self._stalls.end(at - self._epoch)
        return None if end is None else self._epoch + end
