"""The charts of the reports. Each takes plain figures and gives inline SVG; units and legends are in the drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10, nan
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.present.theme import DASHES, INK, MARKERS, ON_SERIES, SERIES, SOFT, Chart, draw

Points = Sequence[tuple[float, float]]

_TAIL_TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
# Beyond this ratio of maximum to median a linear axis would flatten the body of the curve
_LOG_FROM = 40.0


def quantiles(title: str, curves: Mapping[str, Points], *, unit: str = "ms") -> Chart:
    """Percentile curves; the axis is logarithmic in the share that lies beyond, so that the tail is seen."""
    curves = {label: points for label, points in curves.items() if points}

    def paint(axes: Axes) -> None:
        finite = [share for points in curves.values() for share, _ in points if share < 1]
        end = max([_tail(share) for share in finite], default=1.0) + 0.45
        for number, (label, points) in enumerate(curves.items()):
            body = [(_tail(share), value) for share, value in points if share < 1]
            color = SERIES[number % len(SERIES)]
            axes.plot(
                *zip(*body, strict=True), color=color, linestyle=DASHES[number % len(DASHES)], label=label
            )
            axes.plot(
                [body[-1][0], end], [body[-1][1], points[-1][1]], color=color, linewidth=1, linestyle=":"
            )
            axes.plot(
                [end], [points[-1][1]], color=color, marker=MARKERS[number % len(MARKERS)], markersize=6
            )
            if len(curves) == 1:
                _mark(axes, points, end)
        ticks = [share for share in _TAIL_TICKS if _tail(share) < end - 0.2]
        axes.set_xticks([*map(_tail, ticks), end], [*(f"{share * 100:g}" for share in ticks), "max"])
        axes.set_xlim(0, end + 0.1)
        axes.set_xlabel("percentile of packets")
        medians = [value for points in curves.values() for share, value in points if share == 0.5]
        _duration_axis(
            axes, min(medians, default=0.0), max(points[-1][1] for points in curves.values()), unit
        )
        if len(curves) > 1:
            _legend_above(axes)

    return draw(title, _spoken(curves, unit), paint)


def over_time(title: str, timeline: Mapping[str, Any], key: str, *, unit: str = "ms") -> Chart:
    """Percentile bands second by second; gaps are the pauses in which the floor was measured."""
    series = timeline[key]
    end = max(timeline["start_s"]) + timeline["interval_s"]

    def paint(axes: Axes) -> None:
        times, rows = _with_gaps(timeline["start_s"], timeline["interval_s"], series)
        blue, orange = SERIES[0], SERIES[1]
        axes.fill_between(
            times, rows["p90"], rows["p99"], color=blue, alpha=0.25, linewidth=0, label="p90 to p99"
        )
        axes.fill_between(
            times, rows["p50"], rows["p90"], color=blue, alpha=0.55, linewidth=0, label="p50 to p90"
        )
        axes.plot(times, rows["p50"], color=INK, linewidth=1.6, label="p50")
        axes.plot(times, rows["max"], color=orange, marker="o", markersize=3, linestyle="", label="max")
        axes.set_xlim(0, end)
        axes.set_xlabel("seconds")
        seen = {name: [value for value in row if value is not None] for name, row in series.items()}
        largest = max((value for row in seen.values() for value in row), default=0.0)
        _duration_axis(axes, median(seen["p50"] or [0.0]), largest, unit)
        _legend_above(axes)

    return draw(title, f"percentiles over {end:.0f} s in stretches of {timeline['interval_s']:g} s", paint)


def stacked(title: str, rows: Mapping[str, Mapping[str, float]], *, unit: str) -> Chart:
    """Horizontal bars, one a row, each made of named parts; the sum stands at its end."""
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    widest = max(sum(row.values()) for row in rows.values())

    def paint(axes: Axes) -> None:
        labels = list(rows)[::-1]
        for number, part in enumerate(parts):
            lefts = [sum(rows[label].get(before, 0.0) for before in parts[:number]) for label in labels]
            widths = [rows[label].get(part, 0.0) for label in labels]
            axes.barh(labels, widths, left=lefts, color=SERIES[number % len(SERIES)], height=0.62, label=part)
            for at, (left, width) in enumerate(zip(lefts, widths, strict=True)):
                if len(rows[labels[at]]) > 1 and width > 0.07 * widest:
                    place, text = left + width / 2, _short(width)
                    axes.text(place, at, text, ha="center", va="center", color=ON_SERIES, fontsize=10)
        for at, label in enumerate(labels):
            _beside(axes, sum(rows[label].values()), at, _short(sum(rows[label].values())))
        axes.margins(x=0.14)
        axes.set_xlabel(unit)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        if len(parts) > 1:
            _legend_above(axes)

    said = "; ".join(f"{label} {sum(row.values()):.3g}" for label, row in rows.items())
    return draw(title, f"{unit}: {said}", paint, height=82 + 44 * len(rows) + (26 if len(parts) > 1 else 0))


def dots(title: str, rows: Mapping[str, float], floor: float, floor_label: str, *, unit: str) -> Chart:
    """One dot a row on a logarithmic axis, where a bar would have no beginning; `floor` as a line through all."""

    def paint(axes: Axes) -> None:
        labels = list(rows)[::-1]
        axes.set_xscale("log")
        axes.axvline(floor, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
        axes.annotate(
            f"{floor_label} {floor:.3g}",
            (floor, 1),
            (0, 4),
            ("data", "axes fraction"),
            "offset points",
            color=INK,
        )
        for at, label in enumerate(labels):
            number = len(labels) - 1 - at
            marker, color = MARKERS[number % len(MARKERS)], SERIES[number % len(SERIES)]
            axes.plot([floor, rows[label]], [at, at], color=color, linewidth=1)
            axes.plot([rows[label]], [at], color=color, marker=marker, markersize=9)
            _beside(axes, rows[label], at, _short(rows[label]))
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(-0.6, len(labels) - 0.4)
        axes.set_xlim(min(floor, *rows.values()) / 1.6, max(floor, *rows.values()) * 2.5)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(f"{unit}, logarithmic")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)

    said = "; ".join(f"{label} {value:.3g}" for label, value in rows.items())
    return draw(title, f"{unit}: {floor_label} {floor:.3g}; {said}", paint, height=110 + 36 * len(rows))


def pairs(title: str, rows: Sequence[tuple[float, float]], labels: tuple[str, str], *, unit: str) -> Chart:
    """Two values of each stretch, one above the other, joined by a line."""

    def paint(axes: Axes) -> None:
        numbers = list(range(1, len(rows) + 1))
        axes.vlines(numbers, [row[0] for row in rows], [row[1] for row in rows], color=SOFT, linewidth=1)
        for at, label in enumerate(labels):
            values = [row[at] for row in rows]
            axes.plot(
                numbers, values, linestyle="", marker=MARKERS[at], color=SERIES[at], markersize=7, label=label
            )
        axes.margins(y=0.15)
        axes.set_ylim(bottom=0)
        axes.set_xlim(0.4, len(rows) + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
        axes.set_xlabel("part of the run")
        axes.set_ylabel(unit)
        _legend_above(axes)

    said = "; ".join(f"{first:.3g} and {second:.3g}" for first, second in rows[:20])
    return draw(title, f"{labels[0]} and {labels[1]} in {unit}: {said}", paint)


def share_over_value(title: str, points: Points, *, unit: str) -> Chart:
    """How many per cent were done by which time."""

    def paint(axes: Axes) -> None:
        axes.plot([value for _, value in points], [share * 100 for share, _ in points], color=SERIES[0])
        marks = {
            share: next(value for reached, value in points if reached >= share) for share in (0.5, 0.99, 1.0)
        }
        for share, value in marks.items():
            axes.plot([value], [share * 100], color=SERIES[0], marker="o", markersize=5)
            if share == 1 or value < 0.9 * marks[1.0]:
                shift, side = ((8, -13), "left") if share == 0.99 else ((-6, 5), "right")
                said, place = f"{share:.0%} after {value:,.0f}", (value, share * 100)
                axes.annotate(said, place, shift, textcoords="offset points", color=INK, fontsize=10, ha=side)
        axes.margins(x=0.05)
        axes.set_xlim(left=0)
        axes.set_ylim(0, 112)
        axes.set_xlabel(unit)
        axes.set_ylabel("% of listeners")

    return draw(title, f"all after {points[-1][1]:,.0f} {unit}", paint)


def lines(title: str, times: Sequence[float], values: Sequence[float | None], *, unit: str) -> Chart:
    """One series over time; `times` in seconds, told in hours where there are many."""
    hours = max(times, default=0) > 3 * 3600

    def paint(axes: Axes) -> None:
        shown = [nan if value is None else value for value in values]
        axes.plot([time / 3600 if hours else time for time in times], shown, color=SERIES[0], linewidth=1.5)
        axes.set_xlabel("hours" if hours else "seconds")
        axes.set_ylabel(unit)
        axes.margins(y=0.25)

    return draw(title, f"{unit} over time", paint)


def curves(
    title: str, places: Sequence[float], rows: Mapping[str, Sequence[float | None]], *, axis: str, unit: str
) -> Chart:
    """Several curves over the same places, a mark at each place when they are few."""

    def paint(axes: Axes) -> None:
        for number, (label, values) in enumerate(rows.items()):
            shown = [nan if value is None else value for value in values]
            marker = MARKERS[number % len(MARKERS)] if len(places) <= 20 else ""
            color, dashes = SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]
            axes.plot(
                places[: len(shown)],
                shown,
                color=color,
                linestyle=dashes,
                marker=marker,
                linewidth=1.5,
                label=label,
            )
        axes.margins(y=0.15)
        axes.set_xlabel(axis)
        axes.set_ylabel(unit)
        if len(rows) > 1:
            _legend_above(axes)

    said = "; ".join(f"{label} {_last(values)}" for label, values in rows.items())
    return draw(title, f"{unit} over {axis}; at the end: {said}", paint)


def limited(title: str, rows: Mapping[str, float], limit: float, limit_label: str, *, unit: str) -> Chart:
    """Bars beside a limit; those that go beyond it have another colour."""

    def paint(axes: Axes) -> None:
        labels = list(rows)[::-1]
        for at, label in enumerate(labels):
            color = SERIES[1] if rows[label] > limit else SERIES[2]
            axes.barh([label], [rows[label]], height=0.62, color=color)
            place, said = (0, at), f"{rows[label]:.2f}"
            axes.annotate(said, place, (7, 0), textcoords="offset points", va="center", color=ON_SERIES)
        axes.axvline(limit, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
        axes.annotate(
            limit_label,
            (limit, 1),
            (0, 4),
            ("data", "axes fraction"),
            "offset points",
            color=INK,
            ha="center",
        )
        axes.margins(x=0.14)
        axes.set_xlabel(unit)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)

    said = "; ".join(f"{label} {value:.2f}" for label, value in rows.items())
    return draw(title, f"{unit}, limit {limit:g}: {said}", paint, height=96 + 40 * len(rows))


def _tail(share: float) -> float:
    return -log10(1 - share)


def _last(values: Sequence[float | None]) -> str:
    return next((f"{value:.3g}" for value in reversed(values) if value is not None), "nothing")


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def _beside(axes: Axes, value: float, at: float, text: str) -> None:
    """Write beside the end of a bar."""
    axes.annotate(text, (value, at), (6, 0), textcoords="offset points", va="center", color=INK)


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=6, handlelength=1.3, columnspacing=1.3)


def _mark(axes: Axes, points: Points, end: float) -> None:
    """Write the usual percentiles beside a curve that stands alone."""
    places = [(_tail(share), value) for share, value in points if share in (0.5, 0.99)]
    for place in [*places, (end, points[-1][1])]:
        axes.plot(*place, color=SERIES[0], marker="o", markersize=4)
        axes.annotate(_short(place[1]), place, (-4, 7), textcoords="offset points", color=INK, ha="right")


def _duration_axis(axes: Axes, typical: float, largest: float, unit: str) -> None:
    """An axis from zero, unless `largest` would flatten what is as small as `typical`."""
    if typical > 0 and largest > _LOG_FROM * typical:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylabel(f"{unit}, logarithmic")
    else:
        axes.set_ylim(bottom=0)
        axes.margins(y=0.12)
        axes.set_ylabel(unit)


def _with_gaps(
    starts: Sequence[float], interval: float, series: Mapping[str, Sequence[float | None]]
) -> tuple[list[float], dict[str, list[float]]]:
    """Times in the middle of each stretch, with a hole wherever the next stretch does not follow at once."""
    times: list[float] = []
    rows: dict[str, list[float]] = {name: [] for name in series}
    for at, start in enumerate(starts):
        if at and start - starts[at - 1] > 1.5 * interval:
            times.append(start - interval / 2)
            for row in rows.values():
                row.append(nan)
        times.append(start + interval / 2)
        for name, row in rows.items():
            value = series[name][at]
            row.append(nan if value is None else value)
    return times, rows


def _spoken(curves: Mapping[str, Points], unit: str) -> str:
    said = []
    for label, points in curves.items():
        named = {f"p{share * 100:g}": value for share, value in points if share in (0.5, 0.99)}
        figures = ", ".join(f"{name} {value:g}" for name, value in {**named, "max": points[-1][1]}.items())
        said.append(f"{label} {figures} {unit}")
    return "; ".join(said)
