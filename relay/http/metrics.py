"""Prometheus metrics: what the core counts and what HTTP counts. No label holds an address or a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from relay.config import Config
from relay.device_ports import DeviceStats
from relay.http.auth import Authority
from relay.http.automation_metrics import AutomationCollector, ViewerCounts
from relay.http.device_metrics import DeviceCollector
from relay.http.live_metrics import LiveCollector
from relay.http.meeting_metrics import MeetingCollector
from relay.http.output_metrics import OutputCollector, StreamCounts
from relay.http.upstream_metrics import upstream_metrics
from relay.live_ports import LiveStats
from relay.meeting_ports import MeetingStats
from relay.output_ports import OutputStats
from relay.ports import ChannelStats, RelayCore, RelayStats
from relay.ports import Histogram as CoreHistogram

_ChannelValue = Callable[[ChannelStats], float]

_CHANNEL_GAUGES: Final[tuple[tuple[str, str, _ChannelValue], ...]] = (
    ("loa_channel_listeners", "Listeners connected", lambda s: s.listeners),
    ("loa_channel_publisher", "1 while a publisher or source is connected", lambda s: s.publisher),
    ("loa_channel_on_air", "1 while sound arrives", lambda s: s.on_air),
    (
        "loa_channel_listener_loss_ratio",
        "Mean fraction lost in the latest receiver reports",
        lambda s: s.listener_fraction_lost,
    ),
    (
        "loa_channel_listener_jitter_seconds",
        "Mean interarrival jitter in the latest receiver reports",
        lambda s: s.listener_jitter_s,
    ),
)
_CHANNEL_COUNTERS: Final[tuple[tuple[str, str, _ChannelValue], ...]] = (
    ("loa_channel_packets_in", "RTP packets taken from the source", lambda s: s.packets_in),
    ("loa_channel_bytes_in", "RTP payload bytes taken from the source", lambda s: s.bytes_in),
    ("loa_channel_packets_out", "RTP packets sent to listeners", lambda s: s.packets_out),
    ("loa_channel_packets_in_lost", "RTP packets of the source that never came", lambda s: s.lost_in),
    ("loa_channel_packets_in_duplicate", "RTP packets that came twice", lambda s: s.duplicates_in),
    ("loa_channel_packets_in_late", "RTP packets that came too late to forward", lambda s: s.late_in),
    ("loa_channel_source_switches", "Changes of the source on air", lambda s: s.switches),
    ("loa_channel_nacks_received", "Packets asked for again by listeners", lambda s: s.nacks_received),
    ("loa_channel_packets_retransmitted", "Packets sent again to listeners", lambda s: s.retransmitted),
    ("loa_channel_nacks_refused", "Packets asked for again and not sent", lambda s: s.nacks_refused),
    ("loa_channel_nacks_sent", "Packets the relay asked its source for again", lambda s: s.nacks_sent),
)


class CoreCollector(Collector):
    """Turns a RelayStats into metric families whenever Prometheus asks."""

    def __init__(self, stats: Callable[[], RelayStats]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """All families of one snapshot."""
        stats = self._stats()
        for name, text, value in _CHANNEL_GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=["channel"])
            for channel, counts in stats.channels.items():
                gauge.add_metric([channel], float(value(counts)))
            yield gauge
        for name, text, value in _CHANNEL_COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["channel"])
            for channel, counts in stats.channels.items():
                counter.add_metric([channel], float(value(counts)))
            yield counter
        yield from _renditions(stats)
        yield from upstream_metrics(stats.upstreams)
        sessions = GaugeMetricFamily("loa_sessions", "Sessions by kind", labels=["kind"])
        for kind, count in stats.sessions.items():
            sessions.add_metric([kind], count)
        yield sessions
        yield _by("loa_joins", "Sessions that connected, by kind", "kind", stats.joins.items())
        yield _by("loa_leaves", "Sessions that ended, by reason", "reason", stats.leaves.items())
        yield _by("loa_datagrams_refused", "Datagrams dropped, by reason", "reason", stats.refused.items())
        yield CounterMetricFamily("loa_datagrams_in", "Datagrams received", value=stats.datagrams_in)
        yield CounterMetricFamily(
            "loa_send_errors", "Datagrams the kernel did not take", value=stats.send_errors
        )
        yield CounterMetricFamily(
            "loa_receive_overflows", "Datagrams lost in a full receive buffer", value=stats.receive_overflows
        )
        yield CounterMetricFamily(
            "loa_packets_compiled",
            "RTP packets of sources that took the compiled way",
            value=stats.packets_compiled,
        )
        yield CounterMetricFamily(
            "loa_packets_misnumbered",
            "RTP packets sent under other numbers than the books give them",
            value=stats.packets_misnumbered,
        )
        yield from _histogram(
            "loa_batch_seconds", "Sealing and sending one packet to all", stats.batch_seconds
        )
        yield from _histogram("loa_loop_lag_seconds", "Lateness of the media loop", stats.loop_lag_seconds)
        yield from _histogram("loa_join_seconds", "From offer to connected", stats.join_seconds)


def _renditions(stats: RelayStats) -> Iterator[Metric]:
    labels = ["channel", "rendition"]
    listeners = GaugeMetricFamily(
        "loa_rendition_listeners", "Listeners connected, by what they hear", labels=labels
    )
    packets = CounterMetricFamily(
        "loa_rendition_packets_out", "RTP packets sent to listeners, by what they hear", labels=labels
    )
    for channel, counts in stats.channels.items():
        for name, rendition in counts.renditions.items():
            listeners.add_metric([channel, name], rendition.listeners)
            packets.add_metric([channel, name], rendition.packets_out)
    yield listeners
    yield packets


def _by(name: str, text: str, label: str, items: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in items:
        family.add_metric([key], count)
    return family


def _histogram(name: str, text: str, histogram: CoreHistogram | None) -> Iterator[Metric]:
    if histogram is None:
        return
    buckets = [
        (repr(float(bound)), float(count))
        for bound, count in zip(histogram.bounds, histogram.counts, strict=True)
    ]
    yield HistogramMetricFamily(
        name, text, buckets=[*buckets, ("+Inf", float(histogram.count))], sum_value=histogram.sum
    )


class HttpMetrics:
    """The registry behind /metrics and the counters of the HTTP side."""

    def __init__(
        self,
        core: RelayCore,
        version: str,
        devices: Callable[[], DeviceStats] = DeviceStats,
        outputs: Callable[[], OutputStats] = OutputStats,
        streams: Callable[[], StreamCounts] = StreamCounts,
        mixing: Callable[[], LiveStats] = LiveStats,
        automation: AutomationCollector | None = None,
        meetings: Callable[[], Mapping[str, MeetingStats]] = dict,
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(CoreCollector(core.stats))
        self.registry.register(DeviceCollector(devices))
        self.registry.register(OutputCollector(outputs, streams))
        self.registry.register(LiveCollector(mixing))
        self.registry.register(automation or AutomationCollector(dict, ViewerCounts))
        self.registry.register(MeetingCollector(meetings))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(_Build(version))
        self.requests = Counter(
            "loa_http_requests",
            "HTTP requests, by route and status",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "loa_http_request_seconds",
            "Time from request to response",
            ["route"],
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=self.registry,
        )
        self.bad_tokens = Counter(
            "loa_http_bad_tokens", "Requests refused for their token", registry=self.registry
        )
        self.revoked_tokens = Counter(
            "loa_http_revoked_tokens",
            "Requests refused since their token was revoked",
            registry=self.registry,
        )


class _Build(Collector):
    def __init__(self, version: str) -> None:
        self._version = version

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("loa_build", "This relay", value={"version": self._version})


def install(routes: APIRouter, metrics: HttpMetrics, config: Config, authority: Authority) -> None:
    """Add `/metrics`: open when `metrics.public`, to this machine itself, or to a token with scope metrics."""

    async def show(request: Request) -> Response:
        """Prometheus or OpenMetrics text."""
        peer = authority.peer(request)
        if not (config.metrics.public or peer.local):
            authority.require(request, peer, "metrics")
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"Content-Type": content_type})

    routes.add_api_route("/metrics", show, methods=["GET"], response_class=Response, response_model=None)
