"""`loa bench join`: everybody comes back at once, and how those fare who never left.

The order of a run:

1. N listeners join at once, the relay being up and warm.
2. All play undisturbed for a while: what the audio is like when nothing happens.
3. Half of them vanish without a word, as in a power cut, and come back at once; the others play on and are watched.
4. The relay crashes (SIGKILL) and is started again on the same ports. The publishers return, then all N listeners
   at once. Times are counted from the moment the relay is ready again; the silence from the crash on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import verdict
from bench.errors import BenchError
from bench.fitness import Watch, Window
from bench.histogram import BINS, Counts, bin_of, percentile
from bench.present import schema
from bench.present.distribution import curve
from bench.report import Percentiles
from bench.server import Server
from bench.sessions import Sessions
from bench.stage import NEWCOMERS, PLAYING, Join, Parameters, Say, Stage
from bench.under_test import UnderTest

SAMPLED_STREAMS = 8
SETTLE_S = 1.0
_BEFORE, _DURING, _AFTER = 0, 1, 2
# A thread of sessions that never waits sets the pace itself
THREAD_BUSY_MAX = 0.95


class _Rehearsable(Stage):
    """A stage whose relay can crash and come back."""

    relay: Server

    def start_server(self, undo: contextlib.ExitStack) -> tuple[UnderTest, Sessions]:
        """As `Stage` does, remembering that it is a relay of ours."""
        # those that vanished hold their places until the relay misses them
        self.sessions_max += self.parameters.listeners
        server, sessions = super().start_server(undo)
        if not isinstance(server, Server):
            raise BenchError("only this relay can be restarted")
        self.relay = server
        return server, sessions

    def restart(self) -> float:
        """Crash the relay, forget all sessions and start it again; how many seconds it was away."""
        self.publishers.close()
        crashed = time.monotonic()
        self.relay.crash()
        self.part_with(self.playing(), goodbye=False)
        for session in self.publishing:
            self.sessions.drop(session)
        self.log.restart()
        self.relay.come_back()
        return time.monotonic() - crashed


@dataclass(frozen=True, slots=True)
class Return:
    """A crowd that came at once. `extra_s` is what passed before its first POST, and is in all times."""

    join: Join
    extra_s: float
    wall_s: float
    relay_ns: int
    thread_busy: float

    def seconds(self, share: float) -> float | None:
        """Until `share` of all who wanted to hear sound heard it; None when they did not."""
        needed = max(1, int(np.ceil(share * self.join.wanted)))
        if self.join.joined < needed:
            return None
        value = percentile(self.join.times, needed / self.join.joined)
        return None if value is None else value / 1e9 + self.extra_s

    def to_json(self) -> dict[str, Any]:
        """What the report says."""
        cores = self.relay_ns / 1e9
        rate = self.join.joined / (self.join.seconds + self.extra_s) if self.join.joined else None
        return {
            "listeners": self.join.wanted,
            "joined": self.join.joined,
            "until_s": {name: _rounded(self.seconds(share)) for name, share in _SHARES.items()},
            "joins_per_s": _rounded(rate),
            "joins_per_core_s": _rounded(self.join.joined / cores if cores else None),
            "relay_cores": _rounded(cores / self.wall_s),
            "generator_cores": round(self.join.generator_cores, 2),
            "generator_thread_busy": round(self.thread_busy, 3),
        }


_SHARES = {"p50": 0.5, "p99": 0.99, "all": 1.0}


def run(parameters: Parameters, stay_share: float, say: Say) -> dict[str, Any]:
    """Do the whole run; `parameters.duration` seconds of undisturbed sound come before and after. The report.

    `stay_share` (0..1) of the listeners stay on while the others return. Raises BenchError when it could not be
    done.
    """
    started = time.time()
    with _Rehearsable(parameters, say) as stage:
        stage.go_on_air()
        stage.warm_up()
        watch = Watch(stage)
        first = _come(stage, stage.listener_rows, SAMPLED_STREAMS)
        stage.play(SETTLE_S, "settling")
        leaving = stage.playing()[round(len(stage.playing()) * stay_share) :]
        rows = [session.row for session in leaving]
        stage.part_with(leaving, goodbye=False)
        before = Window(stage, _BEFORE)
        before.open()
        stage.play(parameters.duration, "those who stay play undisturbed")
        before.close()
        say(f"{len(rows)} come back while {len(stage.playing())} play")
        during = Window(stage, _DURING)
        during.open()
        stage.play(2 * Window.NOTICE_NS / 1e9)
        # in a cohort of their own: latency and jitter of this window are of those who stayed
        back = _come(stage, rows, 0, cohort=NEWCOMERS) if rows else None
        during.close()
        sampled = _sampled(stage)
        generator = watch.end().generator
        say("the relay crashes and starts again")
        crash_ns = time.time_ns()
        down_s = stage.restart()
        ready = time.monotonic()
        stage.go_on_air()
        again = _come(stage, stage.listener_rows, SAMPLED_STREAMS, time.monotonic() - ready)
        silence = _silence(stage, crash_ns)
        after_watch, after = Watch(stage), Window(stage, _AFTER)
        after.open()
        stage.play(parameters.duration, "all play")
        after.close()
        sampled = [a + b for a, b in zip(sampled, _sampled(stage), strict=True)]
        fit = [*verdict.saturated_by(generator, parameters.frame_ms)]
        fit += verdict.saturated_by(after_watch.end().generator, parameters.frame_ms)
        problems = [*first.join.problems, *(back.join.problems if back else ()), *again.join.problems]
        problems += stage.server.last_warnings()
    crowds = {"first": first, "back": back, "restart": again}
    header = schema.header(
        "join",
        started=started,
        parameters=parameters.told() | {"stay_share": stay_share},
        invalid_because=_invalid(crowds, fit, sampled),
        problems=list(dict.fromkeys(problems)),
    )
    return header | {
        "listeners": parameters.listeners,
        "joined": again.join.joined,
        "first": first.to_json(),
        "back": back.to_json() if back else None,
        "stayed": {"before": before.to_json(), "during": during.to_json()},
        "restart": again.to_json() | {"down_s": round(down_s, 3), "silence_s": _seconds(silence)},
        "after_restart": after.to_json(),
        "sample": {"streams": SAMPLED_STREAMS, "opened": sampled[0], "wrong": sampled[1]},
        "distribution": {"latency_ms": curve(during.latency), "join_ms": curve(again.join.times)},
    }


def _come(
    stage: Stage, rows: Sequence[int], samples: int, extra_s: float = 0.0, cohort: int = PLAYING
) -> Return:
    relay_ns, thread_s, begin = stage.server.cpu_ns(), time.thread_time(), time.monotonic()
    join = stage.join(rows, cohort, samples, stay=True)
    wall_s = time.monotonic() - begin
    busy = (time.thread_time() - thread_s) / wall_s
    return Return(join, extra_s, wall_s, stage.server.cpu_ns() - relay_ns, busy)


def _silence(stage: Stage, crash_ns: int) -> Counts:
    counts = np.zeros(BINS, np.int64)
    for session in stage.playing():
        counts[bin_of(int(stage.receivers.table.first_arrival[session.row]) - crash_ns)] += 1
    return counts


def _sampled(stage: Stage) -> list[int]:
    sampled = [session for session in stage.playing() if session.sample]
    return [sum(session.opened for session in sampled), sum(session.wrong for session in stage.playing())]


def _seconds(counts: Counts) -> dict[str, float | None]:
    found = {name: percentile(counts, share) for name, share in _SHARES.items()}
    return {name: None if value is None else round(value / 1e9, 3) for name, value in found.items()}


def _invalid(crowds: dict[str, Return | None], fit: Sequence[str], sampled: Sequence[int]) -> list[str]:
    reasons = [f"the generator was the bottleneck: {text}" for text in dict.fromkeys(fit)]
    for name, crowd in crowds.items():
        if crowd is not None and crowd.thread_busy > THREAD_BUSY_MAX:
            reasons.append(
                f"the generator was the bottleneck: its sessions' thread was busy {crowd.thread_busy:.0%} of the time "
                f"while the crowd came in ({_CROWDS[name]})"
            )
    if sampled[0] == 0 or sampled[1] > 0:
        reasons.append("the sampled streams were not what was published")
    return reasons


_CROWDS = {"first": "first time", "back": "part of them, again", "restart": "after the restart"}


def table(report: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'':<26} {'joined':>13} {'50 %':>8} {'99 %':>8} {'all':>8} {'joins/s':>8} {'per core':>9}"]
    for name, title in _CROWDS.items():
        if (crowd := report[name]) is not None:
            until = crowd["until_s"]
            times = "".join(f" {_text(until[share], ' s'):>8}" for share in _SHARES)
            joined = f"{crowd['joined']:,} of {crowd['listeners']:,}"
            rates = f" {_text(crowd['joins_per_s']):>8} {_text(crowd['joins_per_core_s']):>9}"
            lines.append(f"{title:<26} {joined:>13}{times}{rates}")
    restart = report["restart"]
    lines.append(
        f"the relay was away for {restart['down_s']:.2f} s; silence: {_spoken(restart['silence_s'], 's')}"
    )
    stayed = report["stayed"]
    for title, part in (
        ("those who stayed, before", stayed["before"]),
        ("those who stayed, meanwhile", stayed["during"]),
        ("all, after the restart", report["after_restart"]),
    ):
        lines.append(
            f"{title:<27} latency {_spoken(part['latency_ms'], 'ms')}; jitter {_spoken(part['jitter_ms'], 'ms')}; "
            f"{part['lost']:,} of {part['sent']:,} lost"
        )
    lines += [f"problem: {text}" for text in report["problems"]]
    lines += [f"NOT VALID, {text}" for text in report["invalid_because"]]
    return "\n".join(lines)


def _spoken(figures: Percentiles, unit: str) -> str:
    return "  ".join(f"{name} {_text(value)}" for name, value in figures.items()) + f" {unit}"


def _text(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.4g}{unit}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
