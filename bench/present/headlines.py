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
# Of the edge receiver, at the delay that they are meant for
CONCEALED_PERCENT_GOALS = {"P1": 0.1, "P2": 0.5, "P3": 2.0, "P4": 0.5}
EDGE_DELAY_MS = 700
# Of the mixing core: so many inputs and buses, and FFmpeg's amix of so many
MIXER_GOAL_ROWS = (256, 64)
MIXER_BLOCK_GOAL_MS = 4.0
AMIX_GOAL_INPUTS = 64
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


def _edge(report: Report) -> Sequence[Headline]:
    path = str(report["parameters"].get("link", "")).upper()
    delay, skew = report["delay_ms"], report["skew_ms"]
    real = report["parameters"].get("output") == "pulse"
    concealed = report["concealed_ratio"]
    found = [
        _goal(
            f"concealed audio, {path}",
            None if concealed is None else 100 * concealed,
            CONCEALED_PERCENT_GOALS.get(path, 0.0),
            "%",
            "by the sound",
            judged=path in CONCEALED_PERCENT_GOALS and delay["target"] == EDGE_DELAY_MS,
        ),
        Headline("delay p50", _ms(delay["p50"]), f"target {_ms(delay['target'])}"),
        _skew(skew, path, real=real),
    ]
    if report.get("stalls"):
        back = _goal("sound back after a stall", report["stall_recovery_s"], 1.0, "s", "", judged=True)
        never = replace(back, value="not back", detail="goal 1 s", met=False)
        found.append(never if report["stall_recovery_s"] is None else back)
    if (kill := report["kill"]) is not None:
        both = report["parameters"].get("mode") == "both"
        found.append(
            _goal("concealed when a relay died", kill["concealed_frames"], 0.0, "frames", "", judged=True)
            if both
            else _goal("silence when a relay died", kill["silence_s"], 2.0, "s", "", judged=True)
        )
    slim = report["parameters"].get("rendition") == "60ms"
    found += [
        _goal("data on the wire", report["data_bytes_per_s"] * 8 / 1000, 36.0, "kbit/s", "", judged=slim),
        _goal("CPU of a receiver", report["edge_cpu_percent"], 2.0, "%", "of a core", judged=True),
        _goal("memory of a receiver", report["edge_mb"], 80.0, "MB", "", judged=True),
    ]
    if report["idle_bits_per_s"] is not None:
        found.append(_goal("data when idle", report["idle_bits_per_s"], 150.0, "bit/s", "", judged=True))
    return found


def _skew(skew: Mapping[str, Any], path: str, *, real: bool) -> Headline:
    """On a LAN the goal is that of real outputs, over mobile links it holds whatever is played to."""
    goal = 0.5 if path == "LAN" else 10.0
    judged = path in ("P1", "P2", "P3", "P4") or (real and path == "LAN")
    label = "skew p95, real outputs" if real else "skew p95"
    return _goal(label, skew["p95"], goal, "ms", f"max {_ms(skew['max'])}", judged=judged)


def _mixer(report: Report) -> Sequence[Headline]:
    inputs, buses = report["inputs"], report["buses"]
    large = inputs >= MIXER_GOAL_ROWS[0] and buses >= MIXER_GOAL_ROWS[1]
    jitter = report["tick_jitter_ms"]
    found = [
        _goal(
            f"{inputs} inputs on {buses} buses, a block",
            report["us_per_block"]["total"] / 1000,
            MIXER_BLOCK_GOAL_MS,
            "ms",
            "of 20 ms, one core, all operators",
            judged=large,
        ),
        _goal("ticks late p99", jitter["p99"], 1.0, "ms", f"p50 {_ms(jitter['p50'])}", judged=True),
        _goal("allocations per tick", report["allocations_per_tick"], 0.0, "", "", judged=True),
    ]
    for label, rival, key, goal in (
        ("FFmpeg amix over our sum", "amix", "amix_ratio_sum", 20.0),
        ("FFmpeg amix over all operators", "amix", "amix_ratio_full", 1.0),
        ("GStreamer audiomixer over our sum", "audiomixer", "audiomixer_ratio_sum", None),
    ):
        if (ratio := report.get(key)) is None:
            found.append(Headline(label, "not installed", report["missing"].get(rival, "")))
        elif goal is None:
            found.append(Headline(label, f"{ratio:.1f} times", ""))
        else:
            many = report.get("amix_inputs", 0) >= AMIX_GOAL_INPUTS
            aim = f"goal {goal:g} or more" if many else ""
            found.append(Headline(label, f"{ratio:.1f} times", aim, ratio >= goal if many else None))
    if (codec := report.get("codec")) is not None:
        enough = codec["realtime_factor"] >= 1 if inputs >= 100 and buses >= 20 else None
        found.append(
            Headline(
                "with Opus decoders and encoders",
                f"{codec['realtime_factor']:.2f} times real time",
                "",
                enough,
            )
        )
    return found


def _live(report: Report) -> Sequence[Headline]:
    jitter, way, even = report["tick_jitter_ms"], report["latency_ms"], report["latency_even_ms"]
    missed = report["ticks_missed"]
    return [
        _goal("ticks late p99", jitter["p99"], 1.0, "ms", f"p50 {_ms(jitter['p50'])}", judged=True),
        Headline("ticks missed", f"{missed} of {report['ticks']:,}", "goal 0", missed == 0),
        _goal(
            "packet in to packet out p99, even publishers",
            even["p99"] if report["clicks"]["even"] else None,
            45.0,
            "ms",
            f"p50 {_ms(even['p50'])}; p99 of all {_ms(way['p99'])}",
            judged=True,
        ),
        Headline("packets lost", f"{report['lost']:,} of {report['packets']:,}", ""),
    ]


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
    "edge": _edge,
    "mixer": _mixer,
    "live": _live,
    "plan": _plan,
}
