"""What became of the packets of one direction."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counts:
    """Packets, unless said otherwise.

    lost_chance, lost_queue, lost_stall  by the loss model or the trace; the queue was full; sent into a stall
    doubled      delivered twice
    held         had to wait for the end of a stall
    bursts       runs of consecutive losses, so `lost / bursts` is their mean length
    """

    offered: int = 0
    bytes: int = 0
    lost_chance: int = 0
    lost_queue: int = 0
    lost_stall: int = 0
    doubled: int = 0
    held: int = 0
    bursts: int = 0

    @property
    def lost(self) -> int:
        """Packets that never arrive."""
        return self.lost_chance + self.lost_queue + self.lost_stall

    @property
    def loss_share(self) -> float:
        """`lost` of `offered`, 0 … 1."""
        return self.lost / self.offered if self.offered else 0.0

    @property
    def mean_burst(self) -> float:
        """Mean number of consecutive packets lost at a time; 0 when none was."""
        return self.lost / self.bursts if self.bursts else 0.0

    def add(self, other: Counts) -> None:
        """Add the packets of another link."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def as_dict(self) -> dict[str, float]:
        """For a JSON report."""
        named: dict[str, float] = {field.name: getattr(self, field.name) for field in fields(self)}
        return named | {
            "lost": self.lost,
            "loss_share": round(self.loss_share, 6),
            "mean_burst": round(self.mean_burst, 3),
        }
