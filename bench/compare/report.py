"""What a comparison found, as JSON and as a table for people."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

from bench import verdict
from bench.compare.booth import BOOTHS, PLAYING, WINDOW, Booth
from bench.histogram import milliseconds
from bench.present import distribution, schema
from bench.report import Generator, Percentiles
from bench.stage import gone

OURS = "loa"
TITLES = {name: booth.title for name, booth in BOOTHS.items()}
COLUMNS = ("", "listeners", "µs/packet", "/ floor", "/ Loa", "p50 ms", "p99 ms", "lost")
THEIRS = [name for name in BOOTHS if name != OURS]


@dataclass(frozen=True, slots=True)
class Turn:
    """One server in one round, microseconds per packet."""

    packets: int
    cpu_us_per_packet: float
    floor_us_per_packet: float


@dataclass(frozen=True, slots=True)
class Found:
    """One server over all rounds."""

    title: str
    listeners: int
    wanted: int
    lost: int
    turns: Sequence[Turn]
    upkeep_us_per_listener_s: float
    latency_ms: Percentiles
    jitter_ms: Percentiles
    curves: Mapping[str, Any]
    frame_ms: int
    datagram_bytes: int
    sampled: int
    wrong: int
    generator: Generator
    problems: Sequence[str]

    @property
    def cpu_us_per_packet(self) -> float:
        """The middle of the turns."""
        return middle([turn.cpu_us_per_packet for turn in self.turns])

    @property
    def floor_us_per_packet(self) -> float:
        """The middle of the turns; bare `sendmmsg` to the same number of sockets."""
        return middle([turn.floor_us_per_packet for turn in self.turns])

    @classmethod
    def of(cls, booth: Booth, backlog_drops: int) -> Found:
        """What a booth's accounts say."""
        listening, found = booth.listening, booth.receivers.found
        sampled = [session for session in listening if session.sample]
        got = sum(int(booth.receivers.table.got[session.row, WINDOW]) for session in listening)
        problems = [*(booth.crowd.problems if booth.crowd is not None else ()), *gone(listening)]
        expected = int(booth.log.expected[WINDOW, 0]) * len(listening)
        if problems or got < expected:
            problems += booth.server.last_warnings(3)
        latency, jitter = found.latency[PLAYING, WINDOW], found.jitter[PLAYING, WINDOW]
        return cls(
            title=booth.title,
            listeners=len(listening),
            wanted=booth.parameters.listeners,
            lost=expected - got,
            turns=[
                Turn(phase.packets, phase.us_per_packet, phase.floor.us_per_packet) for phase in booth.phases
            ],
            upkeep_us_per_listener_s=(
                median(phase.upkeep_ns_per_s for phase in booth.phases) / 1000 / max(len(listening), 1)
            ),
            latency_ms=milliseconds(latency, (0.5, 0.99)),
            jitter_ms=milliseconds(jitter, (0.5, 0.99)),
            curves={
                "latency_ms": distribution.curve(latency, int(found.latency_max[PLAYING, WINDOW])),
                "jitter_ms": distribution.curve(jitter, int(found.jitter_max[PLAYING, WINDOW])),
            },
            frame_ms=booth.parameters.frame_ms,
            datagram_bytes=booth.datagram_bytes,
            sampled=sum(session.opened for session in sampled),
            wrong=sum(session.wrong for session in listening) + booth.receivers.unmapped,
            generator=_generator(booth, backlog_drops),
            problems=problems,
        )

    def to_json(self) -> dict[str, Any]:
        """The server's entry."""
        return {
            "title": self.title,
            "cpu_us_per_packet": round(self.cpu_us_per_packet, 3),
            "latency_ms": dict(self.latency_ms),
            "listeners": self.listeners,
            "lost": self.lost,
            "floor_us_per_packet": round(self.floor_us_per_packet, 3),
            "upkeep_us_per_listener_s": round(self.upkeep_us_per_listener_s, 2),
            "jitter_ms": dict(self.jitter_ms),
            "datagram_bytes": self.datagram_bytes,
            "turns": [
                {
                    "packets": turn.packets,
                    "cpu_us_per_packet": round(turn.cpu_us_per_packet, 3),
                    "floor_us_per_packet": round(turn.floor_us_per_packet, 3),
                }
                for turn in self.turns
            ],
            "distribution": dict(self.curves),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run of `loa bench compare`. `found` and `mends` are by server; `started` is unix time."""

    found: Mapping[str, Found]
    mends: Mapping[str, str]
    started: float
    parameters: Mapping[str, Any]
    environment: str

    @classmethod
    def of(
        cls,
        booths: Sequence[Booth],
        mends: Mapping[str, str],
        *,
        started: float,
        parameters: Mapping[str, Any],
        environment: str,
        backlog_drops: int,
    ) -> Comparison:
        """What the booths' accounts say."""
        return cls(
            found={booth.name: Found.of(booth, backlog_drops) for booth in booths},
            mends=mends,
            started=started,
            parameters=parameters,
            environment=environment,
        )

    def ratios(self, name: str) -> list[float]:
        """Their CPU per packet over ours, round by round; empty for a server that is missing."""
        if name not in self.found or OURS not in self.found:
            return []
        pairs = zip(self.found[name].turns, self.found[OURS].turns, strict=True)
        return [theirs.cpu_us_per_packet / ours.cpu_us_per_packet for theirs, ours in pairs]

    @property
    def invalid_because(self) -> list[str]:
        """One sentence for each reason not to believe the figures; empty when there is none."""
        reasons = []
        for server in self.found.values():
            reasons += [
                f"{server.title}: {text}" for text in verdict.saturated_by(server.generator, server.frame_ms)
            ]
            if not server.sampled or server.wrong:
                reasons.append(
                    f"{server.title}: of {server.sampled} packets opened {server.wrong} were not what was published"
                )
        return reasons

    @property
    def problems(self) -> list[str]:
        """What else to know: what failed to join, and what disturbed the run."""
        found = [
            f"{server.title}: {text}" for server in self.found.values() for text in server.problems if text
        ]
        # the turns are spread over the whole run, so what disturbs one server disturbs all: tell the worst
        worst = max((server.generator for server in self.found.values()), key=lambda each: each.others_cores)
        return [*found, *verdict.disturbed_by(worst)]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        ours = self.found.get(OURS)
        listeners = ours.wanted if ours is not None else max(f.wanted for f in self.found.values())
        floor = (ours or next(iter(self.found.values()))).floor_us_per_packet
        return {
            **schema.header(
                "compare",
                started=self.started,
                parameters=self.parameters,
                invalid_because=self.invalid_because,
                problems=self.problems,
            ),
            "listeners": listeners,
            "servers": {
                **{name: server.to_json() for name, server in self.found.items()},
                **{name: {"missing": mend} for name, mend in self.mends.items()},
            },
            "floor_us_per_packet": round(floor, 3),
            "ratio": {
                name: round(middle(ratios), 3) if (ratios := self.ratios(name)) else None for name in THEIRS
            },
            "ratio_by_round": {name: [round(ratio, 3) for ratio in self.ratios(name)] for name in THEIRS},
            "environment": self.environment,
            "generator": {name: asdict(server.generator) for name, server in self.found.items()},
        }


def table(report: schema.Report) -> str:
    """The figures of a report for people."""
    rows = [COLUMNS]
    missing = []
    for name, server in report["servers"].items():
        if "missing" in server:
            missing.append(f"not here: {TITLES[name]}; {server['missing']}")
            continue
        ratio = 1.0 if name == OURS else report["ratio"][name]
        latency = server["latency_ms"]
        rows.append(
            (
                server["title"],
                str(server["listeners"]),
                f"{server['cpu_us_per_packet']:.2f}",
                f"{server['cpu_us_per_packet'] / server['floor_us_per_packet']:.2f}",
                *(_spoken(figure) for figure in (ratio, latency["p50"], latency["p99"])),
                str(server["lost"]),
            )
        )
    return "\n".join(
        [
            *(f"{first:<20}" + "".join(f"{cell:>11}" for cell in rest) for first, *rest in rows),
            *missing,
            *(f"problem: {text}" for text in report["problems"]),
            *(f"NOT VALID: {text}" for text in report["invalid_because"]),
        ]
    )


def middle(values: Sequence[float]) -> float:
    """Hodges and Lehmann's estimate: the median of the means of all pairs, each value with itself included.

    As hard to move by a few wild rounds as the median is, and almost as steady as the mean where there are none.
    """
    return median(
        (first + second) / 2 for first, second in itertools.combinations_with_replacement(values, 2)
    )


def _generator(booth: Booth, backlog_drops: int) -> Generator:
    phases, shares = booth.phases, {"p50": 0.5, "p99": 0.99, "max": 1.0}
    packets = sum(phase.packets for phase in phases)
    return Generator(
        cpu_us_per_packet=round(sum(phase.generator_ns for phase in phases) / 1000 / max(packets, 1), 3),
        pacer_lag_ms={name: round(booth.publishers.lag_ms(share), 3) for name, share in shares.items()},
        timer_lag_ms={name: round(booth.sessions.lag_ms(share), 3) for name, share in shares.items()},
        socket_overflows=booth.receivers.overflowed,
        backlog_drops=backlog_drops,
        not_handed_over=booth.receivers.not_handed_over,
        publish_failures=booth.publishers.failed,
        floor_lost=sum(phase.floor.sent for phase in phases) - booth.floor_received(),
        idle_share=round(mean(phase.idle_share for phase in phases), 4),
        steal_share=round(mean(phase.steal_share for phase in phases), 4),
        others_cores=round(mean(phase.others_cores for phase in phases), 3),
        join_cores=round(booth.crowd.generator_cores, 2) if booth.crowd is not None else 0.0,
    )


def _spoken(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
