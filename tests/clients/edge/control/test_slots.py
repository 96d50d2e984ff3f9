"""Slots written in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from loaedge.control.slots import SlotFile
from loaedge.disk import Disk, DiskError
from tests.support.full_disk import SmallDisk


def test_what_is_written_is_found_and_nothing_else(tmp_path: Path) -> None:
    slots = SlotFile(tmp_path / "s", count=4, size=10, disk=Disk())
    assert slots.open() is None
    slots.write(0, b"first")
    slots.write(3, b"0123456789")
    slots.write(2, b"gone")
    slots.write(2, b"")
    assert SlotFile(tmp_path / "s", count=4, size=10, disk=Disk()).open() == {0: b"first", 3: b"0123456789"}


def test_every_torn_write_leaves_the_slot_empty(tmp_path: Path) -> None:
    path = tmp_path / "s"
    slots = SlotFile(path, count=2, size=20, disk=Disk())
    slots.open()
    slots.write(0, b"old old old")
    before = path.read_bytes()
    slots.write(0, b"new new new new")
    after = path.read_bytes()
    for cut in range(1, 26):
        path.write_bytes(after[:cut] + before[cut:])
        found = SlotFile(path, count=2, size=20, disk=Disk()).open()
        assert found in ({}, {0: b"old old old"}, {0: b"new new new new"})


def test_a_file_of_another_size_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(bytes(31))
    slots = SlotFile(tmp_path / "s", count=2, size=10, disk=Disk())
    with pytest.raises(DiskError, match="31 bytes"):
        slots.open()
    slots.write(0, b"x")  # which makes it ours
    slots.write(1, b"y")
    assert SlotFile(tmp_path / "s", count=2, size=10, disk=Disk()).open() == {0: b"x", 1: b"y"}


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    slots = SlotFile(tmp_path / "s", count=4, size=10, disk=SmallDisk(room=8))
    with pytest.raises(DiskError) as caught:
        slots.open()
    assert caught.value.full
    with pytest.raises(DiskError):
        slots.write(0, b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_was_full_and_is_not_any_more(tmp_path: Path) -> None:
    disk = SmallDisk(room=8)
    slots = SlotFile(tmp_path / "s", count=4, size=10, disk=disk)
    with pytest.raises(DiskError):
        slots.open()
    disk.room = 1 << 20
    slots.write(2, b"x")
    slots.write(3, b"y")
    assert SlotFile(tmp_path / "s", count=4, size=10, disk=Disk()).open() == {2: b"x", 3: b"y"}


@pytest.mark.parametrize(("slot", "payload"), [(4, b"x"), (-1, b"x"), (0, b"x" * 11)])
def test_what_does_not_fit_is_a_mistake(tmp_path: Path, slot: int, payload: bytes) -> None:
    slots = SlotFile(tmp_path / "s", count=4, size=10, disk=Disk())
    slots.open()
    with pytest.raises(ValueError, match="cannot hold"):
        slots.write(slot, payload)
