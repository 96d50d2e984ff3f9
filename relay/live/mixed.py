"""A mixed channel: its inputs, its bus, and a mix for each who talks in which he does not hear himself."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from threading import RLock
from typing import Final, Protocol

from loacodecs.errors import ConfigurationError
from loamedia.policy import Policy
from loamedia.spec import parse_spec
from relay.channels.channel import Channel
from relay.errors import ChannelBusy, InputExists, InputNotFound
from relay.live.air import Air
from relay.live.announcing import Announcing, Gate, ItemChime
from relay.live.guard import GuardedFeed
from relay.live.inputs import STREAMS, ChannelInput, Settings
from relay.live.moment import Moment
from relay.live.output import BusOutput
from relay.live.packets import PacketFeed
from relay.live.programme import Programme
from relay.live.settings import CHANNEL_PREFIX, MixSettings, reached
from relay.live.tick import PERIOD_S, Counts
from relay.live_ports import BusState, InputKind, MixState, Role, SourceStats
from relay.mixer.block import SILENCE_DBFS, MixerFull, dbfs_of
from relay.mixer.desk import Bus, Input
from relay.mixer.engine import MixEngine
from relay.mixer.intake import Feed
from relay.ports import Hearing
from relay.sources.feed import OPERATOR, StreamFeed, open_source

log = logging.getLogger("loa.live")

FADE_S: Final = 0.05
PUBLISHERS: Final = "publishers"
"""Whoever publishes, in metrics."""


class Surroundings(Protocol):
    """What a channel needs around it: the studio, whose channels share all of this."""

    engine: MixEngine
    air: Air
    policy: Policy
    clock: Callable[[], float]
    moment: Moment
    counts: Counts
    lock: RLock
    """Kept while inputs come and go; the tick never takes it."""

    def output(self, settings: MixSettings, programme: Programme) -> BusOutput:
        """A bus that feeds `programme`. Raises MixerFull."""
        ...

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have `action` done by the mixer's thread in so many seconds."""
        ...

    def wake(self) -> None:
        """There is something to mix again."""
        ...

    def heard(self) -> dict[str, list[str]]:
        """Which channels each mixed channel has as inputs."""
        ...

    def is_emergency(self, name: str) -> bool:
        """Whether the channel's live programme is declared an emergency."""
        ...


class MixedChannel:
    """One of the studio's channels. Everything may be called from any thread; nothing waits for a source."""

    def __init__(self, name: str, settings: MixSettings, studio: Surroundings) -> None:
        self.name = name
        self.settings = settings
        self._studio = studio
        self._output = studio.output(settings, studio.air.programme(name))
        self._minus: dict[str, BusOutput] = {}
        self._number = 0
        self.announcing = Announcing(settings, studio.moment, lambda: studio.is_emergency(name))
        self._there: tuple[dict[str, ChannelInput], SourceStats] = {}, SourceStats()
        """Its inputs, and the counts of publishers that have left; replaced whole, so that each is counted once."""
        self._chime: Input | None = None
        self.keeps_free: Callable[[str], bool] = lambda subject: False
        """Whether a publisher leaves the last place free."""
        if self.announcing.configured:
            self._add_chime()

    @property
    def inputs(self) -> dict[str, ChannelInput]:
        """By name, as they came; replaced whole when it changes, so that it can be walked from any thread."""
        return self._there[0]

    @property
    def bus(self) -> Bus:
        """What goes out."""
        return self._output.bus

    @property
    def outputs(self) -> tuple[BusOutput, ...]:
        """All buses, the channel's own first."""
        return (self._output, *tuple(self._minus.values()))

    def add_input(
        self, name: str, source: str | Feed, *, role: Role = "programme", gain_db: float = 0.0, pan: float =
        0.0, muted: bool = False, channels: int | None = None, label: str = "", policy: Policy | None = None,
        loop: bool = False, kind: InputKind = "feed",
    ) -> ChannelInput:  # fmt: skip
        """Take an input: a feed, or what names a source (`loamedia.spec`, or `channel:NAME`).

        A name is opened under `policy`, by default the API's. `channels` is by default as many as the channel has.
        Raises InputExists, ChannelBusy when there is no room, ConfigurationError for what names no source.
        """
        with self._studio.lock:
            self._check_room(name)
            settings = Settings(role, gain_db, pan, muted)
            channels = self.settings.channels if channels is None else channels
            close: Callable[[], None] | None
            if isinstance(source, str):
                found, feed, close = self._open(source, policy or self._studio.policy, loop, channels)
                added = self._add(name, found, feed, settings, channels, label, close)
                added.hears = source.removeprefix(CHANNEL_PREFIX) if found == "channel" else ""
                return added
            close = source.close if isinstance(source, StreamFeed) else None
            return self._add(name, kind, source, settings, channels, label, close)

    def remove_input(self, name: str, fade_s: float = FADE_S) -> None:
        """Fade an input out and let it go; a publisher's session ends with it. Raises InputNotFound."""
        with self._studio.lock:
            inputs, gone = self._there
            leaving = inputs.get(name)
            if leaving is None:
                raise InputNotFound(f"channel {self.name} has no input {name}")
            if leaving.kind == "publisher":
                gone = replace(gone.and_of(leaving.state()), playing=0, faulty=0)
            self._there = {key: each for key, each in inputs.items() if key != name}, gone
            leaving.fade(-math.inf, fade_s)
            minus = self._minus.get(name)
            self._minus = {key: each for key, each in self._minus.items() if key != name}
        if leaving.session:
            self._studio.air.close_session(leaving.session, "ended by the studio")
        self._studio.after(fade_s, lambda: self._let_go(leaving, minus))

    def hold_duck(self, held: bool) -> None:
        """Keep programmes down whatever announcements do, in every mix there is now; or leave it to announcements."""
        for output in self.outputs:
            output.duck.hold(held)

    def announce(self) -> None:
        """What comes on air now deserves the chime, if one is configured and there was no announcement just before."""
        self.announcing.announce(self._studio.clock())
        self._studio.wake()

    def chimes(self, name: str) -> ItemChime | None:
        """For the input of that name, which plays items one after another: their chime. None without one."""
        if not self.announcing.configured:
            return None
        return ItemChime(self.announcing, lambda role: self._take_role(name, role))

    def mix_minus(self, name: str) -> Channel:
        """The channel in which everybody is heard but that input; made when first asked for. Raises InputNotFound."""
        with self._studio.lock:
            if name not in self.inputs:
                raise InputNotFound(f"channel {self.name} has no input {name}")
            output = self._minus.get(name)
            if output is None:
                output = self._studio.output(self.settings, self._studio.air.private(f"{self.name}~{name}"))
                if self._chime is not None:
                    output.chime(self._chime)
                for each in self.inputs.values():
                    if each.name != name:
                        output.hear(each)
                self._minus = {**self._minus, name: output}
            return output.programme.channel

    def input_of(self, session: str) -> ChannelInput | None:
        """The input that a publisher's session is; None when it is not one of this channel."""
        return next((each for each in self.inputs.values() if session and each.session == session), None)

    def hearing(self, session: str) -> Hearing | None:
        """Whether the publisher of that session is heard; None where no chime can keep him waiting, or he is gone."""
        source = self.input_of(session)
        return None if source is None else source.hearing

    def admit(self, subject: str, *, replace: bool = False) -> ChannelInput:
        """Take a publisher whose session is to come. Raises ChannelBusy.

        One who is to `replace` an earlier one of the same name needs no room of his own. He does so with his first
        sound, so another who was to and has said nothing gives way.
        """
        with self._studio.lock:
            self._number += 1
            name, settings = f"publisher-{self._number}", self.settings
            own = [
                each for each in self.inputs.values() if replace and each.session and each.label == subject
            ]
            for each in own:
                if self.sink(each).last_arrival is None:
                    self.remove_input(each.name, 0.0)
            if not own:
                self._check_room(name)
                if len(self.inputs) == settings.inputs_max - 1 and self.keeps_free(subject):
                    raise ChannelBusy("the last place in the meeting is kept for its chair")
            feed = PacketFeed(self._studio.moment, settings.channels)
            added = self._add(
                name, "publisher", feed, Settings(settings.publishers), settings.channels, subject
            )
            added.hold(settings.meeting.enabled)  # until the meeting lets it be heard
            return added

    def sink(self, source: ChannelInput) -> PacketFeed:
        """Where the packets of a publisher go."""
        assert isinstance(source.feed, PacketFeed)
        return source.feed

    def leave(self, source: ChannelInput) -> None:
        """A publisher's session has ended; from any thread, at once."""
        self._studio.after(0.0, lambda: self._left(source))

    def _left(self, source: ChannelInput) -> None:
        """In the mixer's thread, which waits for nobody: while others come or go it is put off to the next tick."""
        if not self._studio.lock.acquire(blocking=False):
            self._studio.after(PERIOD_S, lambda: self._left(source))
            return
        try:
            if self.inputs.get(source.name) is source:
                source.session = ""
                self.remove_input(source.name)
        finally:
            self._studio.lock.release()

    def start(self) -> None:
        """Open the inputs that the configuration names."""
        for each in self.settings.inputs:
            self.add_input(
                each.name, each.source, role=each.role, gain_db=each.gain, pan=each.pan, muted=each.muted,
                policy=OPERATOR, loop=each.loop,
            )  # fmt: skip

    def close(self) -> None:
        """Let go of all inputs at once; the relay ends."""
        for each in self.inputs.values():
            if each.on_removed is not None:
                each.on_removed()

    def state(self) -> MixState:
        """How everything stands now."""
        clock, encoder, bus = self._studio.counts, self._output.encoder, self.bus
        level, loudness = bus.level(), bus.loudness()
        return MixState(
            name=self.name,
            inputs_max=self.settings.inputs_max,
            inputs=[each.state() for each in self.inputs.values()],
            bus=BusState(
                sounding=bus.sounding,
                rms_dbfs=level.rms_dbfs if bus.sounding else SILENCE_DBFS,
                peak_dbfs=level.peak_dbfs if bus.sounding else SILENCE_DBFS,
                momentary_lufs=loudness.momentary,
                short_term_lufs=loudness.short_term,
                silence=bus.silence.value,
                duck_db=dbfs_of(self._output.duck.gain),
                bitrate=encoder.bitrate,
                application=encoder.application,
                frame_ms=encoder.frame_ms,
                packets=encoder.packets,
                dropped=encoder.dropped,
            ),
            late=clock.late,
            overruns=clock.overruns,
            chime=self.announcing.sounding,
        )

    def sources(self) -> dict[str, SourceStats]:
        """Counts by source; all who publish are one, lest there be a new one with every session."""
        inputs, gone = self._there
        found = {PUBLISHERS: gone}
        for each in inputs.values():
            name = PUBLISHERS if each.kind == "publisher" else each.name
            found[name] = found.get(name, SourceStats()).and_of(each.state())
        return found

    def _check_room(self, name: str) -> None:
        if name in self.inputs:
            raise InputExists(f"channel {self.name} has an input {name} already")
        if len(self.inputs) >= self.settings.inputs_max:
            raise ChannelBusy(
                f"channel {self.name} has the {self.settings.inputs_max} inputs that inputs_max allows"
            )

    def _open(
        self, text: str, policy: Policy, loop: bool, channels: int
    ) -> tuple[InputKind, Feed, Callable[[], None]]:
        if not text.startswith(CHANNEL_PREFIX):
            stream = open_source(text, policy, loop=loop)
            return STREAMS[parse_spec(text).kind], stream, stream.close
        other = text.removeprefix(CHANNEL_PREFIX)
        if self.name in {other, *reached(other, self._studio.heard())}:
            raise ConfigurationError(
                f"channel {self.name} would hear itself; choose a channel that does not hear it"
            )
        feed = PacketFeed(self._studio.moment, channels)
        try:
            return "channel", feed, self._studio.air.listen(other, feed)
        except KeyError:
            raise ConfigurationError(f"channel:{other} is no channel of this relay") from None

    def _add(
        self, name: str, kind: InputKind, feed: Feed, settings: Settings, channels: int, label: str,
        close: Callable[[], None] | None = None,
    ) -> ChannelInput:  # fmt: skip
        gate = self._gate(feed, kind, settings.role)
        guard = GuardedFeed(gate or feed)
        try:
            source = self._studio.engine.add_input(guard, channels)
        except MixerFull:
            raise ChannelBusy("the relay mixes as many inputs as it has room for") from None
        added = ChannelInput(
            name, kind, feed, guard, source, settings, label=label, clock=self._studio.clock, gate=gate
        )
        added.on_removed = close
        source.filter(self.settings.horn_filter)
        for key, output in ((None, self._output), *self._minus.items()):
            if key != name:
                output.hear(added)
        inputs, gone = self._there
        self._there = {**inputs, name: added}, gone
        self._studio.wake()
        return added

    def _add_chime(self) -> None:
        """Before all other inputs: they are asked after it, and know whether it sounds in the block they are in."""
        self._chime = self._studio.engine.add_input(self.announcing.feed, self.settings.channels)
        self._chime.filter(self.settings.horn_filter)
        self._output.chime(self._chime)
        self.announcing.use(self._chime)

    def _gate(self, feed: Feed, kind: InputKind, role: Role) -> Gate | None:
        """Meetings have one chime, when they are put on air, whoever speaks first."""
        if not self.announcing.configured:
            return None
        of_meeting = self.settings.meeting.enabled and kind == "publisher"
        if of_meeting or role == "announcement":
            return Gate(feed, self.announcing, kind, asks=not of_meeting)
        return None

    def _take_role(self, name: str, role: Role) -> None:
        found = self.inputs.get(name)
        if found is not None:
            found.role = role
            for output in self.outputs:
                output.follow(found)

    def _let_go(self, leaving: ChannelInput, minus: BusOutput | None) -> None:
        """In the mixer's thread, when it has faded."""
        self._studio.engine.remove_input(leaving.source)
        if minus is not None:
            minus.close()
        if leaving.on_removed is not None:
            leaving.on_removed()
