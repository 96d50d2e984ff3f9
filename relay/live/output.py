"""A bus on its way out: who is heard on it, what steps back for whom, its encoder, and the channel it feeds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from relay.live.air import Air
from relay.live.encoding import BusEncoder, Encoding
from relay.live.inputs import ChannelInput
from relay.live.programme import Programme
from relay.live.settings import DuckConfig, MixSettings
from relay.live.tick import Tick
from relay.mixer.block import SAMPLE_RATE
from relay.mixer.desk import Input
from relay.mixer.ducking import DuckSettings
from relay.mixer.engine import MixEngine


def duck_settings(config: DuckConfig) -> DuckSettings:
    """What the configuration says, as the mixer wants it."""
    return DuckSettings(config.depth, config.threshold, config.attack, config.hold, config.release)


class BusOutput:
    """One bus of a mixed channel. Raises MixerFull, CodecError."""

    def __init__(
        self, engine: MixEngine, settings: MixSettings, programme: Programme, air: Air, encoding: Encoding,
        lane: int,
    ) -> None:  # fmt: skip
        self.programme = programme
        self._engine = engine
        self._air = air
        self._encoding = encoding
        self.encoder = BusEncoder(settings, partial(air.put, programme), lane)
        self.bus = engine.add_bus(settings.channels)
        self.duck = engine.add_duck(self.bus, duck_settings(settings.duck))
        self.bus.leveller(settings.leveller)
        self.bus.ceiling(settings.ceiling_dbtp)
        self._delay = (engine.latency + self.encoder.latency) / SAMPLE_RATE

    def hear(self, source: ChannelInput) -> None:
        """Let an input be heard, by the rules of its role."""
        if source.role == "programme":
            self.duck.duck(source.source)
        elif source.role == "announcement":
            self.duck.key(source.source)
        self.bus.route(source.source, 0.0)

    def chime(self, source: Input) -> None:
        """Let the chime be heard; programmes step back for it."""
        self.duck.key(source)
        self.bus.route(source, 0.0)

    def follow(self, source: ChannelInput) -> None:
        """The role of an input that is heard has changed."""
        self.duck.key(source.source, source.role == "announcement")
        self.duck.duck(source.source, source.role == "programme")

    def after(self, tick: Tick, wall: Callable[[float], float]) -> None:
        """The block of `tick` is there: hand it to the encoder. `wall` is the unix time of a monotonic one."""
        if tick.skipped:
            self.encoder.restart()
        sounding = self.bus.sounding
        captured = wall(tick.deadline) - self._delay if sounding else 0.0
        if self.encoder.offer(tick.number, captured, self.bus.samples, sounding):
            self._encoding.submit(self.encoder)

    def close(self) -> None:
        """Take the bus away and end what it fed."""
        self._engine.remove_bus(self.bus)
        self._air.end(self.programme)
