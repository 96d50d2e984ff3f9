"""The automation of one channel: looks at its sources, decides which is on air, moves the faders, takes commands.

For one thread. It is driven by `step`, ten times a second or so; commands take effect at once. Times are monotonic
seconds (`now`) and unix seconds (`wall`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from loamedia.spec import parse_spec
from relay.automation.mixer import Mixer, MixerInput, Open, Source
from relay.automation.queue import Queue
from relay.automation.queue_strip import QueueStrip
from relay.automation.rundown import Rundown, Standing
from relay.automation.settings import PUBLISHERS, QUEUE, AutomationConfig, RundownSource
from relay.automation.strips import PATIENCE_S, ChannelStrip, Place, PublishersStrip, StreamStrip, Strip
from relay.automation.views import item_view, past_view, source_view
from relay.automation.watch import Verdict
from relay.automation_ports import (
    AutomationStats,
    AutomationView,
    InputChange,
    InputSetting,
    ItemView,
    QueueItem,
    Saved,
)
from relay.errors import InputNotFound, ItemNotFound
from relay.live.settings import CHANNEL_PREFIX
from relay.live_ports import InputKind

SHOWN: Final = 20
"""Items of the queue that are part of the state; whoever wants all asks for them."""
_KINDS: Final[dict[str, InputKind]] = {
    "file": "file", "http": "stream", "rtsp": "stream", "srt": "stream", "alsa": "line", "tone": "tone",
}  # fmt: skip


class ChannelAutomation:
    """One channel's."""

    def __init__(
        self, config: AutomationConfig, mixer: Mixer, open_source: Open, *, saved: Saved | None = None, now: float
    ) -> None:  # fmt: skip
        """Begins to open the sources. Raises ChannelBusy when the mixer has no room for them."""
        saved = saved or Saved()
        self.queue = Queue(config.queue_max, saved.items)
        self.switches = 0
        """Changes of the source on air."""
        self.ducked = False
        self._config = config
        self._mixer = mixer
        self._inputs = dict(saved.inputs)
        self._set: dict[str, MixerInput] = {}
        """Those that are as `_inputs` says; an input that comes anew, as the queue's does, is another one."""
        self._settings_revision = 0
        self._decided = False
        """Whether an operator has commanded `play` or `stop` in this run."""
        self._rundown = Rundown(patience_s=PATIENCE_S)
        self._rundown.stopped, self._rundown.pinned = saved.stopped, saved.pinned
        self._queue_strip = QueueStrip(
            QUEUE, config.watching(QUEUE, dict(config.listed)[QUEUE]), mixer, self.queue, open_source,
            gain_db=dict(config.listed)[QUEUE].gain, crossfade_s=config.crossfade,
        )  # fmt: skip
        self._strips = [self._strip(name, source, open_source, now) for name, source in config.listed]
        self._set_again()

    @property
    def revision(self) -> int:
        """Grows with each change that a restart has to know of."""
        return self.queue.revision + self._settings_revision

    @property
    def chimes(self) -> bool:
        """Whether items can have a chime before them."""
        return self._mixer.chimes(QUEUE) is not None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to decide."""
        if len(self._strips) > 1 or self.ducked or any(self._unset()):
            return False
        return not len(self.queue) and self._queue_strip.input is None

    def saved(self) -> Saved:
        """What a restart has to know."""
        return Saved(tuple(self.queue), self._rundown.stopped, self._rundown.pinned, dict(self._inputs))

    @property
    def playing(self) -> QueueItem | None:
        """The item of the queue that is played, with how far it was."""
        first = self.queue.first(1)
        return first[0] if first and first[0].position_s else None

    @property
    def standing(self) -> tuple[str | None, str]:
        """The source on air, None for none, and why."""
        return self._rundown.on_air, self._rundown.reason

    def take_up(self, saved: Saved) -> None:
        """What is known of the last run only now: its queue comes behind what was queued since, and what was stopped or
        chosen then holds unless somebody has decided since."""
        self.queue.take_up(saved.items)
        if not self._decided:
            self._rundown.stopped, self._rundown.pinned = saved.stopped, saved.pinned
        self._inputs = {**saved.inputs, **self._inputs}
        self._settings_revision += 1

    def close(self) -> None:
        """Let go of all sources."""
        for strip in self._strips:
            strip.close()

    # What goes on by itself

    def step(self, now: float, wall: float) -> None:
        """Look at everything and do what follows."""
        self._act(now, wall)
        if self.ducked:
            self._mixer.hold_duck(True)  # also for those whose mix has come since

    def _decide(self, now: float, standing: Sequence[Standing], fade_s: float) -> None:
        before = self._rundown.on_air
        on_air = self._rundown.decide(now, standing)
        self.switches += on_air != before
        passed = False
        # whoever comes on air goes first: what was there before is faded out under it
        places = []
        for strip in self._strips:
            passed = passed or strip.name == on_air
            places.append((strip, self._place(strip, on_air, passed)))
        for strip, place in sorted(places, key=lambda each: each[1] is not Place.ON_AIR):
            strip.put(now, place, fade_s)

    def _place(self, strip: Strip, on_air: str | None, passed: bool) -> Place:
        if strip.name == on_air:
            return Place.ON_AIR
        waits = not passed and on_air is not None and self._rundown.pinned != on_air
        return Place.WATCHED if waits and strip.verdict is Verdict.SILENT else Place.STANDBY

    def _unset(self) -> Iterator[str]:
        """The inputs that came since an operator set them, before a restart perhaps."""
        there = self._mixer.inputs
        return (name for name in self._inputs if name in there and self._set.get(name) is not there[name])

    def _set_again(self) -> None:
        for name in list(self._unset()):
            setting = self._inputs[name]
            self._set[name] = self._apply(name, InputChange(setting.gain_db, setting.muted, setting.pan, 0.0))

    # Commands

    def play(self, now: float, wall: float, *, source: str | None, item: str | None) -> None:
        """As `AutomationDesk.play`."""
        if source is not None and source not in [strip.name for strip in self._strips]:
            names = ", ".join(strip.name for strip in self._strips)
            raise InputNotFound(f"the list has no source {source[:64]}; it has {names}")
        if item is not None:
            self.queue.move(item, 0)
            source = source or (self._rundown.pinned and QUEUE)
        self._rundown.stopped, self._rundown.pinned = False, source
        self._decided = True
        self._settings_revision += 1
        self._act(now, wall)

    def stop(self, now: float, fade_s: float) -> None:
        """As `AutomationDesk.stop`."""
        self._rundown.stopped = self._decided = True
        self._settings_revision += 1
        self._decide(now, [Standing(strip.name, strip.verdict) for strip in self._strips], fade_s)

    def skip(self, now: float, wall: float) -> None:
        """Raises ItemNotFound."""
        first = self.queue.first(1)
        if not first:
            raise ItemNotFound("the queue is empty")
        self.queue.finish(first[0].id, "skipped", wall)
        self._act(now, wall)

    def duck(self, held: bool) -> None:
        """As `AutomationDesk.duck`; not remembered over a restart."""
        self.ducked = held
        self._mixer.hold_duck(held)

    def change_input(self, name: str, change: InputChange) -> None:
        """Raises InputNotFound. After a restart the same is set again, but for publishers, who are others then."""
        self._set_again()
        changed = self._apply(name, change)
        if changed.kind != "publisher":
            old = self._inputs.get(name, InputSetting())
            self._inputs[name] = InputSetting(
                old.gain_db if change.gain_db is None else change.gain_db,
                old.muted if change.muted is None else change.muted,
                old.pan if change.pan is None else change.pan,
            )
            self._set[name] = changed
            self._settings_revision += 1

    def queue_changed(self, now: float, wall: float) -> None:
        """Something was done to `queue`: open what comes next at once."""
        self._act(now, wall)

    def _act(self, now: float, wall: float) -> None:
        self._queue_strip.tidy(wall)
        standing = [strip.look(now) for strip in self._strips]
        self._set_again()  # what has just come, before it is heard
        self._decide(now, standing, self._config.fade)

    def _apply(self, name: str, change: InputChange) -> MixerInput:
        found = self._mixer.inputs.get(name)
        if found is None:
            raise InputNotFound(f"the channel has no input {name[:64]}")
        if change.gain_db is not None:
            found.gain(change.gain_db, change.seconds)
        if change.muted is not None:
            found.mute(change.muted)
        if change.pan is not None:
            found.pan(change.pan)
        return found

    # What people are told

    def view(self, stored: bool) -> AutomationView:
        """How everything stands now."""
        rundown = self._rundown
        return AutomationView(
            on_air=rundown.on_air,
            reason=rundown.reason,
            stopped=rundown.stopped,
            pinned=rundown.pinned,
            ducked=self.ducked,
            sources=[source_view(strip, rundown.on_air) for strip in self._strips],
            queue=self.items(self.queue.first(SHOWN)),
            length=len(self.queue),
            past=[past_view(each) for each in self.queue.past],
            stored=stored,
        )

    def items(self, items: Iterable[QueueItem]) -> list[ItemView]:
        """Items of the queue as people see them."""
        strip = self._queue_strip
        return [item_view(item, strip.deck(item.id), strip.running, self._first == item.id) for item in items]

    def stats(self) -> AutomationStats:
        """Counters."""
        return AutomationStats(
            on_air=self._rundown.on_air,
            verdicts={strip.name: strip.verdict.value for strip in self._strips},
            faulty={strip.name: bool(strip.fault) for strip in self._strips},
            queued=len(self.queue),
            played=self.queue.played,
            failed=self.queue.failures,
            switches=self.switches,
        )

    @property
    def _first(self) -> str | None:
        first = self.queue.first(1)
        return first[0].id if first else None

    def _strip(self, name: str, source: RundownSource, open_source: Open, now: float) -> Strip:
        watching = self._config.watching(name, source)
        if name == QUEUE:
            return self._queue_strip
        if name == PUBLISHERS:
            return PublishersStrip(name, watching, self._mixer)
        if source.source.startswith(CHANNEL_PREFIX):
            return ChannelStrip(name, source.source, watching, self._mixer, gain_db=source.gain, now=now)
        spec = parse_spec(source.source)

        def opened() -> Source:
            return open_source(source.source, trusted=True, loop=True, reconnect=True, start_s=0.0)

        return StreamStrip(
            name, spec.name, watching, self._mixer, opened, gain_db=source.gain, kind=_KINDS[spec.kind], now=now
        )  # fmt: skip
