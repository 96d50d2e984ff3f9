"""The queue: what is played after what. The first item is the one that is played. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from relay.automation_ports import Outcome, QueueItem
from relay.errors import ItemNotFound, QueueFull

PAST_MAX: Final = 20
"""Items remembered after they were played."""


@dataclass(frozen=True, slots=True)
class PastItem:
    """What became of an item, and one sentence on what was wrong with it."""

    item: QueueItem
    outcome: Outcome
    ended: float
    fault: str = ""


class Queue:
    """At most `limit` items. `revision` grows with each change that a restart has to know of."""

    def __init__(self, limit: int, items: Iterable[QueueItem] = ()) -> None:
        self.revision = 0
        self.past: deque[PastItem] = deque(maxlen=PAST_MAX)
        self.played = 0
        """Items that came to their end."""
        self.failures = 0
        """Items that could not be played, or not to their end."""
        self._limit = limit
        self._items = list(items)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[QueueItem]:
        return iter(self._items)

    def first(self, count: int) -> list[QueueItem]:
        """The next items to be played."""
        return self._items[:count]

    def add(self, items: Sequence[QueueItem], place: int | None = None) -> None:
        """Put `items` at `place` (0 is before the item that is played), None at the end. Raises QueueFull."""
        if len(self._items) + len(items) > self._limit:
            raise QueueFull(
                f"the queue takes {self._limit} items and has {len(self._items)}; "
                "remove some, or wait until they are played"
            )
        at = len(self._items) if place is None else place
        self._items[at:at] = items
        self.revision += 1

    def take_up(self, items: Sequence[QueueItem]) -> None:
        """Put `items` at the end that were in the queue before, be there room or not."""
        self._items += items
        self.revision += 1

    def remove(self, item_id: str) -> QueueItem:
        """Take an item out. Raises ItemNotFound."""
        item = self._items.pop(self._find(item_id))
        self.revision += 1
        return item

    def move(self, item_id: str, place: int) -> None:
        """Put an item at another place, the last if there are not so many. Raises ItemNotFound."""
        item = self._items.pop(self._find(item_id))
        self._items.insert(place, item)
        self.revision += 1

    def clear(self) -> int:
        """Take everything out; gives how many items."""
        count = len(self._items)
        self._items.clear()
        self.revision += 1
        return count

    def finish(self, item_id: str, outcome: Outcome, now: float, fault: str = "") -> None:
        """An item has been played, or cannot be. Nothing happens when it is not in the queue any more."""
        for at, item in enumerate(self._items):
            if item.id == item_id:
                del self._items[at]
                self.revision += 1
                self._note(PastItem(replace(item, position_s=0.0), outcome, now, fault))
                return

    def reached(self, item_id: str, position_s: float) -> None:
        """An item was played so far; it goes on there if it is interrupted."""
        for at, item in enumerate(self._items):
            if item.id == item_id:
                self._items[at] = replace(item, position_s=position_s)
                return

    def _note(self, past: PastItem) -> None:
        self.past.appendleft(past)
        self.played += past.outcome == "played"
        self.failures += past.outcome == "failed"

    def _find(self, item_id: str) -> int:
        for at, item in enumerate(self._items):
            if item.id == item_id:
                return at
        raise ItemNotFound(f"the queue has no item {item_id[:64]}")
