"""`loa bench edge`: the report, and the table for a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.edge import figures, programme, quality, scenario
from bench.present import schema

Report = dict[str, Any]
Say = Callable[[str], None]


def run(parameters: scenario.Parameters, say: Say, *, with_quality: bool = False) -> Report:
    """Measure and report. Raises LoaError."""
    started = time.time()
    # before the run, which would be in vain where nothing can speak
    spoken = programme.speech() if with_quality else None
    measured = scenario.run(parameters, say)
    found = figures.figures(measured)
    invalid = figures.reasons(measured)
    if spoken is not None:
        found["quality"] = quality.measure(
            spoken,
            parameters.path(),
            delay_s=parameters.delay_ms / 1000,
            bitrate=parameters.bitrate,
            seed=parameters.seed,
            say=say,
        )
    head = schema.header(
        "edge",
        started=started,
        parameters=asdict(parameters),
        invalid_because=invalid,
        problems=figures.problems(measured),
    )
    return head | found


def table(report: Report) -> str:
    """The figures for a person."""
    delay, skew = report["delay_ms"], report["skew_ms"]
    rows = [
        ("concealed", _percent(report["concealed_ratio"]), "outside of stalls, by the sound"),
        ("path lost", _percent(report["link_lost_ratio"]), "of the media packets"),
        ("recovered", _percent(report["recovered_ratio"]), "of those"),
        (
            "delay",
            f"p50 {_ms(delay['p50'])}, p99 {_ms(delay['p99'])}",
            f"target {_ms(delay['target'])}, at most {_ms(delay['max_error'])} off",
        ),
        ("skew", f"p50 {_ms(skew['p50'])}, p95 {_ms(skew['p95'])}", f"max {_ms(skew['max'])}"),
        *_events(report),
        (
            "data",
            f"{report['data_bytes_per_s'] * 8 / 1000:.2f} kbit/s",
            f"with IP and control; {report['payload_bits_per_s'] / 1000:.1f} kbit/s of it are Opus",
        ),
        ("CPU", f"{report['edge_cpu_percent']:.2f} % of a core", "of the receiver that used most"),
        ("memory", f"{report['edge_mb']:.1f} MB", "Pss of the largest receiver"),
    ]
    if report["idle_bits_per_s"] is not None:
        rows.append(("idle", f"{report['idle_bits_per_s']:.0f} bit/s", f"over {report['idle_seconds']:g} s"))
    lines = [f"{name:<11}{value:<34}{detail}".rstrip() for name, value, detail in rows]
    lines += _counted(report["receivers"])
    if "quality" in report:
        lines += ["", *_quality(report["quality"])]
    return "\n".join([*lines, *(f"note: {each}" for each in report["problems"]), *report["invalid_because"]])


def _events(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    if report["stalls"]:
        back = report["stall_recovery_s"]
        value = "not back" if back is None else f"back after {back:.2f} s"
        found.append(
            (
                "stalls",
                f"{report['stalls']}, {value}",
                f"then {_ms(report['delay_error_after_stall_ms'])} off",
            )
        )
    if (kill := report["kill"]) is not None:
        found.append(
            (
                "relay died",
                f"{kill['concealed_frames']} frames concealed",
                f"silent for {kill['silence_s']:.2f} s",
            )
        )
    return found


def _counted(receivers: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for number, one in enumerate(receivers, 1):
        if (counters := one["counters"]) is not None:
            lines.append(
                f"receiver {number} itself counted {_percent(counters['concealed_ratio'])} concealed, "
                f"{counters['lost']} lost, {counters['recovered']} recovered from {counters['from_s']:g} to "
                f"{counters['to_s']:g} s; by the sound {_percent(counters['heard_concealed_ratio'])} there"
            )
    return lines


def _quality(found: Mapping[str, Any]) -> list[str]:
    losses = found["loss_percent"]
    lines = ["STOI by loss" + "".join(f"{loss:>8.0f} %" for loss in losses) + "   kbit/s at most"]
    for name, scores in found["stoi"].items():
        values = "".join(f"{score:>10.3f}" for score in scores)
        lines.append(f"{name:<12}{values}{max(found['kbit_per_s'][name]):>14.1f}")
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.3f} %"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"
