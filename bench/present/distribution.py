"""What the reports tell of a distribution: its quantile curve, and its percentiles second by second.

Both come from the bins of `bench.histogram`, so a run of any length has a report of bounded size. The course over
time is the difference of the running counts between two looks at them, taken by whoever waits for the run to end:
the receivers' loop does nothing for it. A packet belongs to the second in which the generator drained it, at most
60 ms after the kernel received it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.histogram import BINS, Counts, percentile, upper_edge

LOOKS_MAX = 600
TIMELINE_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
_DECADES = 6
_PER_DECADE = 8


def shares() -> list[float]:
    """The shares a quantile curve is told at: 5 % steps to the median, then evenly on the logarithm of the tail."""
    body = [step / 20 for step in range(11)]
    tail = [1 - 0.5 * 10 ** (-step / _PER_DECADE) for step in range(1, _DECADES * _PER_DECADE + 1)]
    named = [0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999]
    return sorted({*body, *(round(share, 9) for share in tail), *named})


def curve(counts: Counts, maximum_ns: int | None = None) -> list[tuple[float, float]]:
    """(share, milliseconds) pairs that end at (1, the maximum); empty when nothing was counted.

    Shares that fewer than one value stands beyond are left out: they would only repeat the maximum.
    """
    total = int(counts.sum())
    if total == 0:
        return []
    sums = np.cumsum(counts)
    points = []
    for share in shares():
        if (1 - share) * total >= 1:
            rank = max(1, int(np.ceil(share * total)))
            points.append((share, round(upper_edge(int(np.searchsorted(sums, rank))) / 1e6, 4)))
    top = upper_edge(int(np.searchsorted(sums, total))) if maximum_ns is None else maximum_ns
    top_ms = round(top / 1e6, 4)
    # a bin's upper edge may lie above the maximum, which is exact
    return [(share, min(value, top_ms)) for share, value in points] + [(1.0, top_ms)]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What was counted in one stretch of time: the bins that are not empty, and how often each."""

    start_s: float
    latency: tuple[Counts, Counts]
    jitter: tuple[Counts, Counts]


class Timeline:
    """Watches running counts between `resume` and `pause`; `look` may be called as often as convenient.

    After LOOKS_MAX stretches each two are joined and the interval doubles, so hours cost no more than minutes.
    """

    def __init__(
        self, latency: Callable[[], Counts], jitter: Callable[[], Counts], *, interval_s: float = 1.0
    ) -> None:
        """`latency` and `jitter` give the running counts (BINS,), which may grow while they are read."""
        self._sources = latency, jitter
        self._interval_s = interval_s
        self._origin: float | None = None
        self._start = 0.0
        self._last: tuple[Counts, Counts] | None = None
        self._stretches: list[_Stretch] = []

    def resume(self, now: float) -> None:
        """Begin a stretch at `now` (seconds); what was counted since `pause` belongs to none."""
        self._origin = now if self._origin is None else self._origin
        self._start, self._last = now, self._read()

    def look(self, now: float) -> None:
        """End a stretch and begin the next, if an interval has passed."""
        if self._last is not None and now >= self._start + self._interval_s:
            self._end_stretch(now)

    def pause(self, now: float) -> None:
        """End the stretch now; a rest of less than half an interval is added to the stretch before it."""
        if self._last is None:
            return
        rest = now - self._start < self._interval_s / 2
        self._end_stretch(now)
        self._last = None
        if rest and len(self._stretches) > 1:
            last = self._stretches.pop()
            self._stretches[-1] = _joined(self._stretches[-1], last)

    def to_json(self) -> dict[str, Any] | None:
        """What the report says; None when there was nothing to see."""
        seen = [stretch for stretch in self._stretches if stretch.latency[1].size]
        if not seen:
            return None
        return {
            "interval_s": self._interval_s,
            "start_s": [round(stretch.start_s, 2) for stretch in seen],
            "packets": [int(stretch.latency[1].sum()) for stretch in seen],
            "latency_ms": _percentiles([stretch.latency for stretch in seen]),
            "jitter_ms": _percentiles([stretch.jitter for stretch in seen]),
        }

    def _read(self) -> tuple[Counts, Counts]:
        latency, jitter = self._sources
        return latency().copy(), jitter().copy()

    def _end_stretch(self, now: float) -> None:
        if self._last is None or self._origin is None:
            return
        current = self._read()
        latency, jitter = (_sparse(new - old) for new, old in zip(current, self._last, strict=True))
        self._stretches.append(_Stretch(self._start - self._origin, latency, jitter))
        self._start, self._last = now, current
        if len(self._stretches) >= LOOKS_MAX:
            self._stretches = [_joined(*pair) for pair in zip(*[iter(self._stretches)] * 2, strict=True)]
            self._interval_s *= 2


def _sparse(counts: Counts) -> tuple[Counts, Counts]:
    bins = np.flatnonzero(counts)
    return bins, counts[bins]


def _dense(sparse: tuple[Counts, Counts]) -> Counts:
    dense = np.zeros(BINS, np.int64)
    np.add.at(dense, *sparse)
    return dense


def _joined(first: _Stretch, second: _Stretch) -> _Stretch:
    return _Stretch(
        first.start_s,
        _sparse(_dense(first.latency) + _dense(second.latency)),
        _sparse(_dense(first.jitter) + _dense(second.jitter)),
    )


def _percentiles(stretches: Sequence[tuple[Counts, Counts]]) -> dict[str, list[float | None]]:
    named: dict[str, list[float | None]] = {name: [] for name in TIMELINE_SHARES}
    for sparse in stretches:
        counts = _dense(sparse)
        for name, share in TIMELINE_SHARES.items():
            value = percentile(counts, share)
            named[name].append(None if value is None else round(value / 1e6, 3))
    return named
