"""`loa bench plan`: from what one machine was measured to do to how many of them a number of receivers needs.

Nothing here is measured: it is arithmetic on a report of `loa bench relay`, every formula of which is told
in the output (`FORMULAS`) and in docs/bench.md. It holds for machines like the one of the report, and says
where it goes beyond what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from bench.errors import BenchError
from bench.present.schema import Report
from bench.wire import Month, Rendition, month
from relay.config import MediaConfig

LISTENERS = (250, 5_000, 100_000, 10_000_000)
RENDITIONS = ("24k/20ms", "24k/60ms", "32k/20ms")
CORE_SHARE = 0.7
LINK_MBPS = 700.0
HOURS = 60.0
IP = 6
# requirements.md: "a SIM plan of 2-5 GB a month"
MONTH_LIMIT_BYTES = 1e9
IDLE_LIMIT_BYTES = 50e6

FORMULAS: Sequence[tuple[str, str]] = (
    ("packet", "payload + RTP 12 + SRTP tag 16 + UDP 8 + IP 20 or 40 bytes"),
    ("payload", "kbit/s * packet time in ms / 8 bytes; with RED (RFC 2198) twice that + 5"),
    ("sound", "packets per second * packet + 16 bytes of abs-capture-time once a second"),
    ("kbit/s to a receiver", "(sound + control towards it) * 8 / 1,000"),
    ("month with sound", "(sound + control in both directions) * hours * 3,600"),
    ("month idle", "control while nothing plays * (730 - hours) * 3,600"),
    (
        "µs per packet",
        "relay_cpu_us_per_packet + softirq_threads_us_per_packet - upkeep / packets per second measured",
    ),
    (
        "µs per receiver and second",
        "µs per packet * packets per second + upkeep (relay_upkeep_us_per_listener_s)",
    ),
    ("receivers by CPU", "cores * core share * 1,000,000 / µs per receiver and second"),
    ("receivers by busiest thread", "core share * 1,000,000 / the same for the thread that used most CPU"),
    ("receivers by memory", "(memory * core share - the relay without listeners) / memory per listener"),
    ("receivers by link", "link / kbit/s to a receiver"),
    ("receivers per relay", "the smallest of these four, rounded down"),
    (
        "relays",
        "tier 1: receivers / receivers per relay; next tier: relays below / the same; each rounded up, until 1",
    ),
    (
        "cores",
        "what a tier feeds * µs per receiver and second / 1,000,000 / core share, summed over the tiers",
    ),
)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the plan takes for granted: how full a core, a memory and a thread may be; Mbit/s that one relay
    may send; version of IP (4 or 6); hours of sound a month.
    """

    core_share: float = CORE_SHARE
    link_mbps: float = LINK_MBPS
    ip: int = IP
    hours: float = HOURS


@dataclass(frozen=True, slots=True)
class Measured:
    """What a report says about one machine."""

    listeners: int
    cores: int
    memory_kb: float
    us_per_packet: float
    busiest_us_per_packet: float
    upkeep_us_per_s: float
    base_kb: float
    kb_per_listener: float

    @classmethod
    def of(cls, report: Report) -> Measured:
        """From a report of `loa bench relay`. Raises BenchError, one line, when it can carry no plan."""
        if report["scenario"] != "relay":
            raise BenchError(
                f"a plan needs a report of `loa bench relay`, and this is one of `{report['scenario']}`"
            )
        if not report["valid"]:
            raise BenchError(
                f"the report is not valid ({'; '.join(report['invalid_because'])}); measure again"
            )
        if report["joined"] == 0:
            raise BenchError("no listener heard sound in this report; measure again")
        upkeep = report["relay_upkeep_us_per_listener_s"]
        frame_ms = report["parameters"].get("frame_ms", 20)
        if frame_ms not in (20, 40, 60):
            raise BenchError(f"parameters.frame_ms: {frame_ms!r} is none that was ever measured")
        rate = 1000 / frame_ms
        threads = report.get("relay_threads_us_per_packet") or {}
        kb_per_listener = max(report["relay_kb_per_listener"], 1.0)
        return cls(
            listeners=report["joined"],
            cores=report["machine"]["cores"],
            memory_kb=report["machine"]["memory_mb"] * 1024,
            us_per_packet=_per_packet(
                report["relay_cpu_us_per_packet"] + report.get("softirq_threads_us_per_packet", 0.0),
                upkeep,
                rate,
            ),
            busiest_us_per_packet=_per_packet(max(threads.values()), upkeep, rate) if threads else 0.0,
            upkeep_us_per_s=upkeep,
            base_kb=max(report["relay_rss_mb"] * 1024 - kb_per_listener * report["joined"], 0.0),
            kb_per_listener=kb_per_listener,
        )

    def us_per_receiver_s(self, rendition: Rendition) -> float:
        """CPU of one receiver per second of sound."""
        return self.us_per_packet * rendition.packets_per_s + self.upkeep_us_per_s

    def limits(self, rendition: Rendition, assumed: Assumptions) -> dict[str, int]:
        """How many receivers one relay of this machine carries, by what ends first."""
        found = {
            "CPU": self.cores * assumed.core_share * 1e6 / self.us_per_receiver_s(rendition),
            "memory": (self.memory_kb * assumed.core_share - self.base_kb) / self.kb_per_listener,
            "link": assumed.link_mbps * 1000 / rendition.down_kbps(assumed.ip),
        }
        if self.busiest_us_per_packet > 0:
            thread_us = self.busiest_us_per_packet * rendition.packets_per_s + self.upkeep_us_per_s
            found["busiest thread"] = assumed.core_share * 1e6 / thread_us
        return {name: floor(value) for name, value in found.items()}


def _per_packet(measured: float, upkeep: float, rate: float) -> float:
    """The part of a cost per packet that is not upkeep; all of it where upkeep seems to be more than
    there is.
    """
    rest = measured - upkeep / rate
    return rest if rest > 0 else measured


@dataclass(frozen=True, slots=True)
class Tier:
    """Relays that stand equally far from the receivers; tier 1 feeds them.

    `sessions` is what the tier feeds in all, `most` the fullest of its relays.
    """

    relays: int
    sessions: int
    most: int
    cores: float
    mbps_in: float
    mbps_out: float
    total_mbps: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """What so many receivers of one rendition need."""

    receivers: int
    rendition: Rendition
    per_relay: int
    limited_by: str
    extrapolated: bool
    tiers: Sequence[Tier]

    @property
    def relays(self) -> int:
        """Relays of all tiers."""
        return sum(tier.relays for tier in self.tiers)

    @property
    def cores(self) -> float:
        """Cores of all tiers, filled to the core share."""
        return sum(tier.cores for tier in self.tiers)


def capacity(receivers: int, rendition: Rendition, measured: Measured, assumed: Assumptions) -> Capacity:
    """Relays, tiers, cores and bandwidth. Raises BenchError when one machine cannot feed even two
    receivers.
    """
    limits = measured.limits(rendition, assumed)
    limited_by = min(limits, key=lambda name: limits[name])
    per_relay = limits[limited_by]
    if per_relay < 2:
        raise BenchError(f"one machine carries {per_relay} receivers of {rendition}, limited by {limited_by}")
    cost = measured.us_per_receiver_s(rendition) / 1e6 / assumed.core_share
    mbps = rendition.down_kbps(assumed.ip) / 1000
    tiers: list[Tier] = []
    sessions = receivers
    while not tiers or tiers[-1].relays > 1:
        relays = ceil(sessions / per_relay)
        most = ceil(sessions / relays)
        tiers.append(Tier(relays, sessions, most, sessions * cost, mbps, most * mbps, sessions * mbps))
        sessions = relays
    extrapolated = max(tier.most for tier in tiers) > measured.listeners
    return Capacity(receivers, rendition, per_relay, limited_by, extrapolated, tiers)


@dataclass(frozen=True, slots=True)
class Plan:
    """Every rendition for every number of receivers, and each rendition's month."""

    source: Mapping[str, Any]
    measured: Measured
    assumed: Assumptions
    renditions: Sequence[Rendition]
    capacities: Sequence[Capacity]

    def month(self, rendition: Rendition, ip: int) -> Month:
        """The month of one receiver."""
        return month(rendition, ip, self.assumed.hours)

    @property
    def notes(self) -> list[str]:
        """What must be known to weigh the figures."""
        notes = [
            f"for machines like the measured one ({self.source['machine']['cpu']}, {self.measured.cores} cores) and "
            "one channel; another channel adds its stream to each hop between relays",
            "measured on loopback: a network card's own cost is not in it",
        ]
        if any(each.extrapolated for each in self.capacities):
            notes.append(
                f"† more sessions on one relay than the {self.measured.listeners:,} of the report: arithmetic, not "
                "measurement, and a packet is dearer in small runs; `loa bench relay` with that number would tell"
            )
        most, configured = (
            max(tier.most for each in self.capacities for tier in each.tiers),
            MediaConfig().listeners_max,
        )
        if most > configured:
            notes.append(f"more than {configured:,} sessions on one relay need `media.listeners_max` raised")
        idle = max(self.month(each, self.assumed.ip).idle for each in self.renditions)
        if idle > IDLE_LIMIT_BYTES:
            notes.append(
                f"a receiver needs {idle / 1e6:.0f} MB a month in the hours without sound, and the limit is "
                f"{IDLE_LIMIT_BYTES / 1e6:.0f} MB"
            )
        return notes


def make(
    report: Report, listeners: Sequence[int], renditions: Sequence[Rendition], assumed: Assumptions
) -> Plan:
    """The plan that follows from a report. Raises BenchError, one line, when none can."""
    measured = Measured.of(report)
    capacities = [
        capacity(each, rendition, measured, assumed) for rendition in renditions for each in listeners
    ]
    return Plan(report, measured, assumed, renditions, capacities)
