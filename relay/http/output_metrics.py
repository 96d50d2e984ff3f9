"""Prometheus metrics of a channel's outputs besides WebRTC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from relay.output_ports import OutputStats, RecordingStats

_Value = Callable[[RecordingStats], float]

_RECORDING_GAUGES: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("loa_recording_active", "1 while sound is recorded", lambda s: s.activity == "recording"),
    (
        "loa_recording_failed",
        "1 while nothing can be recorded: the disk is full or fails",
        lambda s: bool(s.fault),
    ),
)
_RECORDING_COUNTERS: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("loa_recording_bytes", "Bytes written to recordings", lambda s: s.octets),
    ("loa_recording_seconds", "Seconds of programme recorded", lambda s: s.seconds),
    (
        "loa_recording_missing_seconds",
        "Of these, silence or concealment where nothing came",
        lambda s: s.missing_seconds,
    ),
    ("loa_recording_segments", "Recordings begun", lambda s: s.segments),
    ("loa_recording_errors", "Failures of the disk", lambda s: s.errors),
)


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """Clients of Ogg streams, by channel: now, joined, and cut off because they did not keep up."""

    clients: Mapping[str, int] = field(default_factory=dict)
    joined: Mapping[str, int] = field(default_factory=dict)
    cut_off: Mapping[str, int] = field(default_factory=dict)


class OutputCollector(Collector):
    """Turns OutputStats and StreamCounts into metric families whenever Prometheus asks."""

    def __init__(self, stats: Callable[[], OutputStats], streams: Callable[[], StreamCounts]) -> None:
        self._stats = stats
        self._streams = streams

    def collect(self) -> Iterator[Metric]:
        """All families of one snapshot."""
        stats = self._stats()
        for name, text, value in _RECORDING_GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=["channel"])
            for channel, counts in stats.recordings.items():
                gauge.add_metric([channel], float(value(counts)))
            yield gauge
        for name, text, value in _RECORDING_COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["channel"])
            for channel, counts in stats.recordings.items():
                counter.add_metric([channel], float(value(counts)))
            yield counter
        dropped = CounterMetricFamily(
            "loa_recording_packets_dropped",
            "Packets in no recording, by reason",
            labels=["channel", "reason"],
        )
        for channel, counts in stats.recordings.items():
            for reason, count in counts.dropped.items():
                dropped.add_metric([channel, reason], count)
        yield dropped
        yield CounterMetricFamily(
            "loa_recordings_deleted",
            "Recordings deleted by age, size or need",
            value=stats.recordings_deleted,
        )
        yield from self._of_streams()
        yield from _of_rtp(stats)

    def _of_streams(self) -> Iterator[Metric]:
        counts = self._streams()
        clients = GaugeMetricFamily("loa_stream_clients", "Clients of the Ogg stream", labels=["channel"])
        for channel, count in counts.clients.items():
            clients.add_metric([channel], count)
        yield clients
        for name, text, values in (
            ("loa_stream_joins", "Clients that began to hear the Ogg stream", counts.joined),
            ("loa_stream_cut_off", "Clients of it that did not keep up", counts.cut_off),
        ):
            family = CounterMetricFamily(name, text, labels=["channel"])
            for channel, count in values.items():
                family.add_metric([channel], count)
            yield family


def _of_rtp(stats: OutputStats) -> Iterator[Metric]:
    """By the output's number, not its address."""
    packets = CounterMetricFamily(
        "loa_rtp_out_packets", "RTP packets sent to plain RTP outputs", labels=["channel", "output"]
    )
    errors = CounterMetricFamily(
        "loa_rtp_out_errors",
        "Of these and their reports, not taken by the kernel",
        labels=["channel", "output"],
    )
    for channel, outputs in stats.rtp.items():
        for number, output in enumerate(outputs):
            packets.add_metric([channel, str(number)], output.packets)
            errors.add_metric([channel, str(number)], output.errors)
    yield packets
    yield errors
