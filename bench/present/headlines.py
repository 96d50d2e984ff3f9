"""What a reader wants to know first: a few figures of a report, each with the goal it has to reach, if it has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.present.schema import Report


@dataclass(frozen=True, slots=True)
class Headline:
    """One figure in words; `met` is None where there is no goal to judge it by."""

    label: str
    value: str
    detail: str = ""
    met: bool | None = None


def headlines(report: Report) -> Sequence[Headline]:
    """The first figures of a report; nothing for a scenario that has none of its own.

    The figures of an invalid run reach and miss no goal.
    """
    write = _WRITERS.get(str(report["scenario"]))
    found = write(report) if write is not None else ()
    return found if report["valid"] else [replace(each, met=None) for each in found]


# Goals stand in the issues that asked for the relay and the bench; they are for a thousand listeners and more
GOAL_LISTENERS = 1000
RATIO_GOAL = 1.35
LATENCY_P99_GOAL_MS = 10.0
JITTER_P99_GOAL_MS = 3.0
KB_PER_LISTENER_GOAL = 100.0
GENERATOR_US_GOAL = 6.0
JANUS_GOAL = 5.0
# as many as facts.md has measured Janus with
COMPARE_GOAL_LISTENERS = 200


def _relay(report: Report) -> Sequence[Headline]:
    large = report["listeners"] >= GOAL_LISTENERS
    latency, jitter = report["latency_ms"], report["jitter_ms"]
    found = [
        Headline(
            "listeners that heard sound",
            f"{report['joined']:,} of {report['listeners']:,}",
            f"all after {report['join_s']:.2f} s",
            report["joined"] == report["listeners"],
        ),
        Headline(
            "packets lost", f"{report['lost']:,}", f"of {report['sent']:,}; goal 0", report["lost"] == 0
        ),
        _goal("relay CPU over the floor", report["ratio_to_floor"], RATIO_GOAL, "", "", judged=large),
        Headline(
            "relay CPU per packet",
            f"{report['relay_cpu_us_per_packet']:.2f} µs",
            f"bare sendmmsg: {report['floor_us_per_packet']:.2f} µs",
        ),
        _goal(
            "latency p99",
            latency["p99"],
            LATENCY_P99_GOAL_MS,
            "ms",
            f"p50 {_ms(latency['p50'])}",
            judged=large,
        ),
        _goal(
            "jitter p99", jitter["p99"], JITTER_P99_GOAL_MS, "ms", f"p50 {_ms(jitter['p50'])}", judged=large
        ),
        _goal(
            "memory per listener",
            report["relay_kb_per_listener"],
            KB_PER_LISTENER_GOAL,
            "KB",
            "",
            judged=large,
        ),
    ]
    if (cost := report.get("generator_cpu_us_per_packet")) is not None:
        found.append(_goal("generator CPU per packet", cost, GENERATOR_US_GOAL, "µs", "", judged=large))
    return found


def _compare(report: Report) -> Sequence[Headline]:
    servers: Mapping[str, Any] = report["servers"]
    found = []
    for name, ratio in report["ratio"].items():
        entry = servers.get(name, {})
        if "missing" in entry:
            found.append(Headline(f"{name} over loa", "not installed", str(entry["missing"])))
        elif ratio is not None:
            large = report["listeners"] >= COMPARE_GOAL_LISTENERS
            goal = JANUS_GOAL if name == "janus" and large else None
            found.append(
                Headline(
                    f"{name} over loa, CPU per packet",
                    f"{ratio:.2f} times",
                    f"goal {goal:g} or more" if goal else "",
                    ratio >= goal if goal else None,
                )
            )
    ours = servers.get("loa", {})
    if "cpu_us_per_packet" in ours:
        floor = report["floor_us_per_packet"]
        found.append(
            Headline(
                "loa CPU per packet", f"{ours['cpu_us_per_packet']:.2f} µs", f"bare sendmmsg: {floor:.2f} µs"
            )
        )
        latency = ours["latency_ms"]
        found.append(Headline("loa latency p99", _ms(latency["p99"]), f"p50 {_ms(latency['p50'])}"))
    return found


def _plan(report: Report) -> Sequence[Headline]:
    found = []
    first = report["capacity"][0]["rendition"]
    for row in report["capacity"]:
        if row["rendition"] == first:
            relays = f"{row['relays']:,} relay" + ("s" if row["relays"] != 1 else "")
            found.append(
                Headline(
                    f"{row['receivers']:,} receivers, {first}",
                    relays,
                    f"{row['cores']:,.1f} cores, {row['total_mbps']:,.0f} Mbit/s, {len(row['tiers'])} "
                    + ("tiers" if len(row["tiers"]) > 1 else "tier"),
                )
            )
    return found


def _goal(label: str, value: float | None, goal: float, unit: str, detail: str, *, judged: bool) -> Headline:
    """A figure that should not exceed its goal; goals are for large runs, elsewhere they are not told."""
    if value is None:
        return Headline(label, "not measured", detail)
    text = f"{value:.2f} {unit}".strip() if value < 100 else f"{value:,.0f} {unit}".strip()
    if not judged:
        return Headline(label, text, detail)
    aim = f"goal {goal:g} {unit}".strip()
    return Headline(label, text, "; ".join(part for part in (detail, aim) if part), value <= goal)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} ms"


_WRITERS: Mapping[str, Callable[[Report], Sequence[Headline]]] = {
    "relay": _relay,
    "compare": _compare,
    "plan": _plan,
}
