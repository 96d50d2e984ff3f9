"""The order of a run: relays behind their paths, a station, receivers, a steady part, perhaps a kill and quiet."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.edge import monitor, recording
from bench.edge.figures import BACK_S, Measured, Sample, Stretch
from bench.edge.hearing import Programme
from bench.edge.programme import FRAME, Encoding, decode, encode, mixture
from bench.edge.receivers import CRYSTALS_PPM, EdgeReceiver, Told, Wanted, told
from bench.edge.recording import Recording
from bench.edge.station import Station
from bench.edge.way import Way
from bench.errors import BenchError
from bench.link.model import PathConfig
from bench.link.presets import preset
from bench.link.stalls import Stalls
from loacodecs.opus import SAMPLE_RATE

STALL_S: Final = 3.0
LOOP_S: Final = 60.0
"""The programme begins again after this; much longer than any delay."""
JOIN_S: Final = 30.0
JOIN_USUAL_S: Final = 4.0
GOING_IDLE_S: Final = 25.0
"""After the end of a programme receivers stay awake for some seconds: those belong to no figure."""
TAIL_S: Final = 1.0
TOLD_S: Final = 12.0
"""Receivers report every 10 s while there is sound: so long the end of a run is waited for in their counters."""
_PRIORITY: Final = -10
_LOOK_S: Final = 0.5

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What was asked for; seconds unless the name says otherwise. `kill` counts from the start of the steady part.

    keep  folder for recordings, logs and `sent.wav`, what a receiver plays whom everything reaches
    """

    edges: int
    link: str
    duration: float
    seed: str = "1"
    delay_ms: int = 700
    rendition: str = "auto"
    mode: str = "first"
    relays: int = 1
    bitrate: int = 24_000
    settle: float = 10.0
    kill: float | None = None
    stall_every: float | None = None
    idle: float = 0.0
    output: str = "wav"
    output_latency_ms: int | None = None
    keep: str | None = None

    def path(self) -> PathConfig:
        """The path of every receiver. Raises ConfigurationError."""
        path = preset(self.link)
        if self.stall_every is None:
            return path
        stalls = Stalls(every=self.stall_every, duration=STALL_S)
        return replace(path, up=replace(path.up, stalls=stalls), down=replace(path.down, stalls=stalls))


def run(parameters: Parameters, say: Say) -> Measured:
    """Measure. Raises LoaError."""
    path = parameters.path()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_folder(parameters.keep))
        say("encoding the programme")
        packets = calibrated(parameters)
        stack.enter_context(_first_served())
        secret = secrets.token_hex(32).encode()
        ways: list[Way] = []
        for number in range(parameters.relays):
            say(f"starting relay {number + 1}")
            ways.append(Way(path, f"{parameters.seed}/{number}", secret))
            stack.callback(ways[-1].server.close)
        return asyncio.run(_Run(parameters, folder, ways, packets, say).measure())


def calibrated(parameters: Parameters) -> list[bytes]:
    """The packets of the programme, as many bits a second as were asked for: Opus's own rate follows the sound."""
    sound = mixture(min(LOOP_S, parameters.duration + parameters.settle + JOIN_S), seed=1)
    asked = float(parameters.bitrate)
    for _ in range(3):
        packets = encode(sound, Encoding(round(asked)))
        real = 8 * sum(map(len, packets)) * SAMPLE_RATE / FRAME / len(packets)
        if abs(real / parameters.bitrate - 1) < 0.01:
            break
        asked *= parameters.bitrate / real
    return packets


class _Run:
    def __init__(
        self, parameters: Parameters, folder: Path, ways: Sequence[Way], packets: Sequence[bytes], say: Say
    ) -> None:
        self._parameters = parameters
        self._folder = folder
        self._ways = ways
        self._packets = packets
        self._say = say
        self._station = Station(packets)
        self._killed: float | None = None
        self._late_s = 0.0

    async def measure(self) -> Measured:
        async with contextlib.AsyncExitStack() as stack:
            for way in self._ways:
                await stack.enter_async_context(way)
            with monitor.sinks(self._parameters.output) as sinks:
                receivers = await self._receivers(sinks)
                await self._station.connect([way.publisher() for way in self._ways])
                stack.push_async_callback(self._station.close)
                playing = asyncio.create_task(self._station.run())
                stack.callback(playing.cancel)
                stack.push_async_callback(_stop, receivers)
                with sinks.recording() as taken:
                    await self._join(receivers, sinks)
                    began, ended = await self._steady(receivers, playing)
                    idle = await self._idle(playing) if self._parameters.idle else None
                    late_ms, link = self._path_report()
                    recordings = taken()
                await _stop(receivers)
            if recordings is None:
                recordings = [recording.read(each.wav, each.ppm) for each in receivers]
        self._say("listening to what was played")
        sent = self._station.sent + 1
        turns = -(-sent // len(self._packets))
        sound = decode((list(self._packets) * turns)[:sent])
        # docs/protocol.md: captured is when its packet is at the first relay, and a packet leaves when it is full
        captured = self._station.captured + FRAME / SAMPLE_RATE
        programme = Programme(sound, captured, self._parameters.delay_ms / 1000)
        if self._parameters.keep is not None:
            recording.write(self._folder / "sent.wav", Recording(sound, programme.due(0), SAMPLE_RATE))
        if self._parameters.output != "wav":
            place = monitor.placed(recordings[0], programme, began.at).began
            recordings = [replace(each, began=place) for each in recordings]
        return Measured(
            programme=programme,
            recordings=recordings,
            steady=Stretch(began, ended),
            idle=idle,
            stalls=tuple(self._stalls(began.at, ended.at)),
            killed=self._killed,
            payload_bits_per_s=8 * sum(map(len, self._packets)) * SAMPLE_RATE / FRAME / len(self._packets),
            station_late_ms=self._late_s * 1000,
            link_late_ms=late_ms,
            link_problems=link,
            relative=self._parameters.output != "wav",
        )

    async def _receivers(self, sinks: monitor.Sinks) -> list[EdgeReceiver]:
        asked = self._parameters
        wanted = Wanted(asked.delay_ms, asked.rendition, asked.mode, asked.output_latency_ms)
        receivers = []
        for number in range(self._parameters.edges):
            folder = self._folder / f"edge-{number + 1}"
            ppm = 0.0 if sinks.names else CRYSTALS_PPM[number % len(CRYSTALS_PPM)]
            output = sinks.names[number] if sinks.names else f"wav:{folder / 'played.wav'}?ppm={ppm:g}"
            receiver = EdgeReceiver(folder, output, ppm)
            await receiver.enrol(self._ways, wanted)
            receivers.append(receiver)
        return receivers

    async def _join(self, receivers: Sequence[EdgeReceiver], sinks: monitor.Sinks) -> None:
        """One after the other, so that each meets the same path whenever the seed is the same."""
        # What must not meet a stall is over by then
        epoch = time.monotonic() + self._parameters.settle
        if self._parameters.path().down.stalls is not None:
            epoch += JOIN_USUAL_S * len(receivers)
        for way in self._ways:
            way.epoch = epoch
        sessions = len(self._ways) if self._parameters.mode == "both" else 1
        for number, receiver in enumerate(receivers, 1):
            self._say(f"receiver {number} of {len(receivers)} joins")
            receiver.start(sinks.environment)
            end = time.monotonic() + JOIN_S
            while sum(way.ledger.hearing for way in self._ways) < number * sessions:
                receiver.require_alive()
                if time.monotonic() > end:
                    raise BenchError(f"receiver {number} has not joined: {receiver.last_words()}")
                await asyncio.sleep(0.05)

    async def _steady(
        self, receivers: Sequence[EdgeReceiver], playing: asyncio.Task[None]
    ) -> tuple[Sample, Sample]:
        parameters = self._parameters
        self._say("settling")
        await asyncio.sleep(parameters.settle + parameters.delay_ms / 1000)
        epoch = self._ways[0].epoch
        if parameters.path().down.stalls is not None and epoch is not None:
            await asyncio.sleep(epoch - time.monotonic())
        began = await self._sample(receivers)
        self._station.latest = 0.0
        end = began.at + parameters.duration
        while (now := time.monotonic()) < end:
            if parameters.kill is not None and self._killed is None and now >= began.at + parameters.kill:
                self._ways[0].server.crash()
                self._killed = time.monotonic()
            for receiver in receivers:
                receiver.require_alive()
            if playing.done():
                await playing
            self._say(f"measuring, {now - began.at:.0f} of {parameters.duration:.0f} s")
            await asyncio.sleep(min(0.2, max(0.0, end - now)))
        self._late_s = self._station.latest
        ended = await self._sample(receivers)
        await asyncio.sleep(TAIL_S)
        return began, replace(ended, told=await self._told_of(ended.at, receivers))

    async def _told_of(self, moment: float, receivers: Sequence[EdgeReceiver]) -> tuple[Told | None, ...]:
        """What the receivers said of themselves after a moment, as soon as each has said something."""
        self._say("waiting for the receivers' own counters")
        while True:
            found = tuple([await told(receiver, self._ways) for receiver in receivers])
            if all(one is not None and one.at >= moment for one in found) or (
                time.monotonic() > moment + TOLD_S
            ):
                return found
            await asyncio.sleep(_LOOK_S)

    async def _idle(self, playing: asyncio.Task[None]) -> Stretch:
        """Nothing on air."""
        playing.cancel()
        await self._station.close()
        self._say("nothing on air")
        await asyncio.sleep(GOING_IDLE_S)
        began = Sample(time.monotonic(), *self._bytes())
        await asyncio.sleep(self._parameters.idle)
        return Stretch(began, Sample(time.monotonic(), *self._bytes()))

    async def _sample(self, receivers: Sequence[EdgeReceiver]) -> Sample:
        return Sample(
            time.monotonic(),
            *self._bytes(),
            cpu_ns=tuple(receiver.cpu_ns() for receiver in receivers),
            memory_mb=tuple(receiver.memory_mb() for receiver in receivers),
            media=sum(way.ledger.media for way in self._ways),
            lost=sum(way.ledger.lost for way in self._ways),
            told=tuple([await told(receiver, self._ways) for receiver in receivers]),
        )

    def _bytes(self) -> tuple[int, int]:
        return sum(way.media_bytes for way in self._ways), sum(way.link_bytes for way in self._ways)

    def _stalls(self, began: float, ended: float) -> Iterator[tuple[float, float]]:
        """Begin and end of each stall of which any part, or the second after it, was measured."""
        stalls, epoch = self._parameters.path().down.stalls, self._ways[0].epoch
        if stalls is None or epoch is None or stalls.every is None or stalls.duration is None:
            return
        begin = epoch + (stalls.every if stalls.first is None else stalls.first)
        while begin < ended:
            if begin + stalls.duration + BACK_S > began:
                yield begin, begin + stalls.duration
            begin += stalls.every

    def _path_report(self) -> tuple[float | None, tuple[str, ...]]:
        reports = [way.udp.report() for way in self._ways]
        late = [report.late_p99 for report in reports if report.late_p99 is not None]
        return (max(late) * 1000 if late else None), tuple(
            problem for report in reports for problem in report.problems
        )


@contextlib.contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    """Where the receivers' files are: in `keep`, or for the time of the run only. Raises BenchError."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="loa-bench-edge-") as name:
            yield Path(name)
        return
    try:
        Path(keep).mkdir(parents=True)
    except OSError as error:
        raise BenchError(f"{keep}: {error.strerror}; --keep wants a folder that is not there yet") from error
    yield Path(keep)


@contextlib.contextmanager
def _first_served() -> Iterator[None]:
    """Go before whatever else this machine does, where that is allowed: a late station is no receiver's fault."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, min(usual, _PRIORITY))
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)


async def _stop(receivers: Sequence[EdgeReceiver]) -> None:
    await asyncio.gather(*(receiver.stop() for receiver in receivers))
