"""Everything that runs during a load test, put up and taken down in order: receivers, relay, sessions,
publishers.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from bench import procfs
from bench.churn import Pool
from bench.errors import BenchError
from bench.floor import Floor, FloorRun
from bench.histogram import BINS, Counts, bin_of
from bench.publisher import SAMPLE_RATE, Publishers, Source, phases
from bench.receivers import LOOPBACK, LOOPBACK_6, Receivers
from bench.sendlog import SendLog
from bench.server import Server
from bench.session import Session, State
from bench.sessions import Sessions
from bench.signalling import Signalling
from bench.under_test import UnderTest

CONNECT_TIMEOUT_S = 30.0
JOIN_TIMEOUT_PER_LISTENER_S = 0.05
# Until what was sent last has left the relay
QUIET_S = 0.03
ACCOUNT_TIMEOUT_S = 10.0
# The cohort of those whose reception is measured; the other one is that of newcomers
PLAYING, NEWCOMERS = 0, 1

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What to run; durations in seconds."""

    listeners: int
    duration: float
    channels: int = 1
    frame_ms: int = 20
    payload_bytes: int = 120
    join_burst: int = 0
    aligned: bool = False
    ipv6: bool = False
    churn: float = 0.0
    api_load: float = 0.0

    @property
    def sockets(self) -> int:
        """UDP sockets the run needs: listeners, newcomers, publishers, the warm-up listener, those that change."""
        return self.listeners + self.join_burst + self.channels + 1 + Pool.of(self.churn).sockets

    def told(self) -> dict[str, Any]:
        """As reports say it: what was not asked for is left out, so that older reports can be compared."""
        return {
            name: value
            for name, value in asdict(self).items()
            if value or name not in ("ipv6", "churn", "api_load")
        }


@dataclass(frozen=True, slots=True)
class Join:
    """How a crowd came in. `times` counts, per listener, POST of the whole crowd to first packet,
    nanoseconds.
    """

    wanted: int
    joined: int
    seconds: float
    times: Counts
    sound_after_dtls: Counts
    generator_cores: float
    problems: Sequence[str]


class Stage:
    """A context manager: on entry sockets are open and the relay is ready, on exit all of it is gone."""

    def __init__(self, parameters: Parameters, say: Say, host: str | None = None) -> None:
        """`host` is where sockets and relay are; loopback if not said."""
        self.parameters = parameters
        self.say = say
        self.host = host or (LOOPBACK_6 if parameters.ipv6 else LOOPBACK)
        self.log = SendLog.for_publishers(parameters.channels)
        first = parameters.listeners + parameters.join_burst
        self.listener_rows = range(parameters.listeners)
        self.newcomer_rows = range(parameters.listeners, first)
        self._publisher_rows = range(first, first + parameters.channels)
        self._warm_up_row = first + parameters.channels
        self.churn_rows = range(self._warm_up_row + 1, parameters.sockets)
        self.sessions_max = parameters.sockets
        self._playing: list[Session] = []
        self.publishing: list[Session] = []
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Raises BenchError with the mend when descriptors or ports do not suffice or the relay does not
        start.
        """
        parameters = self.parameters
        procfs.require_descriptors(parameters.sockets)
        procfs.require_ports(parameters.sockets)
        with contextlib.ExitStack() as undo:
            self.say("compiling the receivers")
            samples = SAMPLE_RATE * parameters.frame_ms // 1000
            self.receivers = Receivers(parameters.sockets, self.log, samples, self.host)
            undo.callback(self.receivers.close)
            self.receivers.start()
            self.say("starting the relay")
            self.server, self.sessions = self.start_server(undo)
            self._exit = undo.pop_all()
        return self

    def start_server(self, undo: contextlib.ExitStack) -> tuple[UnderTest, Sessions]:
        """Start what is to be loaded and get ready to join it; `undo` learns how to end both."""
        parameters = self.parameters
        server = Server(parameters.channels, self.sessions_max, self.host)
        undo.callback(server.close)
        sessions = Sessions(
            server,
            self.receivers,
            Signalling(server.http_port, server.http_host),
            payload_bytes=parameters.payload_bytes,
            frame_ms=parameters.frame_ms,
        )
        undo.callback(sessions.close)
        return server, sessions

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def go_on_air(self) -> None:
        """Connect the publishers and start their sound. Raises BenchError when one is refused."""
        self.say("publishers go on air")
        publishing = self.sessions.prepare(self._publisher_rows, "whip", channels=self.parameters.channels)
        self.publishing = publishing
        self.sessions.begin(publishing)
        self._wait(
            lambda: all(s.state in (State.CONNECTED, State.FAILED) for s in publishing), CONNECT_TIMEOUT_S
        )
        if problems := _problems(publishing, State.CONNECTED):
            raise BenchError(f"a publisher could not go on air: {problems[0]}")
        self.play_from([self.sessions.source(session) for session in publishing])
        self.sessions.report_for(self.publishers)

    def play_from(self, sources: Sequence[Source]) -> None:
        """Start the sound of `sources`; it ends with this stage."""
        parameters = self.parameters
        self.publishers = Publishers(
            sources,
            self.log,
            payload_bytes=parameters.payload_bytes,
            frame_ms=parameters.frame_ms,
            aligned=parameters.aligned,
        )
        self._exit.callback(self.publishers.close)
        self.publishers.start()

    def warm_up(self) -> None:
        """Let one listener hear sound and leave, so that the relay has made all it makes only once."""
        (session,) = self.sessions.prepare([self._warm_up_row], "whep", channels=1)
        self.sessions.begin([session])
        self._wait(lambda: session.state in (State.HEARD, State.FAILED), CONNECT_TIMEOUT_S)
        if problems := _problems([session], State.HEARD):
            raise BenchError(f"a first listener heard nothing: {problems[0]}")
        self.play(0.5)
        self.sessions.leave(session)
        self.play(0.5)

    def received(self) -> int:
        """RTP packets that all receivers together have got so far."""
        return self.receivers.packets

    def floor_received(self) -> int:
        """Datagrams of the floor that the listeners' sockets have got so far."""
        return int(self.receivers.table.counted[: self.parameters.listeners].sum())

    def playing(self) -> list[Session]:
        """The listeners of the first crowd that heard sound."""
        return [session for session in self._playing if session.state is State.HEARD]

    @property
    def datagram_bytes(self) -> int:
        """The size of the RTP datagrams that listeners receive."""
        table = self.receivers.table
        return round(int(table.octets.sum()) / max(1, int(table.packets.sum())))

    def join(self, rows: Sequence[int], cohort: int, samples: int, *, stay: bool = False) -> Join:
        """Let listeners come in all at once and wait until each has heard its first packet.

        Those who `stay` are among the playing ones from then on, as the cohort of these always is.
        """
        self.say(f"{len(rows)} listeners get ready")
        crowd = self.sessions.prepare(rows, "whep", channels=self.parameters.channels, samples=samples)
        if cohort == PLAYING or stay:
            self._playing += crowd
        cpu, wall, begin_ns = time.process_time(), time.monotonic(), time.time_ns()
        self.sessions.begin(crowd, cohort)
        self._wait(
            lambda: all(s.state in (State.HEARD, State.FAILED) for s in crowd),
            CONNECT_TIMEOUT_S + JOIN_TIMEOUT_PER_LISTENER_S * len(rows),
            lambda: self.say(f"{sum(s.state is State.HEARD for s in crowd)} of {len(crowd)} hear sound"),
        )
        cores = (time.process_time() - cpu) / max(time.monotonic() - wall, 1e-9)
        times, after_dtls = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
        last_ns = begin_ns
        heard = [session for session in crowd if session.state is State.HEARD]
        for session in heard:
            first_ns = int(self.receivers.table.first_arrival[session.row])
            times[bin_of(first_ns - begin_ns)] += 1
            after_dtls[bin_of(first_ns - session.connected_ns)] += 1
            last_ns = max(last_ns, first_ns)
        seconds = (last_ns - begin_ns) / 1e9
        problems = _problems(crowd, State.HEARD)
        return Join(len(crowd), len(heard), seconds, times, after_dtls, cores, problems)

    def part_with(self, leaving: Sequence[Session], *, goodbye: bool) -> None:
        """Let listeners leave, with a goodbye by DTLS or, as after a loss of power, without."""
        gone = {session.row for session in leaving}
        for session in leaving:
            (self.sessions.leave if goodbye else self.sessions.drop)(session)
        self._playing = [session for session in self._playing if session.row not in gone]

    def play_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Keep everything going until `done()`; False when `timeout_s` has passed first."""
        return self._wait(done, timeout_s)

    def play(self, duration_s: float, doing: str = "", look: Callable[[float], None] | None = None) -> None:
        """Keep everything going for a while, and call `look` with the time every few ms. Raises BenchError
        when the relay dies meanwhile.
        """
        end = time.monotonic() + duration_s

        def watch() -> None:
            now = time.monotonic()
            if doing:
                self.say(f"{doing}, {end - now:.0f} s to go")
            if look is not None:
                look(now)

        self._wait(lambda: time.monotonic() >= end, duration_s + 1, watch)

    def fall_silent(self) -> None:
        """Pause the publishers and wait until what was sent has arrived."""
        self.publishers.pause()
        self.play(self.parameters.frame_ms / 1000 + QUIET_S)

    def account(self) -> None:
        """Wait until all that has arrived is in the accounts. Raises BenchError when the receivers are
        starved.
        """
        goal = self.receivers.sweeps + 2
        if not self._wait(lambda: self.receivers.sweeps >= goal, ACCOUNT_TIMEOUT_S):
            raise BenchError("the receivers got no CPU for seconds; run on a machine that is less busy")

    def floor(self, duration_s: float) -> FloorRun:
        """Measure the floor on the listeners' sockets; the publishers should be silent."""
        channels = self.parameters.channels
        groups = [
            [self.receivers.address(row) for row in self.listener_rows[channel::channels]]
            for channel in range(channels)
        ]
        phase_ns = phases(channels, self.parameters.frame_ms, aligned=self.parameters.aligned)
        floor = Floor(groups, size=self.datagram_bytes, frame_ms=self.parameters.frame_ms, phase_ns=phase_ns)
        found: list[FloorRun] = []
        thread = threading.Thread(target=lambda: found.append(floor.run(duration_s)), name="bench-floor")
        thread.start()
        self._wait(lambda: not thread.is_alive(), duration_s + 30)
        thread.join()
        return found[0]

    def _wait(
        self, done: Callable[[], bool], timeout_s: float, watch: Callable[[], None] | None = None
    ) -> bool:
        def look() -> None:
            self.server.require_alive()
            if watch is not None:
                watch()

        return self.sessions.wait(done, timeout_s, look)


def gone(listeners: Sequence[Session]) -> list[str]:
    """Who of those that heard sound has lost the session since, and by what: one sentence, or none."""
    problems = [session.problem for session in listeners if session.state is State.FAILED]
    if not problems:
        return []
    return [f"{len(problems)} of {len(listeners)} listeners lost their session meanwhile: {problems[0]}"]


def _problems(sessions: Sequence[Session], goal: State) -> list[str]:
    """What kept sessions from their goal, each sentence once with how often."""
    counts: dict[str, int] = {}
    for session in sessions:
        if session.state < goal:
            text = session.problem or f"stayed {session.state.name.lower()} until the time was up"
            counts[text] = counts.get(text, 0) + 1
    return [f"{count} times: {text}" if count > 1 else text for text, count in counts.items()]
