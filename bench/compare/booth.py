"""One server of the comparison under the load that all get: its listeners, its publisher, its measured phases.

All servers run for the whole comparison and only one is on air at a time. Restarting them for each phase would cost
more than the phases (aiortc needs most of a minute to let its listeners in) and would measure cold caches; that all
are up costs the one on air nothing but its rivals' connectivity checks, one datagram per listener in
five seconds. Whoever's turn it is, the sessions of the others are kept alive.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import procfs
from bench.compare import aiortc_app, aiortc_server, janus_server
from bench.compare.aiortc_server import AiortcServer
from bench.compare.janus_server import JanusServer
from bench.compare.janus_signalling import JanusSignalling
from bench.floor import FloorRun
from bench.publisher import Source
from bench.sendlog import NEVER
from bench.session import Session
from bench.sessions import Sessions
from bench.signalling import Signalling
from bench.stage import Join, Parameters, Say, Stage
from bench.under_test import UnderTest
from loacodecs import rtp
from loacodecs.address import Address

# Windows of the send log: what counts, and the turn before, which does not
WINDOW, REHEARSAL = 0, 1
PLAYING = 0
SAMPLED_STREAMS = 4
OPUS_PAYLOAD_TYPE = 111
FLOOR_S = 0.4
REHEARSAL_S = 1.0
# Sound before the window of a phase, and after it: aiortc's jitter buffer gives a packet out when four more have come
LEAD_S = 0.2
TAIL_S = 0.2


@dataclass(frozen=True, slots=True)
class Phase:
    """One server's turn. Times are CPU nanoseconds; shares are of all cores, 0..1.

    `upkeep_ns_per_s`: what the server used in silence, while the floor was measured.
    """

    packets: int
    cpu_ns: int
    floor: FloorRun
    upkeep_ns_per_s: float
    generator_ns: int
    idle_share: float
    steal_share: float
    others_cores: float

    @property
    def us_per_packet(self) -> float:
        """CPU of the server per packet that its listeners received, microseconds."""
        return self.cpu_ns / 1000 / max(self.packets, 1)


class Booth(Stage):
    """This relay; the others derive from it. A context manager, as `Stage` is."""

    name = "loa"
    title = "Loa"

    def __init__(self, parameters: Parameters, say: Say, host: str) -> None:
        """`host` is where its listeners are."""
        super().__init__(parameters, lambda text: say(f"{text} ({self.title})"), host)
        self.rivals: list[Booth] = []
        self.phases: list[Phase] = []
        self.crowd: Join | None = None
        self.listening: Sequence[Session] = ()
        """Those that heard sound at the beginning; what they do not get is lost, also when the session is."""

    def open(self) -> None:
        """Let the publisher and all listeners in, and fall silent."""
        self.go_on_air()
        self.crowd = self.join(self.listener_rows, PLAYING, SAMPLED_STREAMS)
        self.listening = self.playing()
        self.fall_silent()

    def rehearse(self) -> None:
        """A turn that does not count; to be called when all booths are open."""
        self._turn(REHEARSAL_S, REHEARSAL)
        self.publishers.forget_lag()
        self.sessions.forget_lag()

    def take_turn(self, seconds: float) -> None:
        """The floor, then `seconds` of measured sound; everything is silent before and after."""
        self.phases.append(self._turn(seconds, WINDOW))

    def _turn(self, seconds: float, window: int) -> Phase:
        cpu_ns, begin = self.server.cpu_ns(), time.monotonic()
        floor = self.floor(min(FLOOR_S, seconds))
        upkeep = (self.server.cpu_ns() - cpu_ns) / (time.monotonic() - begin)
        packets, cpu_ns, family_ns = self.received(), self.server.cpu_ns(), self._family_ns()
        machine, generator_ns, begin = procfs.machine(), time.process_time_ns(), time.monotonic()
        opening = time.time_ns() + round(LEAD_S * 1e9)
        self.log.open_window(window, opening, opening + round(seconds * 1e9))
        self.publishers.resume()
        self.play(LEAD_S + seconds + TAIL_S)
        self.fall_silent()
        cpu_ns, family_ns = self.server.cpu_ns() - cpu_ns, self._family_ns() - family_ns
        generator_ns, elapsed = time.process_time_ns() - generator_ns, time.monotonic() - begin
        now = procfs.machine()
        self.account()
        self.log.open_window(window, NEVER, NEVER)
        own_s = (family_ns + generator_ns) / 1e9
        return Phase(
            packets=self.received() - packets,
            cpu_ns=cpu_ns,
            floor=floor,
            upkeep_ns_per_s=upkeep,
            generator_ns=generator_ns,
            idle_share=now.idle_share_since(machine),
            steal_share=now.steal_share_since(machine),
            others_cores=max(0.0, (now.busy_s_since(machine) - own_s) / elapsed),
        )

    def _family_ns(self) -> int:
        return sum(booth.server.cpu_ns() for booth in (self, *self.rivals))

    def _wait(
        self, done: Callable[[], bool], timeout_s: float, watch: Callable[[], None] | None = None
    ) -> bool:
        def look() -> None:
            for rival in self.rivals:
                rival.server.require_alive()
                rival.sessions.pump(0)
            if watch is not None:
                watch()

        return super()._wait(done, timeout_s, look)


class _FedByRtp(Booth):
    """A server that takes its programme as plain RTP from a socket of the bench."""

    feed: Address

    def go_on_air(self) -> None:
        """Begin to send; there is nobody to ask."""
        outlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._exit.callback(outlet.close)
        source = Source(outlet.fileno(), self.feed, None, secrets.randbits(32) or 1, OPUS_PAYLOAD_TYPE)
        self.play_from([source])


class JanusBooth(_FedByRtp):
    """Janus's streaming plugin."""

    name = "janus"
    title = "Janus, 1 event loop"
    event_loops = janus_server.EVENT_LOOPS
    number = 0

    def share(self, event_loops: int) -> None:
        """Among how many threads it shares its viewers; 0 is one for each."""
        self.event_loops = event_loops
        loops = f"{event_loops} event loop{'' if event_loops == 1 else 's'}"
        self.title = f"Janus, {loops}" if event_loops else JanusDefaultBooth.title

    def start_server(self, undo: contextlib.ExitStack) -> tuple[UnderTest, Sessions]:
        """Start Janus inside the private network."""
        server = JanusServer(OPUS_PAYLOAD_TYPE, self.event_loops, self.number)
        undo.callback(server.close)
        self.feed = server.feed
        sessions = Sessions(
            server,
            self.receivers,
            JanusSignalling(server.http_port),
            payload_bytes=self.parameters.payload_bytes,
            frame_ms=self.parameters.frame_ms,
        )
        undo.callback(sessions.close)
        return server, sessions


class JanusDefaultBooth(JanusBooth):
    """The same with Janus's own default for threads."""

    name = "janus_default"
    title = "Janus, its defaults"
    event_loops = janus_server.EVENT_LOOPS_DEFAULT
    number = 1


class AiortcPacketsBooth(_FedByRtp):
    """aiortc's MediaRelay of packets that are already encoded."""

    name = "aiortc_packets"
    title = "aiortc packets"

    def start_server(self, undo: contextlib.ExitStack) -> tuple[UnderTest, Sessions]:
        """Start aiortc."""
        server, sessions = _start_aiortc(self, "packets", undo)
        self.feed = server.feed
        return server, sessions


class AiortcEncodeBooth(Booth):
    """aiortc's MediaRelay of a decoded track: each listener's sender encodes."""

    name = "aiortc_encode"
    title = "aiortc encoding"

    def start_server(self, undo: contextlib.ExitStack) -> tuple[UnderTest, Sessions]:
        """Start aiortc."""
        return _start_aiortc(self, "encode", undo)


def _start_aiortc(
    booth: Booth, mode: aiortc_server.Mode, undo: contextlib.ExitStack
) -> tuple[AiortcServer, Sessions]:
    parameters = booth.parameters
    server = AiortcServer(mode, parameters.payload_bytes * 8 * 1000 // parameters.frame_ms)
    undo.callback(server.close)
    samples = 48 * parameters.frame_ms

    def numbered(packet: rtp.RtpPacket) -> tuple[int, int] | None:
        count, rest = divmod(rtp.timestamp_delta(packet.timestamp, aiortc_app.TIMESTAMP_ORIGIN), samples)
        return None if rest else (0, count)

    sessions = Sessions(
        server,
        booth.receivers,
        Signalling(server.http_port),
        payload_bytes=parameters.payload_bytes,
        frame_ms=parameters.frame_ms,
        reencoded=numbered if mode == "encode" else None,
    )
    undo.callback(sessions.close)
    return server, sessions


BOOTHS: dict[str, type[Booth]] = {
    booth.name: booth
    for booth in (Booth, JanusBooth, JanusDefaultBooth, AiortcEncodeBooth, AiortcPacketsBooth)
}


def missing(name: str) -> str | None:
    """The command that makes a server available here; None when it is."""
    if name.startswith("janus"):
        return janus_server.missing()
    return aiortc_server.missing() if name.startswith("aiortc") else None
