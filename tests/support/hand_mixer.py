"""A mixed channel without relay: the real engine, ticked by hand, and sources that are arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relay.automation.decks import Chimes
from relay.errors import ChannelBusy, InputNotFound
from relay.live_ports import BusState, InputKind, InputState, MixState, Role
from relay.mixer.block import MixerFull
from relay.mixer.desk import Input
from relay.mixer.engine import MixEngine
from relay.mixer.intake import Feed
from relay.mixer.meter import Level
from tests.support.tones import tone

Sound = NDArray[np.float32]


@dataclass
class HandSource:
    """A source as `relay.automation.mixer.Source` wants it; `sound` is mono samples, or endless by `generate`."""

    sound: Sound = field(default_factory=lambda: np.zeros(0, np.float32))
    live: bool = False
    loop: bool = False
    state: str = "paused"
    reason: str = ""
    title: str = "a sound"
    position: int = 0
    closed: bool = False
    wanted: bool = False
    generate: Callable[[int, int], Sound] | None = None

    def take(self, out: Sound) -> int:
        if self.state != "playing":
            return 0
        wanted = out.shape[1]
        if self.generate is not None:
            part = self.generate(self.position, wanted)
        elif self.loop:
            part = self.sound[np.arange(self.position, self.position + wanted) % len(self.sound)]
        else:
            part = self.sound[self.position : self.position + wanted]
        out[:, : len(part)] = part
        self.position += len(part)
        if self.generate is None and not self.loop and self.position >= len(self.sound):
            self.state = "ended"
        return len(part)

    def read(self, out: Sound) -> bool:
        count = self.take(out)
        out[:, count:] = 0
        return count > 0

    def play(self) -> None:
        self.wanted = True
        if self.state == "paused":
            self.state = "playing"

    def pause(self) -> None:
        self.wanted = False
        if self.state == "playing":
            self.state = "paused"

    def open(self) -> None:
        """What was opening is there now."""
        self.state = "playing" if self.wanted else "paused"

    def close(self) -> None:
        self.closed = True
        if self.state != "failed":
            self.state = "ended"

    def fail(self, reason: str) -> None:
        self.state, self.reason = "failed", reason

    @property
    def ready(self) -> bool:
        return self.state in ("playing", "paused")

    @property
    def position_s(self) -> float:
        return self.position / 48_000

    @property
    def duration_s(self) -> float | None:
        return None if self.live or self.loop else len(self.sound) / 48_000


def endless(hertz: float, level: float = 0.25) -> Callable[[int, int], Sound]:
    """A tone for `HandSource.generate`."""

    def generate(at: int, count: int) -> Sound:
        times = (at + np.arange(count)) / 48_000
        return (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)

    return generate


class HandChimes:
    """`relay.automation.decks.Chimes`: a chime of samples that are all 0.5, and what it was told."""

    def __init__(self, samples: int = 1000) -> None:
        self.sound = np.full(samples, 0.5, np.float32)
        self.notes: list[tuple[bool, bool]] = []

    def begin(self) -> Sound:
        return self.sound

    def note(self, playing: bool, chiming: bool) -> None:
        self.notes.append((playing, chiming))


@dataclass
class HandInput:
    """An input of the hand mixer."""

    name: str
    kind: InputKind
    label: str
    source: Input
    title: str = ""
    fault: str = ""
    muted: bool = False
    held: bool = False
    gains: list[float] = field(default_factory=list)

    def gain(self, db: float, seconds: float = 0.01) -> None:
        self.gains.append(db)
        self.source.gain(db, seconds)

    def mute(self, muted: bool) -> None:
        self.muted = muted
        self.source.mute(muted)

    def fade(self, db: float, seconds: float) -> None:
        self.source.fade(db, seconds)

    def pan(self, place: float) -> None:
        self.source.pan(place)

    def level(self) -> Level:
        return self.source.level()

    @property
    def sounding(self) -> bool:
        return self.source.came

    def state(self) -> InputState:
        level, gain_db = self.level(), self.gains[-1] if self.gains else 0.0
        return InputState(
            self.name, self.kind, "programme", self.label, self.title, 1, gain_db, -math.inf, 0.0, self.muted,
            self.sounding, level.rms_dbfs, level.peak_dbfs, self.fault, 0, 0, 0, 0, 0.0,
        )  # fmt: skip


class HandMixer:
    """`relay.automation.mixer.Mixer` over an engine of one mono bus."""

    def __init__(self, inputs: int = 8) -> None:
        self.engine = MixEngine(inputs, 1)
        self.bus = self.engine.add_bus()
        self.inputs: dict[str, HandInput] = {}
        self.held = False
        self.chime: Chimes | None = None

    def add_input(
        self,
        name: str,
        source: str | Feed,
        *,
        role: Role = "programme",
        gain_db: float = 0.0,
        label: str = "",
        kind: InputKind = "feed",
    ) -> HandInput:
        assert not isinstance(source, str)
        try:
            handle = self.engine.add_input(source)
        except MixerFull:
            raise ChannelBusy("no room") from None
        added = HandInput(name, kind, label, handle)
        handle.gain(gain_db, 0.0)
        self.bus.route(handle, 0.0)
        self.inputs[name] = added
        return added

    def remove_input(self, name: str, fade_s: float = 0.05) -> None:
        if name not in self.inputs:
            raise InputNotFound(name)
        self.engine.remove_input(self.inputs.pop(name).source)

    def chimes(self, name: str) -> Chimes | None:
        return self.chime

    def hold_duck(self, held: bool) -> None:
        self.held = held

    def state(self) -> MixState:
        level = self.bus.level()
        bus = BusState(
            True, level.rms_dbfs, level.peak_dbfs, -23.0, -23.0, "heard", -math.inf, 32_000, "audio", 20, 0, 0
        )  # fmt: skip
        inputs = [each.state() for each in self.inputs.values()]
        return MixState("xa", 8, inputs, bus, 0, 0)

    def hear(self, blocks: int) -> Sound:
        """So many blocks of the bus, (blocks · 960,)."""
        heard = [np.zeros(0, np.float32)]
        for _ in range(blocks):
            self.engine.tick()
            heard.append(self.bus.samples[0].copy())
        return np.concatenate(heard)


def tone_source(hertz: float, seconds: float, **fields: Any) -> HandSource:
    """A file of a tone."""
    return HandSource(tone(hertz, seconds), **fields)
