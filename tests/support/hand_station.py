"""One channel's automation over the hand mixer, by hand clock: sources are arrays, what is heard is one, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relay.automation.programme import ChannelAutomation
from relay.automation.settings import AutomationConfig
from relay.automation_ports import QueueItem, Saved
from tests.support.hand_mixer import HandMixer, HandSource, Sound, endless, tone_source
from tests.support.tones import dominant_frequency, level_dbfs


@dataclass
class Station:
    """A channel; `opens` gives the sources by what names them, the next one each time if it is a list."""

    opens: dict[str, HandSource | list[HandSource]]
    sources: Sequence[Any] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    saved: Saved | None = None
    now: float = 1000.0
    mixer: HandMixer = field(default_factory=HandMixer)

    def __post_init__(self) -> None:
        self.opened: list[str] = []
        self.starts: list[float] = []
        config = AutomationConfig.model_validate({"sources": self.sources, **self.settings})
        self.automation = ChannelAutomation(config, self.mixer, self.open, saved=self.saved, now=self.now)

    def open(self, source: str, *, trusted: bool, loop: bool, reconnect: bool, start_s: float) -> HandSource:
        self.opened.append(source)
        self.starts.append(start_s)
        found = self.opens[source]
        return found.pop(0) if isinstance(found, list) else found

    def run(self, seconds: float) -> Sound:
        """What is heard meanwhile; a step comes after every 0.1 s."""
        heard = []
        for _ in range(round(seconds * 10)):
            heard.append(self.mixer.hear(5))
            self.now += 0.1
            self.automation.step(self.now, self.now)
        return np.concatenate(heard)

    def add(self, *names: str, place: int | None = None) -> None:
        items = [QueueItem(name, name, "", 0.0, self.now, "") for name in names]
        self.automation.queue.add(items, place)
        self.automation.queue_changed(self.now, self.now)

    @property
    def on_air(self) -> str | None:
        return self.automation.view(True).on_air

    def verdicts(self) -> dict[str, str]:
        return {each.name: each.verdict for each in self.automation.view(True).sources}


def hertz(sound: Sound) -> float:
    assert level_dbfs(sound) > -40, "there is no sound"
    return dominant_frequency(sound)


@dataclass
class Switch:
    """A live source that can be turned off."""

    on: bool = True

    def source(self, frequency: float) -> HandSource:
        tone = endless(frequency)
        return HandSource(
            live=True, generate=lambda at, count: tone(at, count) if self.on else np.zeros(count, np.float32)
        )


def two(switch: Switch, **settings: Any) -> Station:
    """A stream of 500 Hz and a file of 800 Hz to fall back on."""
    station = Station(
        {"https://tinh/live": switch.source(500), "music.flac": tone_source(800, 30.0, loop=True)},
        [{"source": "https://tinh/live", "name": "tinh"}, {"source": "music.flac", "name": "music"}],
        {"fade": "1s", **settings},
    )
    station.run(2)
    return station
