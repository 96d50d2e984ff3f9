"""`loa bench mixer`: what a block costs by operator, whether ticks are punctual, and what others take for the sum."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.mixer import timing
from bench.mixer.codec import CodecConsole
from bench.mixer.compare import compare
from bench.mixer.console import Nothing, full, loops
from bench.present import schema

IDLE_TICKS = 1000
ALLOCATION_TICKS = 50
_TICK_US = timing.TICK_S * 1e6

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is measured; `load` is how many other processes want a core each while ticks are paced."""

    inputs: int
    buses: int
    seconds: float
    codec: bool = False
    load: int = 0


def run(parameters: Parameters, say: Say) -> dict[str, Any]:
    """The report. Raises BenchError when FFmpeg or GStreamer is there and fails."""
    started = time.time()
    say("operators, every one at work")
    engine, _ = full(loops(parameters.inputs), parameters.buses)
    for _ in range(timing.WARM_UP):
        engine.tick()
    blocks = max(1, round(parameters.seconds / timing.TICK_S))
    watch = timing.Stopwatch()
    for _ in range(blocks):
        watch.start()
        engine.tick(watch.mark)
    costs = watch.per_block(blocks)
    figures: dict[str, Any] = {
        "inputs": parameters.inputs,
        "buses": parameters.buses,
        "us_per_block": costs,
        "realtime_factor": _TICK_US / costs["total"],
        "allocations_per_tick": timing.allocations(engine, ALLOCATION_TICKS),
        "allocations_counted": "numpy buffers of a row of samples (3,840 bytes) or more, by tracemalloc's peak",
    }
    say("the same, with nothing to be heard")
    figures["idle_us_per_tick"] = _idle(parameters)
    say("ticks by the clock")
    with timing.busy(parameters.load):
        figures["tick_jitter_ms"] = timing.lateness_ms(engine, blocks)
    if parameters.codec:
        say("decoders and encoders")
        figures["codec"] = _codec(parameters, blocks)
        figures["realtime_factor"] = figures["codec"]["realtime_factor"]
    say("FFmpeg, GStreamer and the engine in turns")
    figures |= compare(parameters.inputs)
    return schema.header("mixer", started=started, parameters=asdict(parameters)) | figures


def _idle(parameters: Parameters) -> float:
    """CPU of a tick when no feed has anything and all tails have run empty."""
    engine, _ = full([Nothing() for _ in range(parameters.inputs)], parameters.buses)
    timing.cpu_us(engine, timing.WARM_UP)
    return timing.cpu_us(engine, IDLE_TICKS)


def _codec(parameters: Parameters, blocks: int) -> dict[str, Any]:
    console = CodecConsole(parameters.inputs, parameters.buses)
    for _ in range(timing.WARM_UP):
        console.tick()
    watch = timing.Stopwatch()
    for _ in range(blocks):
        watch.start()
        console.decode()
        watch.mark("decode")
        console.engine.tick()
        watch.mark("mix")
        console.encode()
        watch.mark("encode")
    costs = watch.per_block(blocks)
    return {"us_per_block": costs, "realtime_factor": _TICK_US / costs["total"]}


def table(report: Mapping[str, Any]) -> str:
    """The figures for a terminal."""
    lines = [
        f"{report['inputs']} inputs, {report['buses']} buses, all operators, µs of CPU for a block of 20 ms"
    ]
    lines += [f"  {stage:<14}{cost:>10.1f}" for stage, cost in report["us_per_block"].items()]
    if (codec := report.get("codec")) is not None:
        lines += ["with Opus, complexity 5"]
        lines += [f"  {stage:<14}{cost:>10.1f}" for stage, cost in codec["us_per_block"].items()]
    jitter = report["tick_jitter_ms"]
    lines += [
        f"real time factor {report['realtime_factor']:.1f}, allocations per tick {report['allocations_per_tick']:g}",
        f"{report['idle_us_per_tick']:.1f} µs for a tick when nothing is to be heard",
        f"ticks late p50 {jitter['p50']:.3f} ms, p99 {jitter['p99']:.3f} ms, at most {jitter['max']:.2f} ms",
    ]
    for name, program in (("amix", "FFmpeg with amix"), ("audiomixer", "GStreamer with audiomixer")):
        if report.get(f"{name}_ratio_sum") is not None:
            lines.append(f"{program} of {report['amix_inputs']} inputs takes so many times the CPU of ours:")
            lines += [f"  {label:<52}{report[key]:>8.1f}" for label, key in _ratios(name) if key in report]
    lines += [f"{name} is not installed: {mend}" for name, mend in report["missing"].items()]
    return "\n".join(lines)


def _ratios(name: str) -> tuple[tuple[str, str], ...]:
    return (
        ("an engine that sums the same file", f"{name}_ratio_sum"),
        ("one whose feeds copy their samples", f"{name}_ratio_sum_copied"),
        ("with all operators", f"{name}_ratio_full"),
        ("the matrix alone", f"{name}_ratio_matrix"),
        (f"{name} fed by 20 ms over that engine", f"{name}_blocks_ratio_sum"),
        (f"{name}'s adding up alone over that engine", f"{name}_filter_ratio_sum"),
        (f"{name}'s adding up alone over the matrix", f"{name}_filter_ratio_matrix"),
    )
