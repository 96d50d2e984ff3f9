"""Prometheus metrics of channels that are pulled from other relays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from relay.ports import UpstreamStats


def upstream_metrics(upstreams: Mapping[str, UpstreamStats]) -> Iterator[Metric]:
    """One sample a pulled channel."""
    labels = ["channel"]
    connected = GaugeMetricFamily(
        "loa_upstream_connected", "1 while the session with the other relay stands", labels=labels
    )
    silent = GaugeMetricFamily(
        "loa_upstream_silent_seconds", "Since the last packet of the other relay", labels=labels
    )
    reconnects = CounterMetricFamily(
        "loa_upstream_reconnects", "Times the channel was asked for again", labels=labels
    )
    for channel, stats in upstreams.items():
        connected.add_metric([channel], stats.connected)
        silent.add_metric([channel], stats.silent_s)
        reconnects.add_metric([channel], stats.reconnects)
    yield connected
    yield silent
    yield reconnects
