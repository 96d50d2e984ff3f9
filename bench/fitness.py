"""A stretch of a run, watched from outside: what the relay and the generator used, and how the generator fared."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench import procfs
from bench.histogram import Counts, milliseconds
from bench.report import Generator
from bench.sendlog import NEVER
from bench.stage import Stage

_SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a watched stretch used; CPU in nanoseconds."""

    seconds: float
    packets: int
    relay_ns: int
    generator: Generator

    @property
    def relay_us_per_packet(self) -> float | None:
        """CPU of the relay per packet its listeners received, None when there was none."""
        return self.relay_ns / 1000 / self.packets if self.packets else None


class Watch:
    """Begins with its making and ends with `end`; lateness is counted from here on, losses of the generator too."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        stage.publishers.forget_lag()
        stage.sessions.forget_lag()
        receivers = stage.receivers
        self._lost = receivers.overflowed, receivers.not_handed_over, stage.publishers.failed
        self._packets = receivers.packets
        self._machine = procfs.machine()
        self._begin = time.monotonic()
        self._own_ns = time.process_time_ns()
        self._relay_ns = stage.server.cpu_ns()

    def end(self, join_cores: float = 0.0) -> Stretch:
        """The stretch up to now. The packets are complete after `Stage.account`."""
        stage = self._stage
        relay_ns = stage.server.cpu_ns() - self._relay_ns
        own_ns = time.process_time_ns() - self._own_ns
        seconds = time.monotonic() - self._begin
        now, before = procfs.machine(), self._machine
        packets = stage.receivers.packets - self._packets
        overflowed, not_handed_over, failed = self._lost
        busy_s = now.busy_s_since(before) - (relay_ns + own_ns) / 1e9
        generator = Generator(
            cpu_us_per_packet=round(own_ns / 1000 / max(packets, 1), 3),
            pacer_lag_ms={name: round(stage.publishers.lag_ms(share), 3) for name, share in _SHARES.items()},
            timer_lag_ms={name: round(stage.sessions.lag_ms(share), 3) for name, share in _SHARES.items()},
            socket_overflows=stage.receivers.overflowed - overflowed,
            backlog_drops=now.backlog_drops - before.backlog_drops,
            not_handed_over=stage.receivers.not_handed_over - not_handed_over,
            publish_failures=stage.publishers.failed - failed,
            floor_lost=0,
            idle_share=round(now.idle_share_since(before), 4),
            steal_share=round(now.steal_share_since(before), 4),
            others_cores=round(max(0.0, busy_s) / seconds, 3),
            join_cores=round(join_cores, 2),
        )
        return Stretch(seconds, packets, relay_ns, generator)


class Window:
    """A window of the send log, used again and again: what its listeners should have had, and had, since `open`."""

    NOTICE_NS = 50_000_000

    def __init__(self, stage: Stage, window: int, cohort: int = 0) -> None:
        self._stage, self.window, self._cohort = stage, window, cohort

    def open(self) -> None:
        """Begin a little later, so that pacer and receivers both know it when they meet a packet near the edge."""
        stage, at = self._stage, (self._cohort, self.window)
        self._listeners = [(session.row, session.channel) for session in stage.playing()]
        self._expected = stage.log.expected[self.window].copy()
        self._got = stage.receivers.table.got[:, self.window].copy()
        self._latency = stage.receivers.found.latency[at].copy()
        self._jitter = stage.receivers.found.jitter[at].copy()
        stage.log.open_window(self.window, time.time_ns() + self.NOTICE_NS, NEVER)

    def close(self) -> None:
        """End it and wait until all of it is in the accounts. Raises BenchError when the receivers are starved."""
        stage = self._stage
        stage.log.close_window(self.window, time.time_ns() + self.NOTICE_NS)
        stage.play(2 * self.NOTICE_NS / 1e9)
        stage.account()
        at = self._cohort, self.window
        expected = stage.log.expected[self.window] - self._expected
        got = stage.receivers.table.got[:, self.window] - self._got
        self.sent = sum(int(expected[channel]) for _, channel in self._listeners)
        self.received = sum(int(got[row]) for row, _ in self._listeners)
        self.latency: Counts = stage.receivers.found.latency[at] - self._latency
        self.jitter: Counts = stage.receivers.found.jitter[at] - self._jitter

    @property
    def lost(self) -> int:
        """Packets that its listeners did not get."""
        return self.sent - self.received

    def to_json(self) -> dict[str, object]:
        """What reports say of it."""
        shares = (0.5, 0.99, 1.0)
        return {
            "sent": self.sent,
            "lost": self.lost,
            "latency_ms": milliseconds(self.latency, shares),
            "jitter_ms": milliseconds(self.jitter, shares),
        }
