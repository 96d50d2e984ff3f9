"""Which packets the path loses by chance: independently, or in bursts (Gilbert 1960, Elliott 1963).

The channel is in one of two states, changing before each packet: in *gap* it loses a packet with probability
`gap_density`, in *burst* with `burst_density` (terms of RFC 3611 §4.7.2; Gilbert's good and bad). With mean loss
m, mean length of a burst b packets, densities g and d:

    share of time in burst   s = (m - g) / (d - g)
    burst → gap              r = 1 / b
    gap → burst              p = r · s / (1 - s)

With g = 0 and d = 1 a burst is a run of consecutive lost packets. A channel without memory has runs of mean
length 1 / (1 - m): bursts shorter than that would repel one another.

E. N. Gilbert, Capacity of a Burst-Noise Channel, BSTJ 39 (1960) 1253-1265;
E. O. Elliott, Estimates of Error Rates for Codes on Burst-Noise Channels, BSTJ 42 (1963) 1977-1997.
"""

from __future__ import annotations

from dataclasses import dataclass

from .checks import refuse, within
from .draws import Draw


@dataclass(frozen=True, slots=True)
class Loss:
    """How much is lost and how. Raises ConfigurationError for what no channel can do.

    mean           share of packets lost, 0 … 1
    burst          mean length of a burst in packets; None for independent losses
    burst_density  share lost within bursts
    gap_density    share lost between bursts
    """

    mean: float = 0.0
    burst: float | None = None
    burst_density: float = 1.0
    gap_density: float = 0.0

    def __post_init__(self) -> None:
        within("mean", self.mean, 0, 1)
        if self.burst is None:
            if (self.burst_density, self.gap_density) != (1.0, 0.0):
                refuse("burst", "is missing; without it losses are independent and densities mean nothing")
            return
        within("burst", self.burst, 1)
        within("gap_density", self.gap_density, 0, self.mean)
        within("burst_density", self.burst_density, self.mean, 1)
        if self.burst_share >= 1:
            refuse("mean", "is reached in bursts only: there would be no gaps; leave burst out")
        if self.enter > 1:
            refuse("burst", f"of {self.burst:g} is too short for a mean loss of {self.mean:g}")

    @property
    def burst_share(self) -> float:
        """Share of packets that meet the burst state."""
        if self.mean == self.gap_density:
            return 0.0
        return (self.mean - self.gap_density) / (self.burst_density - self.gap_density)

    @property
    def enter(self) -> float:
        """Probability to change from gap to burst before a packet; 0 when losses are independent."""
        return 0.0 if self.burst is None else self.burst_share / (1 - self.burst_share) / self.burst


class LossProcess:
    """Decides packet after packet; two draws each."""

    __slots__ = ("_burst_density", "_bursting", "_chance", "_change", "_enter", "_gap_density", "_leave")

    def __init__(self, loss: Loss, change: Draw, chance: Draw) -> None:
        """`change` moves between the states, `chance` decides within one."""
        self._change = change
        self._chance = chance
        self._enter = loss.enter
        self._leave = 0.0 if loss.burst is None else 1 / loss.burst
        self._gap_density = loss.mean if loss.burst is None else loss.gap_density
        self._burst_density = loss.burst_density
        # The first packet meets the channel as any other would, not always in its good state.
        self._bursting = loss.burst is not None and change() < loss.burst_share

    def next(self) -> bool:
        """Whether the next packet is lost."""
        if self._bursting:
            self._bursting = self._change() >= self._leave
        else:
            self._bursting = self._change() < self._enter
        return self._chance() < (self._burst_density if self._bursting else self._gap_density)
