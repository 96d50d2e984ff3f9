"""A world for the playout: a station whose sound is known, relays, impaired links, clocks that disagree, an ear.

Everything happens on a hand clock: simulated hours take seconds. What is measured is the sound that was rendered,
against the sound a listener without a network would have heard.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.link.model import Fates, PathConfig
from bench.link.presets import NONE
from loacodecs import red, rtcp, rtp
from loacodecs.opus import OpusDecoder, OpusEncoder, packet_samples
from loaedge.playout import Playout, PlayoutSettings, Source
from relay.channels.adaptive import AdaptiveRedundancy

RATE = 48000
EPOCH = 1_700_000_000.0
"""Relay time at which the station begins."""
BLOCK = 960
PAYLOAD_TYPE, RED_TYPE, CAPTURE_ID = 111, 63, 3
HEADERS = 28 + 12 + 16
"""Octets of a datagram beside its payload: IPv4, UDP, RTP, SRTP tag."""

Mono = NDArray[np.float32]


@functools.cache
def programme(seconds: float, seed: int = 1) -> Mono:
    """Noise below 2 kHz that swells and ebbs, with a tone of 440 Hz: no two moments of it are alike."""
    samples = round(seconds * RATE)
    noise = np.random.default_rng(seed).standard_normal(samples)
    spectrum = np.fft.rfft(noise)
    spectrum[round(2000 * samples / RATE) :] = 0
    noise = np.fft.irfft(spectrum, samples)
    times = np.arange(samples) / RATE
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * times)
    return (swell * (0.12 * noise / noise.std() + 0.05 * np.sin(2 * np.pi * 440 * times))).astype(np.float32)


@dataclass(frozen=True)
class Encoding:
    """How the station encodes; `dtx` also leaves the packets out that need not be sent."""

    frame_ms: float = 20
    bitrate: int = 32000
    speech: bool = False
    fec: bool = False
    dtx: bool = False


@dataclass(frozen=True)
class Sent:
    """One packet of the channel: number, media time, payload."""

    number: int
    media: int
    payload: bytes


def encode(sound: Mono, encoding: Encoding = Encoding()) -> list[Sent]:
    """The packets of a station that sends `sound`."""
    encoder = OpusEncoder(
        application="voip" if encoding.speech else "audio",
        bitrate=encoding.bitrate,
        frame_ms=encoding.frame_ms,
        fec=encoding.fec,
        dtx=encoding.dtx,
        expected_loss=20 if encoding.fec else 0,
    )
    size = encoder.frame_samples
    sent: list[Sent] = []
    for begin in range(0, len(sound) - size + 1, size):
        payload = encoder.encode(sound[begin : begin + size])
        if len(payload) > 2 or not encoding.dtx:
            sent.append(Sent(len(sent), begin, payload))
    return sent


@functools.cache
def station(seconds: float, encoding: Encoding = Encoding()) -> tuple[Sent, ...]:
    """`encode` of `programme`, remembered."""
    return tuple(encode(programme(seconds), encoding))


@functools.cache
def clean(packets: tuple[Sent, ...]) -> Mono:
    """What a listener hears whom every packet reaches; media time 0 is sample 0."""
    decoder = OpusDecoder(1)
    out = np.zeros(packets[-1].media + packet_samples(packets[-1].payload), np.float32)
    for packet in packets:
        pcm = decoder.decode(packet.payload)[:, 0]
        out[packet.media : packet.media + len(pcm)] = pcm
    return out


@dataclass
class Clock:
    """The relay's clock by the receiver's: exact, `fast_ppm` faster; `known` can be taken away."""

    fast_ppm: float = 0.0
    known: bool = True

    def relay_time(self, local: float) -> float | None:
        return EPOCH + local * (1 + self.fast_ppm * 1e-6) if self.known else None

    def local_time(self, relay: float) -> float | None:
        return (relay - EPOCH) / (1 + self.fast_ppm * 1e-6) if self.known else None

    def confidence_s(self, local: float) -> float | None:
        return 0.001 if self.known else None


@dataclass
class Relay:
    """What one relay does with the channel for one receiver."""

    world: World
    name: str
    source: Source
    up: Fates
    down: Fates
    rng: random.Random
    red_level: int = 0
    captures: bool = True
    capture_error_s: float = 0.0
    answers: bool = True
    alive: bool = True
    octets: int = 0
    hold: Callable[[float], bool] = lambda _now: False
    """Whether the relay loses what it sends at a moment."""
    media_offset: int = 0
    adaptive: AdaptiveRedundancy | None = None
    """Lets the receiver's reports decide on `red_level`."""
    history: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Random counters, as at the start of every session."""
        self.ssrc = self.rng.getrandbits(32)
        self.sequence = self.rng.getrandbits(15)
        self.timestamp = self.rng.getrandbits(32)
        self.history.clear()
        self._next_capture = self._next_report = 0.0
        self._first: int | None = None

    def send(self, packets: tuple[Sent, ...], index: int, now: float) -> None:
        """Send packet `index` at `now` (local time of the world)."""
        if not self.alive:
            return
        packet = packets[index]
        if self._first is None:
            self._first = packet.number
        captured = EPOCH + self.world.captured(packet.media) + self.capture_error_s
        profile, extension = 0, b""
        if self.captures and now >= self._next_capture:
            self._next_capture = now + 1
            stamp = rtp.pack_capture_time(rtp.ntp_from_unix(captured))
            profile, extension = rtp.pack_extension([(CAPTURE_ID, stamp)])
        if self.captures and now >= self._next_report:
            self._next_report = now + 5
            report = rtcp.SenderReport(
                self.ssrc, rtp.ntp_from_unix(captured), self._stamp(packet.media), 1, 1
            )
            self._deliver(rtcp.serialize([report]), now, self.source.on_rtcp)
        payload, payload_type = packet.payload, PAYLOAD_TYPE
        if self.red_level:
            older = packets[max(0, index - self.red_level) : index]
            blocks = [red.Block(PAYLOAD_TYPE, packet.media - o.media, o.payload) for o in older]
            payload = red.build([*blocks, red.Block(PAYLOAD_TYPE, 0, payload)])
            payload_type = RED_TYPE
        sequence = self.sequence + packet.number - self._first & 0xFFFF
        data = rtp.RtpPacket(
            payload_type, False, sequence, self._stamp(packet.media), self.ssrc, payload, profile, extension
        ).to_bytes()
        self.history[sequence] = data
        self.history.pop(sequence - 256 & 0xFFFF, None)
        if not self.hold(now):
            self._deliver(data, now, self.source.on_rtp)

    def on_rtcp(self, data: bytes, now: float) -> None:
        """What the receiver sent has arrived."""
        for packet in rtcp.parse(data):
            if isinstance(packet, rtcp.ReceiverReport) and self.adaptive is not None:
                for report in packet.reports:
                    self.red_level = self.adaptive.note(report.fraction_lost / 256, now)
            if isinstance(packet, rtcp.Nack) and self.answers and self.alive:
                for sequence in packet.lost:
                    if sequence in self.history:
                        self._deliver(self.history[sequence], now, self.source.on_rtp)

    def pump(self, now: float) -> None:
        """Send what the receiver wants to tell this relay; come back when it will have more."""
        while (data := self.source.poll_rtcp(now)) is not None:
            for at in self.up.fate(now, len(data) + HEADERS - 12):
                self.world.at(at, functools.partial(self.on_rtcp, data))
        deadline = self.source.next_deadline()
        if deadline is not None:
            self.world.wake(self, max(deadline, now + 1e-4))

    def _stamp(self, media: int) -> int:
        return self.timestamp + media + self.media_offset & 0xFFFFFFFF

    def _deliver(self, data: bytes, now: float, take: Callable[[bytes, float], None]) -> None:
        self.octets += len(data) + HEADERS - 12
        for at in self.down.fate(now, len(data) + HEADERS - 12):
            self.world.at(at, functools.partial(self._arrive, take, data))

    def _arrive(self, take: Callable[[bytes, float], None], data: bytes, now: float) -> None:
        take(data, now)
        self.pump(now)


class World:
    """One receiver, its relays and its clock. Time 0 of the receiver's clock is the station's first sample.

    `station_ppm`: how much too slow the station's sound card is; `device_ppm`: the same of the receiver's.
    """

    def __init__(
        self,
        *,
        settings: PlayoutSettings = PlayoutSettings(),  # noqa: B008 - frozen
        clock: Clock | None = None,
        device_ppm: float = 0.0,
        station_ppm: float = 0.0,
        seed: int = 1,
        begin: float = 0.0,
    ) -> None:
        self.clock = clock or Clock()
        self.playout = Playout(self.clock, settings)
        self.relays: dict[str, Relay] = {}
        self.now = begin
        self.heard: list[Mono] = []
        self._begin = begin
        self._device = 1 + device_ppm * 1e-6
        self._station = 1 + station_ppm * 1e-6
        self._seed = seed
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._wakes: dict[int, float] = {}
        self._blocks = self._skipped = 0

    def captured(self, media: int) -> float:
        """When the sample at `media` was captured: seconds of the relay's clock after the epoch."""
        return media / RATE * self._station

    def join(self, name: str = "a", path: PathConfig = NONE, *, nack: bool = True, **kwargs: object) -> Relay:
        """A session with one more relay over `path`."""
        rng = random.Random(f"{self._seed} {name}")
        source = self.playout.open(
            name,
            payload_type=PAYLOAD_TYPE,
            red_payload_type=RED_TYPE,
            nack=nack,
            ssrc=1,
            cname="ear",
            random=rng.randbytes,
            capture_extension=CAPTURE_ID,
        )
        links = path.links(self._seed * 1000 + len(self.relays))
        up, down = links(0, self._begin)
        relay = Relay(self, name, source, up, down, rng, **kwargs)  # type: ignore[arg-type]
        self.relays[name] = relay
        return relay

    def at(self, when: float, act: Callable[[float], None]) -> None:
        """Do something at `when`."""
        heapq.heappush(self._events, (when, next(self._order), act))

    def wake(self, relay: Relay, when: float) -> None:
        """Call the relay's pump at `when`, once."""
        key = id(relay)
        if self._wakes.get(key, float("inf")) <= when and self._wakes[key] > self.now:
            return
        self._wakes[key] = when
        self.at(when, relay.pump)

    def broadcast(self, packets: tuple[Sent, ...], *names: str, offset_s: float = 0.0) -> None:
        """Let the relays (all, or those named) send the packets at the time of their capture."""
        for name in names or tuple(self.relays):
            relay = self.relays[name]
            for index, packet in enumerate(packets):
                local = self.clock_local(self.captured(packet.media)) + offset_s
                self.at(local, functools.partial(relay.send, packets, index))

    def clock_local(self, seconds: float) -> float:
        """Receiver's time at `seconds` of the relay's clock after the epoch."""
        return seconds / (1 + self.clock.fast_ppm * 1e-6)

    def skip(self, until: float) -> None:
        """Let time pass in which nothing happens and nothing is heard."""
        skipped = int((until - self.now) * RATE / self._device) // BLOCK
        self._blocks += skipped
        self._skipped = self._blocks
        self.heard.clear()
        self.now = until

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            due = self._begin + self._blocks * BLOCK / RATE * self._device
            event = self._events[0][0] if self._events else float("inf")
            if min(due, event) >= until:
                break
            if event <= due:
                self.now, _, act = heapq.heappop(self._events)
                act(self.now)
                continue
            self.now = due
            self._blocks += 1
            sound = self.playout.render(BLOCK, due)
            assert sound.shape == (BLOCK, 1)
            assert sound.dtype == np.float32
            self.heard.append(sound[:, 0])
        self.now = until

    @property
    def sound(self) -> Mono:
        """All that was heard, from the beginning or the last `skip` on."""
        return np.concatenate(self.heard)

    def between(self, begin: float, end: float) -> Mono:
        """What was heard from `begin` to `end` (local time)."""
        first, last = (
            round((moment - self._begin) * RATE / self._device) - self._skipped * BLOCK
            for moment in (begin, end)
        )
        return self.sound[first:last]


def delay_of(heard: Mono, reference: Mono, supposed: int, reach: int = 4800) -> float:
    """By how many samples `heard` comes after `reference[0:]`, near `supposed`; to a fraction, by correlation."""
    begin = -supposed - reach
    piece = np.zeros(len(heard) + 2 * reach, np.float64)
    low, high = max(0, begin), min(len(reference), begin + len(piece))
    piece[low - begin : high - begin] = reference[low:high]
    size = 1 << (len(piece) + len(heard)).bit_length()
    spectrum = np.fft.rfft(piece, size) * np.conj(np.fft.rfft(heard.astype(np.float64), size))
    correlation = np.fft.irfft(spectrum, size)[: 2 * reach + 1]
    peak = int(np.argmax(correlation))
    fraction = 0.0
    if 0 < peak < len(correlation) - 1:
        left, middle, right = correlation[peak - 1 : peak + 2]
        fraction = 0.5 * (left - right) / (left - 2 * middle + right)
    return supposed + reach - (peak + fraction)


def damaged(heard: Mono, ideal: Mono, block: int = BLOCK) -> float:
    """Share of the sounding blocks of `ideal` that are not in `heard`: their difference is above -6 dB."""
    blocks = len(ideal) // block
    shape = (blocks, block)
    difference = (heard[: blocks * block] - ideal[: blocks * block]).reshape(shape)
    power = np.mean(ideal[: blocks * block].reshape(shape).astype(np.float64) ** 2, axis=1)
    sounding = power > 1e-6
    bad = np.mean(difference.astype(np.float64) ** 2, axis=1) > power / 4
    return float(np.sum(bad & sounding) / max(1, np.sum(sounding)))


def ideal(packets: tuple[Sent, ...], delay_s: float, samples: int) -> Mono:
    """What `clean` sounds like from local time 0 on for `samples`, were it `delay_s` late and nothing else."""
    sound, begin = clean(packets), round(delay_s * RATE)
    out = np.zeros(samples, np.float32)
    part = sound[: samples - begin]
    out[begin : begin + len(part)] = part
    return out
