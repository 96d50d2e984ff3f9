"""Whether a series of measurements stays flat: the line through it by Theil and Sen, and what its interval means.

The slope is the median of the slopes between all pairs of points, so a spike moves it little. Its interval is Sen's
(1968), which inverts Kendall's test with its normal approximation and its correction for ties; it takes the points'
noise to be independent. A figure is

- rising or falling when the whole interval lies on one side of zero and even its end that is nearer to zero makes a
  difference over the run that matters;
- flat when both ends make none that matters;
- unclear otherwise: the run was too short or too noisy to tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["flat", "rising", "falling", "unclear"]

CONFIDENCE = 0.95
POINTS_MIN = 6
_Z = 1.959964  # two-sided 95 % of the normal distribution


@dataclass(frozen=True, slots=True)
class Slope:
    """Of a figure, in its unit per second, with the ends of its interval."""

    estimate: float
    low: float
    high: float


def theil_sen(times: Sequence[float], values: Sequence[float]) -> Slope:
    """The slope through at least two points at different, growing times (seconds)."""
    at, height = np.asarray(times, float), np.asarray(values, float)
    first, second = np.triu_indices(len(at), 1)
    slopes = np.sort((height[second] - height[first]) / (at[second] - at[first]))
    half = _Z * math.sqrt(_variance(height)) / 2
    low = max(0, math.floor(slopes.size / 2 - half))
    high = min(slopes.size - 1, math.ceil(slopes.size / 2 + half) - 1)
    return Slope(float(np.median(slopes)), float(slopes[low]), float(slopes[max(low, high)]))


def _variance(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Of Kendall's statistic when there is no slope."""
    count = values.size
    tied = np.unique(values, return_counts=True)[1]
    return float((count * (count - 1) * (2 * count + 5) - (tied * (tied - 1) * (2 * tied + 5)).sum()) / 18)


def judge(slope: Slope, seconds: float, matters: float) -> Verdict:
    """What a slope over `seconds` means when a difference of `matters` is the smallest that does."""
    low, high = slope.low * seconds, slope.high * seconds
    if low > matters:
        return "rising"
    if high < -matters:
        return "falling"
    return "flat" if low >= -matters and high <= matters else "unclear"


@dataclass(frozen=True, slots=True)
class Figure:
    """What is watched: `matters` is a share of the median, but never less than `least` in the figure's unit."""

    name: str
    unit: str
    matters: float
    least: float


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure's course: `per_hour` and its interval in the figure's unit; `allowed` over the whole run."""

    figure: Figure
    median: float | None
    per_hour: Slope | None
    allowed: float
    verdict: Verdict


def trend(figure: Figure, times: Sequence[float], values: Sequence[float | None]) -> Trend:
    """Judge a figure; points without a value are left out, and fewer than POINTS_MIN tell nothing."""
    known = [(at, value) for at, value in zip(times, values, strict=True) if value is not None]
    if len(known) < POINTS_MIN:
        return Trend(figure, None, None, figure.least, "unclear")
    at, heights = [each[0] for each in known], [each[1] for each in known]
    median = float(np.median(heights))
    allowed = max(abs(median) * figure.matters, figure.least)
    slope = theil_sen(at, heights)
    verdict = judge(slope, at[-1] - at[0], allowed)
    return Trend(
        figure,
        median,
        Slope(*(3600 * end for end in (slope.estimate, slope.low, slope.high))),
        allowed,
        verdict,
    )
