"""What is played after what."""

from __future__ import annotations

import pytest

from relay.automation.queue import Queue
from relay.automation_ports import QueueItem
from relay.errors import ItemNotFound, QueueFull


def item(name: str) -> QueueItem:
    return QueueItem(name, f"{name}.mp3", "", 0.0, 0.0, "đài xã")


def names(queue: Queue) -> str:
    return "".join(each.id for each in queue)


@pytest.fixture
def queue() -> Queue:
    return Queue(6, [item(name) for name in "abcd"])


def test_order(queue: Queue) -> None:
    queue.add([item("e")])
    queue.add([item("x")], 1)
    assert names(queue) == "axbcde"
    queue.move("e", 0)
    queue.move("a", 99)
    assert names(queue) == "exbcda"
    assert queue.remove("x").id == "x"
    assert [each.id for each in queue.first(2)] == ["e", "b"]
    assert queue.clear() == 5
    assert len(queue) == 0


def test_a_limit(queue: Queue) -> None:
    with pytest.raises(QueueFull, match="takes 6 items and has 4"):
        queue.add([item(name) for name in "efg"])
    assert names(queue) == "abcd"


def test_what_was_played_is_remembered(queue: Queue) -> None:
    queue.finish("a", "played", 5.0)
    queue.finish("b", "failed", 6.0, "b.mp3 is damaged")
    queue.finish("a", "played", 7.0)
    assert names(queue) == "cd"
    assert [(past.item.id, past.outcome, past.ended, past.fault) for past in queue.past] == [
        ("b", "failed", 6.0, "b.mp3 is damaged"),
        ("a", "played", 5.0, ""),
    ]
    assert (queue.played, queue.failures) == (1, 1)


def test_every_change_is_a_revision_and_a_position_is_none(queue: Queue) -> None:
    before = queue.revision
    queue.reached("b", 12.5)
    assert queue.revision == before
    assert [each.position_s for each in queue] == [0, 12.5, 0, 0]
    queue.move("b", 0)
    assert queue.revision == before + 1


def test_items_that_are_not_there(queue: Queue) -> None:
    with pytest.raises(ItemNotFound):
        queue.remove("z")
    with pytest.raises(ItemNotFound):
        queue.move("z", 0)
