"""`loa bench relay --ramp`: the largest number of listeners that hear everything in time.

Listeners are doubled until a step fails, then the gap is halved until it is small. Sessions stay from step to step:
a step up lets more in, a step down lets some leave. A step passes when every listener is in and heard sound, no packet
was lost, latency p99 is at most LATENCY_P99_MS, and the generator was fit. One that fails is tried once more, since a
shared machine has moments. Where the generator was what failed, the figure is no limit of the relay, and the report is
not valid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench import verdict
from bench.fitness import Watch, Window
from bench.histogram import milliseconds
from bench.present import schema
from bench.stage import PLAYING, Parameters, Say, Stage

LATENCY_P99_MS = 20.0
START = 50
# The gap between what passed and what failed, as a share of what passed, at which the search ends
RESOLUTION = 0.05
SETTLE_S = 1.0
SAMPLED_STREAMS = 8
_WINDOW = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What `listeners` listeners had. `failed_by` and `saturated_by` are sentences, none when all was well."""

    listeners: int
    joined: int
    sent: int
    lost: int
    latency_ms: dict[str, float | None]
    jitter_ms: dict[str, float | None]
    relay_cpu_us_per_packet: float | None
    idle_share: float
    failed_by: Sequence[str] = ()
    saturated_by: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether all heard everything in time, and the generator was fit to tell."""
        return not self.failed_by and not self.saturated_by


def search(measure: Callable[[int], Step], limit: int, start: int = START) -> list[Step]:
    """All steps in their order: doubling from `start` up to `limit`, then halving the gap.

    `measure` says how a number of listeners fares.
    """
    steps: list[Step] = []
    passed, failed = 0, limit + 1
    while failed - passed > max(1, round(passed * RESOLUTION)):
        up = max(passed * 2, min(start, limit)) if failed > limit else (passed + failed) // 2
        step = measure(min(up, limit))
        if not step.passed:
            steps.append(step)
            step = measure(step.listeners)
        steps.append(step)
        if step.passed:
            passed = step.listeners
        else:
            failed = step.listeners
        if passed == limit:
            break
    return steps


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: the largest number that passed, and what stood above it."""

    largest: int
    steps: Sequence[Step]
    limit: int

    @classmethod
    def of(cls, steps: Sequence[Step], limit: int) -> Found:
        """From all steps of a search up to `limit`."""
        return cls(max((step.listeners for step in steps if step.passed), default=0), steps, limit)

    @property
    def stopper(self) -> Step | None:
        """The step that failed with the fewest listeners above the largest that passed."""
        above = [step for step in self.steps if not step.passed and step.listeners > self.largest]
        return min(reversed(above), key=lambda step: step.listeners, default=None)

    @property
    def limited_by(self) -> str:
        """relay, generator, or the limit that was asked for."""
        if self.stopper is None:
            return "limit"
        return "generator" if self.stopper.saturated_by else "relay"

    @property
    def invalid_because(self) -> Sequence[str]:
        """Why the figure is no limit of the relay, in sentences."""
        if self.stopper is None or not self.stopper.saturated_by:
            return []
        return [
            f"the generator was the bottleneck at {self.stopper.listeners:,} listeners: {text}; "
            f"the relay carries at least {self.largest:,}"
            for text in self.stopper.saturated_by
        ]


class _Climb:
    """The stage of a search, and how a step is made on it."""

    def __init__(self, stage: Stage, seconds: float, say: Say) -> None:
        self._stage, self._seconds, self._say = stage, seconds, say
        self.wrong = 0

    def measure(self, listeners: int) -> Step:
        """Bring the number of listeners there and play."""
        stage = self._stage
        problems = self._go_to(listeners)
        stage.play(SETTLE_S)
        window, watch = Window(stage, _WINDOW), Watch(stage)
        window.open()
        stage.play(self._seconds, f"{listeners} listeners play")
        window.close()
        stretch = watch.end()
        cost = stretch.relay_us_per_packet
        step = Step(
            listeners=listeners,
            joined=len(stage.playing()),
            sent=window.sent,
            lost=window.lost,
            latency_ms=milliseconds(window.latency, (0.5, 0.99, 1.0)),
            jitter_ms=milliseconds(window.jitter, (0.5, 0.99)),
            relay_cpu_us_per_packet=None if cost is None else round(cost, 3),
            idle_share=stretch.generator.idle_share,
            saturated_by=verdict.saturated_by(stretch.generator, stage.parameters.frame_ms),
        )
        self.wrong += sum(session.wrong for session in stage.playing())
        return replace(step, failed_by=[*problems, *shortcomings(step)])

    def _go_to(self, listeners: int) -> Sequence[str]:
        stage = self._stage
        playing = stage.playing()
        if len(playing) > listeners:
            self._say(f"{len(playing) - listeners} listeners leave")
            stage.part_with(playing[listeners:], goodbye=True)
            return []
        if len(playing) == listeners:
            return []
        taken = {session.row for session in playing}
        free = [row for row in stage.listener_rows if row not in taken]
        samples = SAMPLED_STREAMS if not playing else 0
        return stage.join(free[: listeners - len(playing)], PLAYING, samples).problems


def shortcomings(step: Step) -> list[str]:
    """What a listener of this step could complain about, in sentences."""
    found = []
    if step.joined < step.listeners:
        found.append(f"{step.listeners - step.joined} of {step.listeners} listeners did not hear sound")
    if step.lost or not step.sent:
        found.append(f"{step.lost:,} of {step.sent:,} packets were lost")
    if (p99 := step.latency_ms.get("p99")) is None or p99 > LATENCY_P99_MS:
        found.append(f"latency p99 was {p99} ms and may be {LATENCY_P99_MS:g}")
    return found


def run(parameters: Parameters, say: Say) -> dict[str, Any]:
    """Search up to `parameters.listeners`, with `parameters.duration` seconds of sound in a step; the report.

    Raises BenchError when it could not be done.
    """
    started = time.time()
    with Stage(parameters, say) as stage:
        stage.go_on_air()
        stage.warm_up()
        climb = _Climb(stage, parameters.duration, say)
        found = Found.of(search(climb.measure, parameters.listeners), parameters.listeners)
        problems = stage.server.last_warnings()
    invalid = [*found.invalid_because]
    if climb.wrong:
        invalid.append(f"{climb.wrong} packets of the sampled streams were not what was published")
    header = schema.header(
        "ramp", started=started, parameters=parameters.told(), invalid_because=invalid, problems=problems
    )
    return header | {
        "listeners": parameters.listeners,
        "largest": found.largest,
        "limited_by": found.limited_by,
        "latency_p99_limit_ms": LATENCY_P99_MS,
        "steps": [asdict(step) | {"passed": step.passed} for step in found.steps],
    }


def table(report: dict[str, Any]) -> str:
    """The steps for people, and the number."""
    lines = [f"{'listeners':>9} {'lost':>8} {'p50 ms':>8} {'p99 ms':>8} {'µs/packet':>10} {'idle':>6}"]
    for step in report["steps"]:
        latency = step["latency_ms"]
        figures = (_figure(latency["p50"]), _figure(latency["p99"]), _figure(step["relay_cpu_us_per_packet"]))
        words = "; ".join([*step["failed_by"], *step["saturated_by"]])
        lines.append(
            f"{step['listeners']:>9,} {step['lost']:>8,} {figures[0]:>8} {figures[1]:>8} {figures[2]:>10} "
            f"{step['idle_share']:>6.1%}  {words or 'passed'}"
        )
    limit = report["latency_p99_limit_ms"]
    most = "at least " if report["limited_by"] != "relay" else ""
    lines.append(
        f"without loss and with latency p99 up to {limit:g} ms: {most}{report['largest']:,} listeners"
    )
    if report["limited_by"] == "limit":
        lines.append("that is as many as --listeners allowed; allow more to find the limit")
    lines += [f"problem: {text}" for text in report["problems"]]
    lines += [f"NOT VALID, {text}" for text in report["invalid_because"]]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
