"""What a run found, as JSON and as a table for people.

The fields of the issue come first and never change their meaning; `schema` names the version of the whole.
`valid` is False when the generator itself was the bottleneck or a sampled stream carried the wrong content:
no figure of such a run says anything about the relay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.present import schema

Percentiles = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of steady playing between two measurements of the floor."""

    packets: int
    relay_us_per_packet: float
    floor_us_per_packet: float

    @property
    def ratio(self) -> float:
        """The relay's CPU per packet over the floor's."""
        return self.relay_us_per_packet / self.floor_us_per_packet


@dataclass(frozen=True, slots=True)
class JoinBurst:
    """New listeners that came at once while the others played, and how those others fared meanwhile."""

    listeners: int
    joined: int
    join_s: float
    join_ms: Percentiles
    lost_during: int
    latency_ms_during: Percentiles
    jitter_ms_during: Percentiles
    generator_cores: float
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Generator:
    """How the load generator itself fared during the steady segments."""

    cpu_us_per_packet: float
    pacer_lag_ms: Percentiles
    timer_lag_ms: Percentiles
    socket_overflows: int
    backlog_drops: int
    not_handed_over: int
    publish_failures: int
    floor_lost: int
    idle_share: float
    steal_share: float
    others_cores: float
    join_cores: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Streams whose every packet was opened and compared with what was published."""

    streams: int
    opened: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Report:
    """One run of `loa bench relay`.

    `relay_upkeep_us_per_listener_s`: CPU the relay spends on sessions while nothing plays (consent, reports).
    """

    parameters: Mapping[str, Any]
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    command: str
    started: str
    listeners: int
    joined: int
    join_s: float
    join_ms: Percentiles
    sound_after_dtls_ms: Percentiles
    sent: int
    received: int
    duplicates: int
    latency_ms: Percentiles
    jitter_ms: Percentiles
    segments: Sequence[Segment]
    distribution: Mapping[str, Any]
    datagram_bytes: int
    relay_rss_mb: float
    relay_kb_per_listener: float
    relay_upkeep_us_per_listener_s: float
    relay_threads_us_per_packet: Mapping[str, float]
    softirq_threads_us_per_packet: float
    generator: Generator
    sample: Sample
    join_burst: JoinBurst | None
    churn: Mapping[str, Any] | None = None
    api_load: Mapping[str, Any] | None = None
    profile: Mapping[str, Any] | None = None
    saturated_by: Sequence[str] = ()
    problems: Sequence[str] = field(default=())

    @property
    def lost(self) -> int:
        """Packets that were sent and not received."""
        return self.sent - self.received

    @property
    def relay_cpu_us_per_packet(self) -> float:
        """CPU of the relay's process over all segments, per packet its listeners received."""
        packets = sum(segment.packets for segment in self.segments)
        return sum(segment.relay_us_per_packet * segment.packets for segment in self.segments) / max(
            packets, 1
        )

    @property
    def floor_us_per_packet(self) -> float:
        """The median of the floor over all segments."""
        return median(segment.floor_us_per_packet for segment in self.segments)

    @property
    def ratio_to_floor(self) -> float:
        """The median over the segments of relay over floor, each floor measured right before and after."""
        return median(segment.ratio for segment in self.segments)

    @property
    def invalid_because(self) -> Sequence[str]:
        """One sentence for each reason why the figures do not speak of the relay; empty when they do."""
        reasons = [f"the generator was the bottleneck: {text}" for text in self.saturated_by]
        if self.sample.opened == 0 or self.sample.wrong > 0:
            reasons.append("the sampled streams were not what was published")
        return reasons

    @property
    def valid(self) -> bool:
        """Whether the figures speak of the relay and not of the generator."""
        return not self.invalid_because

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "schema": schema.SCHEMA,
            "scenario": "relay",
            "version": self.versions.get("loa", "unknown"),
            "started": self.started,
            "command": self.command,
            "valid": self.valid,
            "invalid_because": list(self.invalid_because),
            "listeners": self.listeners,
            "joined": self.joined,
            "join_s": round(self.join_s, 3),
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost,
            "relay_cpu_us_per_packet": round(self.relay_cpu_us_per_packet, 3),
            "floor_us_per_packet": round(self.floor_us_per_packet, 3),
            "ratio_to_floor": round(self.ratio_to_floor, 3),
            "latency_ms": dict(self.latency_ms),
            "jitter_ms": dict(self.jitter_ms),
            "relay_rss_mb": round(self.relay_rss_mb, 1),
            "generator_saturated": bool(self.saturated_by),
            "generator_cpu_us_per_packet": round(self.generator.cpu_us_per_packet, 3),
            "relay_kb_per_listener": round(self.relay_kb_per_listener, 1),
            "join_burst": None if self.join_burst is None else asdict(self.join_burst),
            "join_ms": dict(self.join_ms),
            "sound_after_dtls_ms": dict(self.sound_after_dtls_ms),
            "duplicates": self.duplicates,
            "datagram_bytes": self.datagram_bytes,
            "segments": [asdict(segment) | {"ratio": round(segment.ratio, 3)} for segment in self.segments],
            "relay_upkeep_us_per_listener_s": round(self.relay_upkeep_us_per_listener_s, 2),
            "relay_threads_us_per_packet": dict(self.relay_threads_us_per_packet),
            "softirq_threads_us_per_packet": round(self.softirq_threads_us_per_packet, 3),
            "saturated_by": list(self.saturated_by),
            "problems": list(self.problems),
            "generator": asdict(self.generator),
            "sample": asdict(self.sample),
            "parameters": dict(self.parameters),
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "distribution": dict(self.distribution),
            **{
                name: dict(part)
                for name in ("churn", "api_load", "profile")
                if (part := getattr(self, name)) is not None
            },
        }

    def write(self, path: Path) -> None:
        """Write the JSON file."""
        schema.write(self.to_json(), path)

    def table(self) -> str:
        """The figures for people."""
        rows = [
            ("listeners that heard sound", f"{self.joined} of {self.listeners} after {self.join_s:.2f} s"),
            ("packets", f"{self.sent:,} sent, {self.lost:,} lost, {self.duplicates:,} twice"),
            ("relay CPU per packet", f"{self.relay_cpu_us_per_packet:.2f} µs"),
            ("bare sendmmsg (the floor)", f"{self.floor_us_per_packet:.2f} µs"),
            ("ratio to the floor", f"{self.ratio_to_floor:.2f}"),
            ("latency ms", _spoken(self.latency_ms)),
            ("jitter ms", _spoken(self.jitter_ms)),
            ("relay CPU in silence", f"{self.relay_upkeep_us_per_listener_s:.1f} µs per listener and second"),
            ("relay memory", f"{self.relay_rss_mb:.0f} MB, {self.relay_kb_per_listener:.0f} KB per listener"),
            ("generator CPU per packet", f"{self.generator.cpu_us_per_packet:.2f} µs"),
            ("streams opened and compared", f"{self.sample.streams}, {self.sample.wrong} packets wrong"),
        ]
        if (burst := self.join_burst) is not None:
            text = f"{burst.joined} of {burst.listeners} in {burst.join_s:.2f} s"
            rows.append(("joined at once", text))
            rows.append(("jitter ms of the others then", _spoken(burst.jitter_ms_during)))
        if (churn := self.churn) is not None:
            text = f"{churn['joined']:,} in, {churn['left']:,} out, {churn['unheard']:,} heard nothing"
            rows.append(("left and joined meanwhile", text))
            rows.append(("ms until they heard sound", _spoken(churn["join_ms"])))
        if (api := self.api_load) is not None:
            rows.append(("requests meanwhile", f"{api['requests']:,}, {api['failed']:,} failed"))
            rows.append(("ms until their answer", _spoken(api["latency_ms"])))
        if self.profile is not None:
            for kind, value in self.profile["us_per_packet"].items():
                rows.append((f"relay CPU: {kind}", f"{value:.2f} µs, {self.profile['share'][kind]:.0%}"))
            rows.append(("from", f"{self.profile['by']}, {self.profile['samples']:,} samples"))
            rows.append(("flame graph", self.profile["flame_graph"]))
        lines = [f"{name:<30} {value}" for name, value in rows]
        lines += [f"problem: {text}" for text in self.problems]
        lines += [f"NOT VALID, {text}" for text in self.invalid_because]
        return "\n".join(lines)


def _spoken(figures: Percentiles) -> str:
    return "  ".join(f"{name} {'-' if value is None else value}" for name, value in figures.items())
