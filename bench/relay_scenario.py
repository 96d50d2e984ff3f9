"""`loa bench relay`: one relay, N listeners, K publishers; what a packet costs and how evenly it arrives.

The order of a run:

1. sockets, then the relay, then K publishers; one warm-up listener makes the relay compile and allocate
what it
   needs once, tells the size of its datagrams, and leaves. The memory now is the base of
   `relay_kb_per_listener`.
2. N listeners join at once: `join_s` from the first POST until every one of them has heard its first packet.
3. Steady playing in segments. Between segments the publishers fall silent for about a second, in which the
floor is
   measured on the same sockets. A segment's CPU is compared with the floor right before and after it, because
   the speed of a shared machine changes within seconds.
4. With a join burst: M more listeners join at once while the first N play.
5. With a profile: some more seconds of sound, in which profilers look at the relay.

Churn and API load go on in the segments and rest while the floor is measured.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import mean

from bench import procfs, profile, verdict
from bench.api_load import ApiLoad
from bench.churn import Churn
from bench.errors import BenchError
from bench.floor import FloorRun
from bench.histogram import Counts, milliseconds
from bench.present import machine, schema
from bench.present.distribution import Timeline, curve
from bench.report import Generator, JoinBurst, Percentiles, Report, Sample, Segment
from bench.sendlog import NEVER
from bench.server import Server
from bench.session import Session
from bench.stage import CONNECT_TIMEOUT_S, NEWCOMERS, PLAYING, Join, Parameters, Say, Stage, gone

SAMPLED_STREAMS = 8
FLOOR_S = 0.8
SEGMENT_S = 10.0
SETTLE_S = 1.0
# A window's edge is set so far ahead that pacer and receivers both know it when they meet a packet near it
WINDOW_NOTICE_NS = 50_000_000
STEADY, BURST = 0, 1


@dataclass(slots=True)
class _Steady:
    """What was measured while everybody played; sums over all segments.

    `listeners`: those that had heard sound before; what they do not get is lost, also when the session is.
    """

    timeline: Timeline
    listeners: Sequence[Session]
    floors: list[FloorRun] = field(default_factory=list)  # one more than segments
    pieces: list[tuple[int, int]] = field(default_factory=list)  # packets received, relay CPU in ns
    upkeep: list[float] = field(default_factory=list)  # relay CPU while nothing played, ns per second
    generator_ns: int = 0
    softirq_ns: int = 0
    idle: list[float] = field(default_factory=list)
    steal: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)  # cores used by neither relay nor generator
    threads_ns: Counter[str] = field(default_factory=Counter)
    churn: Churn | None = None
    api: ApiLoad | None = None
    gone: Sequence[str] = ()

    @property
    def packets(self) -> int:
        return sum(packets for packets, _ in self.pieces)

    def problems(self) -> Sequence[str]:
        """What went wrong beside the audio."""
        churned = [f"of those that changed: {text}" for text in self.churn.problems] if self.churn else []
        return [*self.gone, *churned, *(self.api.tally.problems if self.api else ())]

    def segments(self) -> list[Segment]:
        """Each piece beside the mean of the floors before and after it."""
        return [
            Segment(
                packets=packets,
                relay_us_per_packet=relay_ns / 1000 / max(packets, 1),
                floor_us_per_packet=mean((before.us_per_packet, after.us_per_packet)),
            )
            for (packets, relay_ns), (before, after) in zip(self.pieces, pairwise(self.floors), strict=True)
        ]


def run(parameters: Parameters, say: Say, flame_graph: Path | None = None) -> Report:
    """Do the whole run; with `flame_graph` the relay is profiled at the end, and the SVG goes there.

    Raises BenchError when it could not be done; an unfit generator is told in the report.
    """
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    profilers = profile.tools() if flame_graph is not None else None
    with Stage(parameters, say) as stage:
        backlog_drops = procfs.machine().backlog_drops
        stage.go_on_air()
        stage.warm_up()
        base = stage.server.memory()
        join = stage.join(stage.listener_rows, PLAYING, SAMPLED_STREAMS)
        listeners = stage.playing()
        stage.play(SETTLE_S, "settling")
        stage.publishers.forget_lag()
        stage.sessions.forget_lag()
        steady = _play_steadily(stage, listeners)
        memory = stage.server.memory()
        generator = _generator(stage, steady, join)
        burst = _join_burst(stage) if parameters.join_burst else None
        drops = procfs.machine().backlog_drops - backlog_drops
        generator = replace(generator, backlog_drops=drops, socket_overflows=stage.receivers.overflowed)
        report = _report(stage, steady, join, burst, generator, (base, memory), started)
        if flame_graph is not None and profilers is not None:
            report = _with_profile(report, stage, profilers, flame_graph)
        return report


def _with_profile(report: Report, stage: Stage, profilers: profile.Tools, flame_graph: Path) -> Report:
    """A profiler that fails takes nothing from what was measured before."""
    try:
        found = profile.profile(stage, profilers, flame_graph, report.relay_cpu_us_per_packet)
    except BenchError as error:
        return replace(report, problems=[*report.problems, f"there is no profile: {error}"])
    return replace(report, profile=found)


def _play_steadily(stage: Stage, listeners: Sequence[Session]) -> _Steady:
    """Alternate the floor and the relay; see the module's text."""
    found = stage.receivers.found
    timeline = Timeline(lambda: found.latency[PLAYING, STEADY], lambda: found.jitter[PLAYING, STEADY])
    duration, steady = stage.parameters.duration, _Steady(timeline, listeners)
    count = max(2, round(duration / SEGMENT_S))
    floor_s = min(FLOOR_S, duration / count)
    _let_in_those_who_change(stage, steady)
    _start_asking(stage, steady)
    stage.fall_silent()
    stage.log.open_window(STEADY, time.time_ns(), NEVER)
    _measure_floor(stage, steady, floor_s)
    for index in range(count):
        _play_segment(stage, steady, duration / count, f"playing, part {index + 1} of {count}")
        _measure_floor(stage, steady, floor_s)
    stage.log.close_window(STEADY, time.time_ns())
    stage.account()
    steady.gone = gone(listeners)
    if steady.churn is not None:
        steady.churn.finish()
    if steady.api is not None:
        steady.api.close()
    return steady


def _let_in_those_who_change(stage: Stage, steady: _Steady) -> None:
    """Fill the pool of `--churn`."""
    parameters = stage.parameters
    if parameters.churn:
        rows = list(stage.churn_rows)
        steady.churn = Churn(stage.sessions, stage.receivers, rows, parameters.churn, parameters.channels)
        steady.churn.fill()
        stage.play_until(steady.churn.settled, CONNECT_TIMEOUT_S)


def _start_asking(stage: Stage, steady: _Steady) -> None:
    """Get the threads of `--api-load` ready."""
    if stage.parameters.api_load:
        server = stage.server
        if not isinstance(server, Server):
            raise BenchError("only this relay can be asked")
        tokens = {scope: server.token(scope) for scope in ("listen", "metrics")}
        steady.api = ApiLoad(
            server.http_host, server.http_port, server.channels[0], tokens, stage.parameters.api_load
        )


def _measure_floor(stage: Stage, steady: _Steady, seconds: float) -> None:
    relay_ns, begin = stage.server.cpu_ns(), time.monotonic()
    steady.floors.append(stage.floor(seconds))
    steady.upkeep.append((stage.server.cpu_ns() - relay_ns) / (time.monotonic() - begin))


def _play_segment(stage: Stage, steady: _Steady, seconds: float, doing: str) -> None:
    packets = stage.received()
    machine, generator_ns, begin = procfs.machine(), time.process_time_ns(), time.monotonic()
    threads = procfs.thread_cpu_ns(stage.server.pid)
    relay_ns = stage.server.cpu_ns()
    steady.timeline.resume(time.monotonic())
    stage.publishers.resume()
    _play_with_asides(stage, steady, seconds, doing)
    stage.fall_silent()
    relay_ns = stage.server.cpu_ns() - relay_ns
    now = procfs.machine()
    for name, total in procfs.thread_cpu_ns(stage.server.pid).items():
        steady.threads_ns[name] += total - threads.get(name, 0)
    steady.idle.append(now.idle_share_since(machine))
    steady.steal.append(now.steal_share_since(machine))
    elapsed = time.monotonic() - begin
    own_ns = relay_ns + time.process_time_ns() - generator_ns
    steady.others.append(max(0.0, now.busy_s_since(machine) - own_ns / 1e9) / elapsed)
    steady.softirq_ns += now.softirq_thread_ns - machine.softirq_thread_ns
    stage.account()
    steady.timeline.pause(time.monotonic())
    steady.generator_ns += time.process_time_ns() - generator_ns
    steady.pieces.append((stage.received() - packets, relay_ns))


def _play_with_asides(stage: Stage, steady: _Steady, seconds: float, doing: str) -> None:
    """Play, and let come, go and ask meanwhile whoever was wished for."""
    churn, api = steady.churn, steady.api

    def look(now: float) -> None:
        steady.timeline.look(now)
        if churn is not None:
            churn.look(now)

    if churn is not None:
        churn.resume(time.monotonic())
    if api is not None:
        api.resume()
    stage.play(seconds, doing, look)
    if churn is not None:
        churn.pause()
    if api is not None:
        api.pause()


def _join_burst(stage: Stage) -> JoinBurst:
    """Newcomers all at once, while the others play and are watched."""
    stage.publishers.resume()
    stage.play(SETTLE_S)
    others = stage.playing()
    stage.log.open_window(BURST, time.time_ns() + WINDOW_NOTICE_NS, NEVER)
    join = stage.join(stage.newcomer_rows, NEWCOMERS, 0)
    stage.log.close_window(BURST, time.time_ns() + WINDOW_NOTICE_NS)
    stage.play(2 * WINDOW_NOTICE_NS / 1e9)
    stage.fall_silent()
    stage.account()
    expected, got = _accounts(stage, BURST, others)
    found = stage.receivers.found
    return JoinBurst(
        listeners=join.wanted,
        joined=join.joined,
        join_s=round(join.seconds, 3),
        join_ms=milliseconds(join.times, (0.5, 0.99)),
        lost_during=expected - got,
        latency_ms_during=_with_max(found.latency, found.latency_max, BURST, (0.5, 0.99)),
        jitter_ms_during=_with_max(found.jitter, found.jitter_max, BURST, (0.5, 0.99)),
        generator_cores=round(join.generator_cores, 2),
        problems=[*join.problems, *gone(others)],
    )


def _accounts(stage: Stage, window: int, listeners: Sequence[Session]) -> tuple[int, int]:
    """Packets that `listeners` should have got in a window, and those they got."""
    expected = got = 0
    for session in listeners:
        expected += int(stage.log.expected[window, session.channel])
        got += int(stage.receivers.table.got[session.row, window])
    return expected, got


def _with_max(counts: Counts, maxima: Counts, window: int, shares: tuple[float, ...]) -> Percentiles:
    figures = milliseconds(counts[PLAYING, window], shares)
    return figures | {"max": round(int(maxima[PLAYING, window]) / 1e6, 3)}


def _generator(stage: Stage, steady: _Steady, join: Join) -> Generator:
    floor_sent = sum(floor.sent for floor in steady.floors)
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return Generator(
        cpu_us_per_packet=round(steady.generator_ns / 1000 / max(steady.packets, 1), 3),
        pacer_lag_ms={name: round(stage.publishers.lag_ms(share), 3) for name, share in shares.items()},
        timer_lag_ms={name: round(stage.sessions.lag_ms(share), 3) for name, share in shares.items()},
        socket_overflows=stage.receivers.overflowed,
        backlog_drops=0,
        not_handed_over=stage.receivers.not_handed_over,
        publish_failures=stage.publishers.failed,
        floor_lost=floor_sent - stage.floor_received(),
        idle_share=round(mean(steady.idle), 4),
        steal_share=round(mean(steady.steal), 4),
        others_cores=round(mean(steady.others), 3),
        join_cores=round(join.generator_cores, 2),
    )


def _distribution(stage: Stage, steady: _Steady, join: Join) -> dict[str, object]:
    """The curves of the steady part and of joining, and the course over time."""
    found = stage.receivers.found
    at = PLAYING, STEADY
    return {
        "latency_ms": curve(found.latency[at], int(found.latency_max[at])),
        "jitter_ms": curve(found.jitter[at], int(found.jitter_max[at])),
        "join_ms": curve(join.times),
        "timeline": steady.timeline.to_json(),
    }


def _report(
    stage: Stage,
    steady: _Steady,
    join: Join,
    burst: JoinBurst | None,
    generator: Generator,
    memories: tuple[procfs.Memory, procfs.Memory],
    started: str,
) -> Report:
    parameters, found = stage.parameters, stage.receivers.found
    expected, got = _accounts(stage, STEADY, steady.listeners)
    base, memory = memories
    packets = max(steady.packets, 1)
    sampled = [session for session in steady.listeners if session.sample]
    wrong = sum(session.wrong for session in steady.listeners) + stage.receivers.unmapped
    return Report(
        parameters=parameters.told(),
        machine=machine.describe(),
        versions=machine.versions(),
        command=schema.command_line(),
        started=started,
        listeners=parameters.listeners,
        joined=join.joined,
        join_s=join.seconds,
        join_ms=milliseconds(join.times, (0.5, 0.99, 1.0)),
        sound_after_dtls_ms=milliseconds(join.sound_after_dtls, (0.5, 0.99, 1.0)),
        sent=expected,
        received=got,
        duplicates=int(stage.receivers.table.duplicates.sum()),
        latency_ms=_with_max(found.latency, found.latency_max, STEADY, (0.5, 0.95, 0.99)),
        jitter_ms=_with_max(found.jitter, found.jitter_max, STEADY, (0.5, 0.99)),
        segments=steady.segments(),
        distribution=_distribution(stage, steady, join),
        datagram_bytes=stage.datagram_bytes,
        relay_rss_mb=memory.rss / 1024,
        relay_kb_per_listener=(memory.own - base.own) / max(join.joined, 1),
        relay_upkeep_us_per_listener_s=mean(steady.upkeep) / 1000 / max(join.joined, 1),
        relay_threads_us_per_packet={
            name: round(total / 1000 / packets, 3) for name, total in steady.threads_ns.most_common()
        },
        softirq_threads_us_per_packet=steady.softirq_ns / 1000 / packets,
        generator=generator,
        sample=Sample(len(sampled), sum(session.opened for session in sampled), wrong),
        join_burst=burst,
        churn=steady.churn.to_json() if steady.churn else None,
        api_load=steady.api.to_json() if steady.api else None,
        saturated_by=verdict.saturated_by(generator, parameters.frame_ms),
        problems=[
            *join.problems,
            *(burst.problems if burst else ()),
            *steady.problems(),
            *verdict.disturbed_by(generator),
            *stage.server.last_warnings(),
        ],
    )
