"""What the proxy did, and whether it did it in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .counts import Counts

LATE_S: Final = 0.005
"""A proxy whose p99 is later than this adds a delay of its own that the model does not know."""


@dataclass(frozen=True, slots=True)
class LinkReport:
    """Figures of a whole run; times in seconds.

    late_*        how much later than decided datagrams were sent, measured after the system call
    overflowed    datagrams the kernel dropped because the proxy did not read them in time (SO_RXQ_OVFL)
    overfull      datagrams for which there was no memory left
    unsent        datagrams the kernel did not take: nobody listens there, or its buffer is full
    oversize      datagrams longer than anything WebRTC sends
    refused       datagrams of clients beyond the limit
    cpu_us        CPU of the process per datagram that came in, microseconds
    incomplete    a sentence for each trace that could not be written to its end
    """

    seconds: float
    clients: int
    up: Counts
    down: Counts
    sent: int
    late_p50: float | None
    late_p99: float | None
    late_max: float
    overflowed: int
    overfull: int
    unsent: int
    oversize: int
    refused: int
    orphans: int
    cpu_us: float | None
    incomplete: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Why the path was worse than the model says, and what is missing; empty when all is well."""
        found = list(self.incomplete)
        if self.overflowed:
            found.append(f"{self.overflowed} datagrams were lost because the proxy did not read them in time")
        if self.overfull:
            found.append(f"{self.overfull} datagrams were lost because too many were on their way at once")
        if self.refused:
            found.append(f"{self.refused} datagrams came from clients beyond --clients")
        if self.late_p99 is not None and self.late_p99 > LATE_S:
            found.append(f"the proxy itself was late: p99 {self.late_p99 * 1000:.1f} ms")
        return found

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        lateness = {
            name: None if value is None else round(value * 1000, 4)
            for name, value in (("p50", self.late_p50), ("p99", self.late_p99), ("max", self.late_max))
        }
        return {
            "seconds": round(self.seconds, 3),
            "clients": self.clients,
            "up": self.up.as_dict(),
            "down": self.down.as_dict(),
            "sent": self.sent,
            "late_ms": lateness,
            "overflowed": self.overflowed,
            "overfull": self.overfull,
            "unsent": self.unsent,
            "oversize": self.oversize,
            "refused": self.refused,
            "orphans": self.orphans,
            "cpu_us_per_datagram": self.cpu_us,
            "problems": self.problems,
        }

    def line(self) -> str:
        """The state of things in one line."""
        parts = [f"{self.seconds:.0f} s, {self.clients} clients"]
        for name, counts in (("up", self.up), ("down", self.down)):
            parts.append(f"{name} {counts.offered} ({counts.loss_share * 100:.2f} % lost)")
        if self.late_p99 is not None:
            parts.append(f"late p99 {self.late_p99 * 1000:.2f} ms")
        return ", ".join(parts)

    def table(self) -> str:
        """The figures for a person."""
        rows = ["         offered      lost    share  chance   queue   stall  burst  doubled    held"]
        for name, counts in (("up", self.up), ("down", self.down)):
            rows.append(
                f"{name:<5}{counts.offered:>11}{counts.lost:>10}{counts.loss_share * 100:>7.2f} %"
                f"{counts.lost_chance:>8}{counts.lost_queue:>8}{counts.lost_stall:>8}"
                f"{counts.mean_burst:>7.2f}{counts.doubled:>9}{counts.held:>8}"
            )
        if self.late_p50 is not None and self.late_p99 is not None:
            rows.append(
                f"sent {self.sent}, later than decided by p50 {self.late_p50 * 1000:.3f}, "
                f"p99 {self.late_p99 * 1000:.3f}, max {self.late_max * 1000:.3f} ms"
            )
        if self.unsent:
            rows.append(f"{self.unsent} datagrams were refused by their addressee's system")
        if self.cpu_us is not None:
            rows.append(f"CPU {self.cpu_us:.1f} µs per datagram")
        return "\n".join([*rows, *self.problems])
