"""How sources and items are shown to people."""

from __future__ import annotations

from typing import Final

from loacodecs.errors import ConfigurationError
from loamedia.spec import parse_spec
from relay.automation.decks import Deck
from relay.automation.queue import PastItem
from relay.automation.strips import Strip
from relay.automation_ports import DeckState, ItemView, PastView, QueueItem, SourceView

_STATES: Final[dict[str, DeckState]] = {"opening": "opening", "playing": "playing", "paused": "ready"}


def source_view(strip: Strip, on_air: str | None) -> SourceView:
    """A source of the list."""
    return SourceView(
        name=strip.name,
        source=strip.source,
        on_air=strip.name == on_air,
        verdict=strip.verdict.value,
        quiet_s=round(strip.watch.quiet_s, 1),
        title=strip.title,
        fault=strip.fault,
    )


def item_view(item: QueueItem, deck: Deck | None, running: bool, first: bool) -> ItemView:
    """An item of the queue, with its deck if it is open already; `first` is the one that is played."""
    state: DeckState = "waiting"
    if deck is not None:
        state = _STATES.get(deck.feed.state, "waiting")
        if state == "ready" and first and deck.sounded and not running:
            state = "paused"
    return ItemView(
        id=item.id,
        source=shown_source(item.source),
        title=item.title or ("" if deck is None else deck.feed.title),
        gain_db=item.gain_db,
        added=item.added,
        added_by=item.added_by,
        state=state,
        position_s=round(item.position_s, 1),
        duration_s=None if deck is None else deck.feed.duration_s,
        fault="" if deck is None else deck.feed.reason,
        chime=item.chime,
    )


def past_view(past: PastItem) -> PastView:
    """What became of an item."""
    item = past.item
    return PastView(
        id=item.id,
        source=shown_source(item.source),
        title=item.title,
        outcome=past.outcome,
        ended=past.ended,
        fault=past.fault,
    )


def shown_source(text: str) -> str:
    """A source without its password, nor the folder that a file is in."""
    try:
        return parse_spec(text).name
    except ConfigurationError:
        return "unknown"
