"""`loa bench links`: thousands of control links on one relay that plays, their return at once, and after a crash."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

from bench import verdict
from bench.errors import BenchError
from bench.fitness import Watch, Window
from bench.leash import leashed
from bench.present import schema
from bench.server import Server
from bench.stage import PLAYING, Parameters, Say, Stage

LISTENERS: Final = 8
SETTLE_S: Final = 15.0
"""A new link has eight exchanges of clocks and its telemetry behind it by then."""
IDLE_S: Final = 60.0
"""In which every idle link tells its telemetry once: what it costs cannot be seen in less."""
_ANSWER_S: Final = 240.0


class Crowd:
    """The process that is all receivers; see `bench.links.crowd`."""

    def __init__(self, server: Server, links: int) -> None:
        base = f"http://{server.http_host}:{server.http_port}"
        command = [sys.executable, "-m", "bench.links.crowd", base, str(links), server.channels[0]]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            leashed(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LOA_BENCH_TOKEN": server.token("admin")},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def say(self, command: str) -> None:
        """Have something done."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What came of it. Raises BenchError when the crowd has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError("the process of the receivers ended; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


class _Listening:
    """Waits for an answer in a thread of its own, while the stage plays."""

    def __init__(self, crowd: Crowd) -> None:
        self.found: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._listen, args=(crowd,), daemon=True)
        self._thread.start()

    def _listen(self, crowd: Crowd) -> None:
        with contextlib.suppress(BenchError):
            self.found = crowd.answer()

    def done(self) -> bool:
        """Whether it has come."""
        return not self._thread.is_alive()


def run(parameters: Parameters, links: int, say: Say) -> dict[str, Any]:
    """Do the whole run. Raises BenchError when it could not be done."""
    started = time.time()
    with Stage(parameters, say) as stage:
        server = stage.server
        assert isinstance(server, Server)
        stage.go_on_air()
        stage.warm_up()
        join = stage.join(stage.listener_rows, PLAYING, 1)
        with Crowd(server, links) as crowd:
            say(f"enrolling {links:,} receivers")
            _until(stage, crowd, "enrolling")
            stage.play(2.0, "settling")
            watch = Watch(stage)
            without, quiet_us = _steady(stage, parameters.duration, "without links")
            before_kb = stage.server.memory().own
            first, coming = _moved(stage, crowd, "connect")
            stage.play(SETTLE_S, "settling")
            with_links, busy_us = _steady(stage, max(parameters.duration, IDLE_S), "with links")
            memory_kb = stage.server.memory().own - before_kb
            again, storm = _moved(stage, crowd, "drop")
            stretch = watch.end(join.generator_cores)
            say("the relay crashes and comes back")
            server.crash()
            crowd.say("gone")
            server.come_back()
            crowd.say("wait")
            restarted = crowd.answer()
    reached = {"first": first, "again": again, "restarted": restarted}
    problems = [
        f"{name}: {each['up']:,} of {links:,} links came up"
        for name, each in reached.items()
        if each["up"] < links
    ]
    invalid = [
        f"the generator was the bottleneck: {text}"
        for text in verdict.saturated_by(stretch.generator, parameters.frame_ms)
    ]
    header = schema.header(
        "links",
        started=started,
        parameters=parameters.told() | {"links": links},
        invalid_because=invalid,
        problems=[*join.problems, *problems],
    )
    return header | {
        "links": links,
        "up": reached,
        "kb_per_link": round(memory_kb / links, 2),
        "idle_cpu_us_per_link_s": round((busy_us - quiet_us) / links, 2),
        "sound": {
            "without": without.to_json(),
            "coming": coming.to_json(),
            "with": with_links.to_json(),
            "storm": storm.to_json(),
        },
    }


def _steady(stage: Stage, duration: float, doing: str) -> tuple[Window, float]:
    """Sound for a while: its window, and the relay's CPU, µs a second."""
    window = Window(stage, 0)
    window.open()
    began, cpu = time.monotonic(), stage.server.cpu_ns()
    stage.play(duration, doing)
    spent = (stage.server.cpu_ns() - cpu) / 1000 / (time.monotonic() - began)
    window.close()
    return window, spent


def _moved(stage: Stage, crowd: Crowd, command: str) -> tuple[dict[str, Any], Window]:
    """Sound while all links come: when they were up, and the sound's window."""
    window = Window(stage, 0)
    window.open()
    crowd.say(command)
    found = _until(stage, crowd, command)
    window.close()
    return found, window


def _until(stage: Stage, crowd: Crowd, doing: str) -> dict[str, Any]:
    listening = _Listening(crowd)
    stage.say(doing)
    if not stage.play_until(listening.done, _ANSWER_S) or not listening.found:
        raise BenchError(f"{doing}: the receivers gave no answer")
    return listening.found


def table(report: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"{report['links']:,} links: {report['kb_per_link']:.1f} KiB each, "
        f"{report['idle_cpu_us_per_link_s']:.1f} µs of CPU a second each while idle",
        f"{'up again':<12} {'links':>8} {'p50 s':>8} {'p95 s':>8} {'max s':>8}",
    ]
    for name, each in report["up"].items():
        seconds = "".join(f" {each['seconds'][key]:>8.2f}" for key in ("p50", "p95", "max"))
        lines.append(f"{name:<12} {each['up']:>8,}{seconds}")
    lines.append(f"{'sound':<12} {'lost':>8} {'p99 ms':>8} {'max ms':>8} {'jitter p99 ms':>14}")
    for name, each in report["sound"].items():
        latency, jitter = each["latency_ms"], each["jitter_ms"]
        figures = f"{_text(latency['p99']):>8} {_text(latency['max']):>8} {_text(jitter['p99']):>14}"
        lines.append(f"{name:<12} {each['lost']:>8,} {figures}")
    lines += [f"problem: {text}" for text in report["problems"]]
    lines += [f"NOT VALID, {text}" for text in report["invalid_because"]]
    return "\n".join(lines)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
