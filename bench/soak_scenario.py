"""`loa bench soak`: a fixed load for hours, and whether anything grows.

Memory (what the relay has written itself), descriptors and threads of the relay, and latency p50 and p99 of all
packets are taken once an interval. The first tenth of the run is left out of the slopes: caches fill, and glibc's
arenas find their size. What a slope means is told in `bench.slope`; a figure that rises ends the run with 1.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import procfs, verdict
from bench.fitness import Watch, Window
from bench.histogram import Counts, percentile
from bench.present import schema
from bench.present.distribution import curve
from bench.slope import CONFIDENCE, Figure, Trend, trend
from bench.stage import PLAYING, Parameters, Say, Stage

SAMPLED_STREAMS = 8
SETTLE_S = 1.0
WARM_UP_SHARE = 0.1
POINTS = 60
POINTS_MAX = 600
INTERVAL_MIN_S, INTERVAL_MAX_S = 0.25, 60.0
_WINDOW = 0

# How much over the whole run is too much: a share of the median, and never less than so many units
FIGURES: Sequence[Figure] = (
    Figure("memory_mb", "MB", 0.01, 1.0),
    Figure("descriptors", "", 0.0, 2.0),
    Figure("threads", "", 0.0, 1.0),
    Figure("latency_p50_ms", "ms", 0.10, 0.2),
    Figure("latency_p99_ms", "ms", 0.20, 1.0),
)


def interval_for(duration: float) -> float:
    """Seconds between two samples: a sixtieth of the run, but a minute at most and never more than POINTS_MAX."""
    return max(INTERVAL_MIN_S, min(INTERVAL_MAX_S, duration / POINTS), duration / POINTS_MAX)


@dataclass(slots=True)
class Series:
    """What was sampled, one value an interval; `start_s` counts from the first."""

    start_s: list[float] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(
        default_factory=lambda: {figure.name: [] for figure in FIGURES}
    )

    def add(self, at_s: float, **values: float | None) -> None:
        """One sample of every figure."""
        self.start_s.append(round(at_s, 3))
        for name, value in values.items():
            self.values[name].append(value)

    def trends(self) -> list[Trend]:
        """All figures judged, without the warm-up."""
        skip = round(len(self.start_s) * WARM_UP_SHARE)
        return [trend(figure, self.start_s[skip:], self.values[figure.name][skip:]) for figure in FIGURES]


class _Sampler:
    """Takes a sample whenever an interval has passed."""

    def __init__(self, stage: Stage, interval_s: float, now: float) -> None:
        self.series = Series()
        self._stage, self._interval, self._begin = stage, interval_s, now
        self._next = now + interval_s
        self._last = self._latency()

    def look(self, now: float) -> None:
        """To be called often."""
        if now < self._next:
            return
        while self._next <= now:
            self._next += self._interval
        current = self._latency()
        counts, self._last = current - self._last, current
        pid = self._stage.server.pid
        self.series.add(
            now - self._begin,
            memory_mb=round(self._stage.server.memory().own / 1024, 3),
            descriptors=procfs.descriptors(pid),
            threads=procfs.threads(pid),
            latency_p50_ms=_ms(percentile(counts, 0.5)),
            latency_p99_ms=_ms(percentile(counts, 0.99)),
        )

    def _latency(self) -> Counts:
        counts: Counts = self._stage.receivers.found.latency[PLAYING, _WINDOW].copy()
        return counts


def _ms(value: int | None) -> float | None:
    return None if value is None else round(value / 1e6, 4)


def run(parameters: Parameters, say: Say) -> dict[str, Any]:
    """Do the whole run; the report, whose `flat` says whether nothing rises. Raises BenchError when it could not be
    done.
    """
    started = time.time()
    interval = interval_for(parameters.duration)
    with Stage(parameters, say) as stage:
        stage.go_on_air()
        stage.warm_up()
        join = stage.join(stage.listener_rows, PLAYING, SAMPLED_STREAMS)
        stage.play(SETTLE_S, "settling")
        watch, window = Watch(stage), Window(stage, _WINDOW)
        window.open()
        sampler = _Sampler(stage, interval, time.monotonic())
        stage.play(parameters.duration, "soaking", sampler.look)
        window.close()
        stretch = watch.end(join.generator_cores)
        sampled = [session for session in stage.playing() if session.sample]
        opened = sum(session.opened for session in sampled)
        wrong = sum(session.wrong for session in stage.playing()) + stage.receivers.unmapped
        left = join.joined - len(stage.playing())
        problems = [*join.problems, *stage.server.last_warnings()]
    trends = sampler.series.trends()
    if left:
        problems.append(f"{left} listeners lost their session during the run")
    problems += [_sentence(each) for each in trends if each.verdict in ("falling", "unclear")]
    invalid = [
        f"the generator was the bottleneck: {text}"
        for text in verdict.saturated_by(stretch.generator, parameters.frame_ms)
    ]
    if opened == 0 or wrong:
        invalid.append("the sampled streams were not what was published")
    header = schema.header(
        "soak",
        started=started,
        parameters=parameters.told(),
        invalid_because=invalid,
        problems=[*problems, *verdict.disturbed_by(stretch.generator)],
    )
    return header | {
        "listeners": parameters.listeners,
        "joined": join.joined,
        "flat": not any(each.verdict == "rising" for each in trends),
        "not_flat_because": [_sentence(each) for each in trends if each.verdict == "rising"],
        "slopes": {each.figure.name: _slope(each) for each in trends},
        **window.to_json(),
        "received": window.received,
        "relay_cpu_us_per_packet": round(stretch.relay_us_per_packet or 0.0, 3),
        "generator": asdict(stretch.generator),
        "sample": {"streams": len(sampled), "opened": opened, "wrong": wrong},
        "series": {"interval_s": interval, "start_s": sampler.series.start_s, **sampler.series.values},
        "distribution": {"latency_ms": curve(window.latency), "jitter_ms": curve(window.jitter)},
    }


def _slope(found: Trend) -> dict[str, Any]:
    slope = found.per_hour
    return {
        "verdict": found.verdict,
        "median": found.median,
        "per_hour": None if slope is None else slope.estimate,
        "low": None if slope is None else slope.low,
        "high": None if slope is None else slope.high,
        "confidence": CONFIDENCE,
        "allowed_over_run": round(found.allowed, 4),
    }


def _sentence(found: Trend) -> str:
    name = found.figure.name.rpartition("_")[0].replace("_", " ") or found.figure.name
    if (slope := found.per_hour) is None:
        return f"{name}: too few samples to tell a slope; soak longer"
    unit = f" {found.figure.unit}".rstrip()
    interval = f"{slope.estimate:+.3g}{unit} an hour, {CONFIDENCE:.0%} between {slope.low:+.3g} and {slope.high:+.3g}"
    if found.verdict == "unclear":
        return f"{name} cannot be called flat: {interval}; soak longer or on a quieter machine"
    return f"{name} is {found.verdict}: {interval}; {found.allowed:.3g}{unit} over the run would be allowed"


def table(report: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"{report['joined']:,} of {report['listeners']:,} listeners, {report['sent']:,} packets, "
        f"{report['lost']:,} lost; relay {report['relay_cpu_us_per_packet']:.2f} µs a packet",
        f"{'':<16} {'median':>10} {'an hour':>10} {'at least':>10} {'at most':>10}",
    ]
    for name, slope in report["slopes"].items():
        cells = (slope["median"], slope["per_hour"], slope["low"], slope["high"])
        figures = "".join(f" {'-' if value is None else format(value, '.4g'):>10}" for value in cells)
        lines.append(f"{name:<16}{figures}  {slope['verdict']}")
    lines += [f"problem: {text}" for text in report["problems"]]
    lines += [f"NOT FLAT, {text}" for text in report["not_flat_because"]]
    lines += [f"NOT VALID, {text}" for text in report["invalid_because"]]
    return "\n".join(lines)
