"""The run of `loa bench live`: a relay with one mixed channel, recorded; publishers, listeners, clicks to time.

A listener's loss is read off its sequence numbers. Latency is from `sendto` of the packet that holds a click to the
kernel's arrival of the packet in which the click is heard, at their places within the packets: jitter buffer, mixing,
the limiter's and Opus' look-ahead, two kernels and the fan-out are all in it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench import procfs
from bench.drain import Table
from bench.errors import BenchError
from bench.live import counters
from bench.live.hearing import Arrived, Latency, clicks, latency
from bench.live.speakers import Speakers, loop
from bench.present import schema
from bench.receivers import LOOPBACK, Receivers
from bench.sendlog import SendLog
from bench.server import Server
from bench.session import Session, State
from bench.sessions import Sessions
from bench.signalling import Signalling
from bench.stage import Say
from loacodecs.rtp import RtpPacket

CONNECT_TIMEOUT_S: Final = 60.0
SETTLE_S: Final = 3.0
SWITCH_INTERVAL_S: Final = 0.0002
"""How long the thread of sessions may keep the interpreter from the publishers'."""
EDGE_PACKETS: Final = 5
"""So much may the packets of two listeners differ at the ends of the measured part."""
LATE_MAX_MS: Final = 2.0
"""If the generator's own packets leave later than this (p99), it is the generator that was measured."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What to run."""

    inputs: int
    listeners: int
    seconds: float
    record: bool = True

    @property
    def sockets(self) -> int:
        """UDP sockets: listeners, the one that is heard, publishers."""
        return self.listeners + 1 + self.inputs


def run(parameters: Parameters, say: Say) -> dict[str, Any]:
    """The report. Raises BenchError when it could not be made."""
    started = time.time()
    procfs.require_descriptors(parameters.sockets)
    with contextlib.ExitStack() as undo:
        undo.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        booth = Booth(parameters, say, undo)
        booth.open()
        figures, invalid, problems = booth.measure()
    told = asdict(parameters)
    return (
        schema.header("live", started=started, parameters=told, invalid_because=invalid, problems=problems)
        | figures
    )


class Booth:
    """Everything that runs; `undo` learns how to end it."""

    def __init__(self, parameters: Parameters, say: Say, undo: contextlib.ExitStack) -> None:
        self._parameters = parameters
        self._say = say
        self._undo = undo
        self._heard: list[Arrived] = []

    def open(self) -> None:
        """Start the relay, let the publishers speak and the listeners come."""
        parameters = self._parameters
        self._say("compiling the receivers")
        self._receivers = Receivers(parameters.sockets, SendLog.for_publishers(1), 960, LOOPBACK)
        self._undo.callback(self._receivers.close)
        self._receivers.start()
        self._say("starting the relay")
        self._server = Server(1, parameters.sockets, LOOPBACK, settings=_settings(parameters))
        self._undo.callback(self._server.close)
        signalling = Signalling(self._server.http_port, self._server.http_host)
        self._sessions = Sessions(
            self._server,
            self._receivers,
            signalling,
            payload_bytes=0,
            frame_ms=20,
            reencoded=lambda packet: (0, packet.timestamp // 960),
            listening=self._hear,
        )
        self._undo.callback(self._sessions.close)
        self._speak(range(parameters.listeners + 1, parameters.sockets))
        self._say("listeners come in")
        self._listeners = self._come(range(parameters.listeners + 1), "whep", State.HEARD, samples=1)

    def measure(self) -> tuple[dict[str, Any], list[str], list[str]]:
        """The figures, why they are not valid, and what else was remarkable."""
        self._play(SETTLE_S, "settling")
        rows = np.arange(self._parameters.listeners + 1)
        self._receivers.table.packets[rows] = 0  # and with it the sequence numbers, at the next packet
        self._heard.clear()
        del self._speakers.clicks[:], self._speakers.late_ns[:]
        before = counters.read(self._server.http_host, self._server.http_port)
        cpu, began = self._server.cpu_ns(), time.monotonic()
        self._play(self._parameters.seconds, "playing")
        cores = (self._server.cpu_ns() - cpu) / 1e9 / (time.monotonic() - began)
        found = counters.read(self._server.http_host, self._server.http_port).since(before)
        sent, late = list(self._speakers.clicks), np.array(self._speakers.late_ns) / 1e6
        self._play(0.5, "the last packets come in")
        heard = latency(sent, clicks(list(self._heard)), self._speakers.uneven)
        figures = self._figures(found, heard, cores)
        figures["generator_late_ms"] = {"p50": _share(late, 50), "p99": _share(late, 99)}
        invalid = []
        if figures["generator_late_ms"]["p99"] > LATE_MAX_MS:
            invalid.append(
                f"the publishers' packets left {figures['generator_late_ms']['p99']:.1f} ms late (p99): "
                "the load generator was the bottleneck"
            )
        if self._receivers.overflowed:
            invalid.append(f"{self._receivers.overflowed} datagrams overflowed the generator's own sockets")
        if not len(heard.seconds):
            invalid.append("no click was heard")
        return figures, invalid, [*self._missed(heard), *self._server.last_warnings()]

    def _missed(self, heard: Latency) -> list[str]:
        """Who is not there any more, and what was said in vain."""
        found = []
        for name, sessions in (("publishers", self._publishers), ("listeners", self._listeners)):
            if gone := [each.problem for each in sessions if each.state is State.FAILED]:
                found.append(
                    f"{len(gone)} of {len(sessions)} {name} lost their session during the run: {gone[0]}"
                )
        if missing := heard.sent - len(heard.seconds):
            found.append(
                f"{missing:,} of {heard.sent:,} clicks were not heard: an input may have fallen silent"
            )
        return found

    def _figures(self, found: counters.Counters, heard: Latency, cores: float) -> dict[str, Any]:
        values = found.values
        packets, spans = counted(self._receivers.table, np.arange(self._parameters.listeners + 1))
        got, wanted = int(packets.sum()), expected(spans)
        milliseconds, even = heard.seconds * 1e3, heard.even * 1e3
        return {
            "ticks": int(values["loa_mix_ticks_total"]),
            "ticks_missed": int(values["loa_mix_ticks_skipped_total"]),
            "overruns": int(values["loa_mix_overruns_total"]),
            "tick_jitter_ms": {"p50": found.jitter_ms(0.5), "p99": found.jitter_ms(0.99), "max": found.jitter_ms(1.0)},
            "tick_ms_mean": 1e3 * values["loa_mix_tick_seconds_sum"] / max(1.0, values["loa_mix_tick_seconds_count"]),
            "latency_ms": {
                "p50": _share(milliseconds, 50), "p99": _share(milliseconds, 99), "max": _share(milliseconds, 100),
            },
            "latency_even_ms": {
                "p50": _share(even, 50), "p99": _share(even, 99), "max": _share(even, 100),
            },
            "clicks": {
                "sent": heard.sent, "heard": heard.heard, "timed": len(milliseconds), "even": len(even),
            },
            "packets": got,
            "lost": max(0, wanted - got),
            "blocks_missing": int(values["loa_source_missing_blocks_total"]),
            "blocks_dropped": int(values["loa_mix_blocks_dropped_total"]),
            "recorded_s": values.get("loa_recording_seconds_total", 0.0),
            "relay_cores": cores,
        }  # fmt: skip

    def _speak(self, rows: range) -> None:
        self._say("publishers go on air")
        sessions = self._publishers = self._come(rows, "whip", State.CONNECTED, samples=0)
        loops = [loop(number, len(sessions)) for number in range(len(sessions))]
        sockets = [self._receivers.sockets[session.row] for session in sessions]
        self._speakers = Speakers([self._sessions.source(each) for each in sessions], loops, sockets)
        self._undo.callback(self._speakers.close)
        self._speakers.start()

    def _come(self, rows: range, protocol: Any, goal: State, samples: int) -> list[Session]:
        sessions = self._sessions.prepare(rows, protocol, channels=1, samples=samples)
        self._sessions.begin(sessions)
        there = self._sessions.wait(
            lambda: all(each.state in (goal, State.FAILED) for each in sessions),
            CONNECT_TIMEOUT_S,
            self._server.require_alive,
        )
        failed = [each.problem for each in sessions if each.state is State.FAILED]
        if failed or not there:
            raise BenchError(
                f"{len(failed) or 'some'} sessions were not set up: {(failed or ['too slow'])[0]}"
            )
        return sessions

    def _play(self, seconds: float, doing: str) -> None:
        end = time.monotonic() + seconds

        def watch() -> None:
            self._server.require_alive()
            self._say(f"{doing}, {end - time.monotonic():.0f} s to go")

        self._sessions.wait(lambda: time.monotonic() >= end, seconds + 1, watch)

    def _hear(self, row: int, packet: RtpPacket, arrival_ns: int) -> None:
        if row == 0:
            self._heard.append(Arrived(packet.sequence, arrival_ns, packet.payload))


def counted(table: Table, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The packets of `rows`, and how many sequence numbers they span, of one moment: more come meanwhile."""
    while True:
        packets = table.packets[rows]
        spans = table.highest_sequence[rows] - table.first_sequence[rows] + 1
        if np.array_equal(table.packets[rows], packets):
            return packets, np.where(packets > 0, spans, 0)


def expected(spans: NDArray[np.int64]) -> int:
    """How many packets listeners should have got whose sequence numbers span so many each.

    All hear the same channel: who has much less than the one with most was left without its end.
    """
    most = int(spans.max(initial=0))
    return int(np.where(most - spans > EDGE_PACKETS, most, spans).sum())


def _settings(parameters: Parameters) -> str:
    recording = "[channels.kenh-0.recording]\nenabled = true\n" if parameters.record else ""
    lines = ('mode = "mix"', "bitrate = 64000", "leveller = false", 'publishers = "talk"')
    return "\n".join([*lines, f"inputs_max = {parameters.inputs}", recording])


def _share(values: Any, percent: float) -> float:
    return round(float(np.percentile(values, percent)), 3) if len(values) else 0.0


def table(report: Mapping[str, Any]) -> str:
    """The figures for a terminal."""
    told, jitter, way = report["parameters"], report["tick_jitter_ms"], report["latency_ms"]
    even = report["latency_even_ms"]
    return "\n".join(
        [
            f"{told['inputs']} publishers mixed, {told['listeners']} listeners, recording "
            + ("on" if told["record"] else "off"),
            f"  ticks late: p50 {jitter['p50']:.3f} ms, p99 {jitter['p99']:.3f} ms, max below {jitter['max']:.1f} ms; "
            f"{report['ticks']} ticks, {report['overruns']} overruns, {report['ticks_missed']} missed",
            f"  packet in to packet out, by the sound: p50 {way['p50']:.1f} ms, p99 {way['p99']:.1f} ms, "
            f"max {way['max']:.1f} ms of {report['clicks']['timed']} clicks",
            f"  where the publishers' packets left on time: p50 {even['p50']:.1f} ms, p99 {even['p99']:.1f} ms, "
            f"max {even['max']:.1f} ms of {report['clicks']['even']} clicks",
            f"  {report['packets']} packets to listeners, {report['lost']} lost; {report['blocks_missing']} blocks "
            f"concealed, {report['blocks_dropped']} not encoded",
            f"  a tick takes {report['tick_ms_mean']:.2f} ms, the relay {report['relay_cores']:.2f} cores",
            *(f"problem: {text}" for text in report["problems"]),
            *(f"NOT VALID, {text}" for text in report["invalid_because"]),
        ]
    )
