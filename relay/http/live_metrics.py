"""Prometheus metrics of mixing. Publishers are one source together: a label for each session would grow for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from relay.live_ports import LiveStats, MixState, SourceStats
from relay.ports import Histogram

_NONE: Final = Histogram((), (), 0.0, 0)

_COUNTERS: Final[tuple[tuple[str, str, Callable[[LiveStats], int]], ...]] = (
    ("loa_mix_ticks", "Blocks of 20 ms that were mixed", lambda s: s.ticks),
    ("loa_mix_ticks_late", "Ticks that began more than 1 ms after their time", lambda s: s.late),
    ("loa_mix_overruns", "Ticks that began only when the one after them was due", lambda s: s.overruns),
    ("loa_mix_ticks_skipped", "Ticks passed over, since too many were missing", lambda s: s.skipped),
    ("loa_mix_faults", "Mistakes in our own code that a tick outlived", lambda s: s.faults),
)
_CHANNEL_GAUGES: Final[tuple[tuple[str, str, Callable[[MixState], float]], ...]] = (
    ("loa_mix_inputs", "Inputs of a mixed channel", lambda s: len(s.inputs)),
    ("loa_mix_sounding", "1 while its bus sounds", lambda s: s.bus.sounding),
    (
        "loa_mix_loudness_lufs",
        "Short-term loudness (BS.1770), -200 for none",
        lambda s: s.bus.short_term_lufs,
    ),
    (
        "loa_mix_silent",
        "1 when it has been silent for long enough to fall back",
        lambda s: s.bus.silence == "silent",
    ),
)
_CHANNEL_COUNTERS: Final[tuple[tuple[str, str, Callable[[MixState], float]], ...]] = (
    ("loa_mix_packets_encoded", "Opus packets made", lambda s: s.bus.packets),
    (
        "loa_mix_blocks_dropped",
        "Blocks not encoded, since the encoder could not keep up",
        lambda s: s.bus.dropped,
    ),
)
_SOURCE_GAUGES: Final[tuple[tuple[str, str, Callable[[SourceStats], float]], ...]] = (
    ("loa_source_playing", "Sources that sound just now", lambda s: s.playing),
    ("loa_source_faulty", "Sources with which something is wrong; the API says what", lambda s: s.faulty),
)
_SOURCE_COUNTERS: Final[tuple[tuple[str, str, Callable[[SourceStats], float]], ...]] = (
    ("loa_source_reconnects", "Times a source was opened again", lambda s: s.reconnects),
    ("loa_source_missing_blocks", "Blocks of 20 ms lost, late, or run dry", lambda s: s.missing),
    ("loa_source_cleaned_samples", "Samples that were no sound and were silenced", lambda s: s.cleaned),
    ("loa_source_rejected_packets", "Packets that could not be used", lambda s: s.rejected),
)


class LiveCollector(Collector):
    """Turns LiveStats into metric families whenever Prometheus asks."""

    def __init__(self, stats: Callable[[], LiveStats]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """All families of one snapshot."""
        stats = self._stats()
        for name, text, value in _COUNTERS:
            yield CounterMetricFamily(name, text, value=value(stats))
        yield _histogram("loa_mix_tick_jitter_seconds", "Lateness of ticks", stats.jitter_seconds)
        yield _histogram("loa_mix_tick_seconds", "Time that a tick took", stats.tick_seconds)
        for kinds, family in ((_CHANNEL_GAUGES, GaugeMetricFamily), (_CHANNEL_COUNTERS, CounterMetricFamily)):
            for name, text, of_channel in kinds:
                by_channel = family(name, text, labels=["channel"])
                for channel, state in stats.channels.items():
                    by_channel.add_metric([channel], float(of_channel(state)))
                yield by_channel
        for sources, family in ((_SOURCE_GAUGES, GaugeMetricFamily), (_SOURCE_COUNTERS, CounterMetricFamily)):
            for name, text, of_source in sources:
                by_source = family(name, text, labels=["channel", "source"])
                for place, counts in stats.sources.items():
                    by_source.add_metric(list(place), float(of_source(counts)))
                yield by_source


def _histogram(name: str, text: str, found: Histogram | None) -> Metric:
    histogram = found or _NONE
    bounds = zip(histogram.bounds, histogram.counts, strict=True)
    buckets = [(repr(float(bound)), float(count)) for bound, count in bounds]
    buckets.append(("+Inf", float(histogram.count)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum)
