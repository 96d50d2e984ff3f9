"""Prometheus metrics of programme automation, and of those who look at live state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from relay.automation_ports import AutomationStats


@dataclass(frozen=True, slots=True)
class ViewerCounts:
    """Who looks at live state, and levels that some of them were too slow for."""

    viewers: int = 0
    skipped: int = 0


_Stats = Mapping[str, AutomationStats]
_BY_SOURCE: Final[tuple[tuple[str, str, Callable[[AutomationStats, str], bool]], ...]] = (
    ("loa_automation_on_air", "1 while a source of the list is on air", lambda s, name: s.on_air == name),
    (
        "loa_automation_source_heard",
        "1 while a source of the list is heard, on air or not; 0 when it is warned of, silent or gone",
        lambda s, name: s.verdicts[name] == "heard",
    ),
    (
        "loa_automation_source_faulty",
        "1 while something is wrong with a source of the list; the state says what",
        lambda s, name: s.faulty[name],
    ),
)
_COUNTERS: Final[tuple[tuple[str, str, Callable[[AutomationStats], int]], ...]] = (
    ("loa_automation_items_played", "Items of the queue that came to their end", lambda s: s.played),
    (
        "loa_automation_items_failed",
        "Items of the queue that were not played to their end",
        lambda s: s.failed,
    ),
    ("loa_automation_switches", "Changes of the source on air", lambda s: s.switches),
)


class AutomationCollector(Collector):
    """Turns AutomationStats into metric families whenever Prometheus asks."""

    def __init__(self, stats: Callable[[], _Stats], viewers: Callable[[], ViewerCounts]) -> None:
        self._stats = stats
        self._viewers = viewers

    def collect(self) -> Iterator[Metric]:
        """All families of one snapshot."""
        stats, viewers = self._stats(), self._viewers()
        for name, text, value in _BY_SOURCE:
            gauge = GaugeMetricFamily(name, text, labels=["channel", "source"])
            for channel, each in stats.items():
                for source in each.verdicts:
                    gauge.add_metric([channel, source], float(value(each, source)))
            yield gauge
        queued = GaugeMetricFamily("loa_automation_queue_items", "Items in the queue", labels=["channel"])
        for channel, each in stats.items():
            queued.add_metric([channel], each.queued)
        yield queued
        for name, text, count in _COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["channel"])
            for channel, each in stats.items():
                counter.add_metric([channel], count(each))
            yield counter
        yield GaugeMetricFamily(
            "loa_live_viewers", "Who looks at live state by WebSocket", value=viewers.viewers
        )
        yield CounterMetricFamily(
            "loa_live_levels_skipped", "Levels that a viewer was too slow for", value=viewers.skipped
        )
