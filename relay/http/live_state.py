"""A mixed channel in JSON: how it stands (`State`), and what moves all the time (`Levels`, in dBFS and LUFS)."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import BaseModel

from relay.automation_ports import ChannelView, DeckState, ItemView, Outcome, VerdictName
from relay.live_ports import BusState, InputKind, InputState, Role, Silence

QUIETEST = -200.0


class InputNow(BaseModel):
    """An input. `label` is who publishes, or what the configuration names; `fault` is "" when nothing is wrong.

    `awaits_chime`: it is not heard yet, since the chime before it sounds.
    """

    name: str
    kind: InputKind
    role: Role
    label: str
    title: str
    channels: int
    gain_db: float
    fade_db: float
    pan: float
    muted: bool
    awaits_chime: bool
    fault: str


class BusNow(BaseModel):
    """What goes out, and how it is encoded."""

    silence: Silence
    bitrate: int
    application: str
    frame_ms: int


class SourceNow(BaseModel):
    """A source of the list: absent, ready (not listened to yet), heard, warned (quiet), silent (quiet for too long)."""

    name: str
    source: str
    on_air: bool
    verdict: VerdictName
    title: str
    fault: str


class Item(BaseModel):
    """An item of the queue; the first is the one that is played. `added` is unix seconds.

    `chime`: the chime comes before it.
    """

    id: str
    source: str
    title: str
    gain_db: float
    chime: bool
    added: float
    added_by: str
    state: DeckState
    duration_s: float | None
    fault: str


class PastItem(BaseModel):
    """What became of an item; `ended` is unix seconds."""

    id: str
    source: str
    title: str
    outcome: Outcome
    ended: float
    fault: str


class AutomationNow(BaseModel):
    """What is on air by itself and why. `queue` has the next items, of `queue_length`; `stored`: a restart knows."""

    on_air: str | None
    reason: str
    stopped: bool
    pinned: str | None
    ducked: bool
    sources: list[SourceNow]
    queue: list[Item]
    queue_length: int
    past: list[PastItem]
    stored: bool


class InputLevel(BaseModel):
    """What an input delivers, before gain, mute and fade."""

    sounding: bool
    rms_dbfs: float
    peak_dbfs: float


class InputCounters(BaseModel):
    """What was wrong with an input so far; `buffer_ms` is how much of its sound is ready."""

    missing: int
    cleaned: int
    rejected: int
    reconnects: int
    buffer_ms: float


class Levels(BaseModel):
    """What moves all the time. `at` is unix seconds, `position_s` of the item that is played."""

    at: float
    listeners: int
    sounding: bool
    rms_dbfs: float
    peak_dbfs: float
    momentary_lufs: float
    short_term_lufs: float
    duck_db: float
    position_s: float | None
    inputs: dict[str, InputLevel]
    quiet_s: dict[str, float]


class State(BaseModel):
    """A mixed channel. `chime`: the chime before an announcement sounds."""

    channel: str
    title: str
    on_air: bool
    chime: bool
    inputs: list[InputNow]
    inputs_max: int
    bus: BusNow
    automation: AutomationNow


class StateNow(State):
    """The same with its levels and counters, for a single look."""

    levels: Levels
    counters: dict[str, InputCounters]


class Queue(BaseModel):
    """Items; `stored`: a restart knows of the queue as it is."""

    queue: list[Item]
    stored: bool


def state_of(view: ChannelView) -> State:
    """How it stands."""
    automation = asdict(view.automation)
    length = automation.pop("length")
    automation["queue"] = [item_of(item) for item in view.automation.queue]
    return State(
        channel=view.channel.name,
        title=view.channel.title,
        on_air=view.channel.on_air,
        chime=view.mix.chime,
        inputs=[_input(each) for each in view.mix.inputs],
        inputs_max=view.mix.inputs_max,
        bus=_bus(view.mix.bus),
        automation=AutomationNow(**automation, queue_length=length),
    )


def levels_of(view: ChannelView, at: float) -> Levels:
    """What moves."""
    bus, queue = view.mix.bus, view.automation.queue
    return Levels(
        at=round(at, 3),
        listeners=view.channel.listeners,
        sounding=bus.sounding,
        rms_dbfs=_db(bus.rms_dbfs),
        peak_dbfs=_db(bus.peak_dbfs),
        momentary_lufs=_db(bus.momentary_lufs),
        short_term_lufs=_db(bus.short_term_lufs),
        duck_db=_db(bus.duck_db),
        position_s=queue[0].position_s if queue else None,
        inputs={
            each.name: InputLevel(
                sounding=each.sounding, rms_dbfs=_db(each.rms_dbfs), peak_dbfs=_db(each.peak_dbfs)
            )
            for each in view.mix.inputs
        },
        quiet_s={each.name: each.quiet_s for each in view.automation.sources},
    )


def state_now(view: ChannelView, at: float) -> StateNow:
    """Everything."""
    return StateNow(
        **dict(state_of(view)),
        levels=levels_of(view, at),
        counters={
            each.name: InputCounters(**{key: getattr(each, key) for key in InputCounters.model_fields})
            for each in view.mix.inputs
        },
    )


def item_of(item: ItemView) -> Item:
    """An item of the queue."""
    return Item(**{key: getattr(item, key) for key in Item.model_fields})


def _input(each: InputState) -> InputNow:
    fields = {key: getattr(each, key) for key in InputNow.model_fields}
    return InputNow(**fields | {"gain_db": _db(each.gain_db), "fade_db": _db(each.fade_db)})


def _bus(bus: BusState) -> BusNow:
    return BusNow(**{key: getattr(bus, key) for key in BusNow.model_fields})


def _db(value: float) -> float:
    """JSON has no infinity."""
    return round(max(value, QUIETEST), 1)
