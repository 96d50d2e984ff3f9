"""Which figures of a report may be compared with another's, and how large a change must be to matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.present.schema import Report


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure, found at `path` (keys joined by dots); with `per`, divided by the figure at that path.

    matters: the smallest relative change worth a word, never less than `least` in the figure's own unit.
    assumed: the relative noise between two runs, for when there are too few of them to see it.
    gates: a ratio taken within one run, so it travels between machines and may fail a comparison.
    """

    path: str
    title: str
    unit: str = ""
    higher_is_better: bool = False
    gates: bool = False
    matters: float = 0.10
    least: float = 0.0
    assumed: float = 0.20
    per: str = ""

    def of(self, report: Report) -> float | None:
        """The figure, or None where the report has none."""
        value = _figure(report, self.path)
        if value is None or not self.per:
            return value
        divisor = _figure(report, self.per)
        return value / divisor if divisor else None

    def margin(self, values: Sequence[float]) -> float:
        """The smallest change from `values` that matters, in the figure's unit."""
        return max(abs(median(values)) * self.matters, self.least)

    def noise(self, values: Sequence[float]) -> float:
        """The noise to assume around `values` without repeats, in the figure's unit."""
        return max(abs(median(values)) * self.assumed, self.least)


def _figure(report: Report, path: str) -> float | None:
    value: Any = report
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _ratio(path: str, title: str, *, higher_is_better: bool = False) -> Metric:
    # the reach of `compare` is that two runs agree within 10 %
    return Metric(path, title, "", higher_is_better, gates=True, matters=0.05, assumed=0.10)


def _latency(path: str, title: str) -> Metric:
    return Metric(path, title, "ms", least=0.1, assumed=0.5)


_RELAY = (
    _ratio("ratio_to_floor", "ratio to the floor"),
    Metric("relay_cpu_us_per_packet", "relay CPU per packet", "µs"),
    Metric("floor_us_per_packet", "floor: bare sendmmsg", "µs"),
    Metric("relay_upkeep_us_per_listener_s", "relay CPU in silence per listener", "µs/s"),
    _latency("latency_ms.p50", "latency p50"),
    _latency("latency_ms.p99", "latency p99"),
    _latency("jitter_ms.p50", "jitter p50"),
    _latency("jitter_ms.p99", "jitter p99"),
    Metric("lost", "share of packets lost", "", per="sent", least=1e-5),
    Metric("join_s", "all have joined after", "s", least=0.05, assumed=0.3),
    Metric(
        "join_burst.jitter_ms_during.p99", "jitter p99 during the join burst", "ms", least=0.1, assumed=0.5
    ),
    Metric("relay_kb_per_listener", "relay memory per listener", "KB", assumed=0.1),
    Metric("generator_cpu_us_per_packet", "generator CPU per packet", "µs"),
)
_COMPARE = (
    _ratio("ratio.janus", "Janus over loa, CPU per packet", higher_is_better=True),
    _ratio("ratio.aiortc_encode", "aiortc encoding over loa, CPU per packet", higher_is_better=True),
    _ratio("ratio.aiortc_packets", "aiortc packets over loa, CPU per packet", higher_is_better=True),
    Metric("servers.loa.cpu_us_per_packet", "loa CPU per packet", "µs"),
    Metric("floor_us_per_packet", "floor: bare sendmmsg", "µs"),
    _latency("servers.loa.latency_ms.p50", "loa latency p50"),
    _latency("servers.loa.latency_ms.p99", "loa latency p99"),
)

METRICS: Mapping[str, Sequence[Metric]] = {"relay": _RELAY, "compare": _COMPARE}
