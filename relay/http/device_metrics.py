"""Prometheus metrics of edge receivers. No label names a device: there are thousands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from relay.device_ports import DeviceStats

_Value = Callable[[DeviceStats], float]
_Values = Callable[[DeviceStats], Mapping[str, int]]

_GAUGES: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("loa_devices_connected", "Receivers whose control link is up", lambda s: s.connected),
    ("loa_devices_on_air", "Connected receivers that last said they are playing", lambda s: s.sounding),
    (
        "loa_emergencies",
        "Channels whose live programme is declared an emergency",
        lambda s: len(s.emergencies),
    ),
    ("loa_store_waiting", "Calls that wait for the store", lambda s: s.store_waiting),
)
_COUNTERS: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("loa_device_links", "Control links that came up", lambda s: s.links),
    ("loa_device_links_throttled", "Times a link was read more slowly for its haste", lambda s: s.throttled),
    ("loa_store_errors", "Calls that the store failed to answer", lambda s: s.store_errors),
)
_BY: Final[tuple[tuple[str, str, str, _Values], ...]] = (
    (
        "loa_device_links_refused",
        "Control links ended by the relay, by reason",
        "reason",
        lambda s: s.refused,
    ),
    ("loa_device_messages", "Messages of receivers, by type", "type", lambda s: s.messages),
    (
        "loa_device_receipts",
        "Receipts: stored, repeated, or refused for now",
        "outcome",
        lambda s: s.receipts,
    ),
    ("loa_device_commands", "Commands sent to receivers, by verb", "verb", lambda s: s.commands),
    ("loa_device_results", "What receivers said of commands", "outcome", lambda s: s.results),
)


class DeviceCollector(Collector):
    """Turns DeviceStats into metric families whenever Prometheus asks."""

    def __init__(self, stats: Callable[[], DeviceStats]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """All families of one snapshot."""
        stats = self._stats()
        for name, text, value in _GAUGES:
            yield GaugeMetricFamily(name, text, value=value(stats))
        for name, text, value in _COUNTERS:
            yield CounterMetricFamily(name, text, value=value(stats))
        for name, text, label, values in _BY:
            family = CounterMetricFamily(name, text, labels=[label])
            for key, count in values(stats).items():
                family.add_metric([key], count)
            yield family
