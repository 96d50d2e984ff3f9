"""A relay that mixes, under a hand-driven clock: no thread, ticks by hand, real sessions or bare packets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from loacodecs.opus import OpusDecoder, OpusEncoder
from loacodecs.rtp import RtpPacket
from relay.channels.channel import Channel
from relay.config import Config
from relay.live.air import Air
from relay.live.encoding import Inline
from relay.live.mixed import MixedChannel
from relay.live.moment import Moment
from relay.live.packets import PacketFeed
from relay.live.studio import Studio
from relay.live.tick import Tick
from relay.net.fanout import Packet
from relay.sources.feed import api_policy
from tests.support.world import UNIX, Client, World

FRAME = 960
TICK_S = 0.02


class MixWorld(World):
    """A World with a studio. `ticks(n)` mixes n blocks, 20 ms apart; `each` is called before each of them."""

    def __init__(self, config: Config | None = None, **mix: object) -> None:
        settings = {"mode": "mix", "leveller": False, "publishers": "talk"} | mix
        super().__init__(config or Config.model_validate({"channels": {"named": {"xa": settings}}}))
        mixed = {name: each for name, each in self.config.channels.named.items() if each.mode == "mix"}

        def make(name: str) -> Channel:
            return Channel(name, capacity=self.config.media.listeners_max)

        air = Air(self.hub, self.reactor, make, lambda: self.now)
        self.studio = Studio(
            mixed, air, Inline(), api_policy(self.config.sources), clock=lambda: self.now,
            wall=lambda: UNIX + self.now,
        )  # fmt: skip
        self.core.mixed = self.studio.channels
        self.number = 0

    def __exit__(self, *exc: object) -> None:
        self.studio.close()
        super().__exit__(*exc)

    @property
    def mixed(self) -> MixedChannel:
        return self.studio.channel("xa")

    def ticks(self, count: int, each: Callable[[], None] = lambda: None, skipped: int = 0) -> None:
        for _ in range(count):
            each()
            self.settle()
            self.number += skipped
            self.studio.tick(Tick(self.number, self.now, self.now, skipped))
            self.number += 1
            skipped = 0
            self.settle()
            self.now += TICK_S


class Ear:
    """Hears what a channel sends: packets as they go out, decoded in order."""

    def __init__(self, channel: Channel, channels: int = 1) -> None:
        self.packets: list[Packet] = []
        self.times: list[float] = []
        self._channels = channels
        channel.tap(self._take)

    def _take(self, packet: Packet, now: float) -> None:
        self.packets.append(packet)
        self.times.append(now)

    def sound(self, last: int | None = None) -> np.ndarray:
        """The sound of all packets (samples, channels), or of the last so many blocks of 20 ms."""
        decoder = OpusDecoder(self._channels)
        pieces = [decoder.decode(packet.payload) for packet in self.packets]
        whole = np.concatenate(pieces) if pieces else np.zeros((0, self._channels), np.float32)
        return whole if last is None else whole[-last * FRAME :]


def tone(
    frequency: float, blocks: int, db: float = -20.0, frame: int = FRAME, channels: int = 1
) -> np.ndarray:
    """A sine of so many dB below full scale (its peak), (blocks · frame, channels)."""
    t = np.arange(blocks * frame) / 48_000
    sine = (10 ** (db / 20) * np.sin(2 * np.pi * frequency * t)).astype(np.float32)
    return np.repeat(sine[:, None], channels, 1)


def packets_of(pcm: np.ndarray, frame_ms: float = 20, **settings: object) -> list[bytes]:
    """What an encoder makes of it."""
    encoder = OpusEncoder(pcm.shape[1], "audio", 64_000, frame_ms=frame_ms, **settings)  # type: ignore[arg-type]
    size = encoder.frame_samples
    return [encoder.encode(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)]


class Microphone:
    """A publisher's client and what it has to say, a packet of 20 ms each time it is asked."""

    def __init__(self, client: Client, packets: Iterable[bytes], samples: int = FRAME) -> None:
        self.client = client
        self.sequence = 0
        self._packets: Iterator[bytes] = iter(packets)
        self._samples = samples

    def __call__(self) -> None:
        payload = next(self._packets, None)
        if payload is not None:
            self.client.say(self.sequence, payload, timestamp=self.sequence * self._samples)
            self.sequence += 1


def strength(sound: np.ndarray, frequency: float) -> float:
    """The amplitude of one frequency in `sound`, in dBFS."""
    line = sound.mean(axis=1) if sound.ndim == 2 else sound
    window = np.hanning(len(line))
    phase = np.exp(-2j * np.pi * frequency * np.arange(len(line)) / 48_000)
    return float(20 * np.log10(2 * abs((line * window) @ phase) / window.sum() + 1e-12))


def rtp(sequence: int, payload: bytes, ssrc: int = 1) -> RtpPacket:
    return RtpPacket(111, False, sequence & 0xFFFF, sequence * FRAME & 0xFFFF_FFFF, ssrc, payload)


class Line:
    """Packets on their way to one PacketFeed under a hand-driven clock, and what the feed makes of them.

    `delay(i)` is the seconds that packet i takes, None for one that is lost.
    """

    def __init__(self, channels: int = 1) -> None:
        self.moment = Moment()
        self.feed = PacketFeed(self.moment, channels)
        self.came: list[bool] = []
        self.buffered: list[float] = []
        self._blocks: list[np.ndarray] = []
        self._ticks = 0
        self._coming: list[tuple[float, tuple[int, int, int, bytes]]] = []

    def play(
        self, packets: list[bytes | None], *, frame_ms: float = 20, phase: float = 0.007, ppm: float = 0.0,
        delay: Callable[[int], float | None] = lambda i: 0.0, blocks: int | None = None, sequence: int = 0,
        timestamp: int = 0, ssrc: int = 1,
    ) -> np.ndarray:  # fmt: skip
        """Send and tick; gives the sound of these blocks, (blocks · 960, 2). A `ppm` above 0 is a slow source."""
        start = self._ticks * TICK_S
        for i, payload in enumerate(packets):
            late = None if payload is None else delay(i)
            if late is not None:
                at = start + phase + i * frame_ms / 1000 * (1 + ppm * 1e-6) + late
                stamp = timestamp + round(i * frame_ms * 48) & 0xFFFF_FFFF
                self._coming.append((at, (ssrc, sequence + i & 0xFFFF, stamp, payload or b"")))
        self._coming.sort(key=lambda each: each[0])
        first = len(self._blocks)
        for _ in range(round(len(packets) * frame_ms / 20) if blocks is None else blocks):
            now = self.moment.now = self._ticks * TICK_S
            while self._coming and self._coming[0][0] <= now:
                at, packet = self._coming.pop(0)
                self.feed.push(*packet, at)
            out = np.zeros((2, FRAME), np.float32)
            self.came.append(self.feed.read(out))
            self._blocks.append(out if self.came[-1] else np.zeros_like(out))
            self.buffered.append(self.feed.buffered_s)
            self._ticks += 1
        return np.concatenate(self._blocks[first:], 1).T
