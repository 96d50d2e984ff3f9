"""Prometheus metrics of meetings, for those who keep the relay running: numbers, never names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from relay.meeting_ports import MeetingStats


class MeetingCollector(Collector):
    """Turns MeetingStats, by channel, into metric families whenever Prometheus asks."""

    def __init__(self, stats: Callable[[], Mapping[str, MeetingStats]]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """All families of one snapshot; every state of every channel, also where nobody is."""
        is_open = GaugeMetricFamily("loa_meeting_open", "1 while a meeting is open", labels=["channel"])
        people = GaugeMetricFamily(
            "loa_meeting_people", "Who is at the meeting, by what they do there", labels=["channel", "state"]
        )
        for channel, stats in self._stats().items():
            is_open.add_metric([channel], float(stats.open))
            for state, count in stats.people.items():
                people.add_metric([channel, state], count)
        yield is_open
        yield people
