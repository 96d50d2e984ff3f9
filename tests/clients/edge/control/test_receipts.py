"""Proof of play outlasts power cuts and full disks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from loacodecs.control import Receipt
from loaedge.control.receipts import INTERRUPTED, ReceiptBook
from tests.support.fake_link_relay import RELAY_TIME
from tests.support.full_disk import SmallDisk

ONE = Receipt("r1", "news", "commune-1", RELAY_TIME, RELAY_TIME + 60, 1.0, 0.0, -20.0, "played")


def numbered(number: int) -> Receipt:
    return replace(ONE, id=f"r{number}", started=RELAY_TIME + number)


def all_of(book: ReceiptBook) -> list[Receipt]:
    """Everything it would send, acknowledged one by one."""
    found = []
    while (receipt := book.next_unsent()) is not None:
        found.append(receipt)
        book.acknowledge(receipt.id)
    return found


def test_a_receipt_is_there_until_it_is_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    ReceiptBook(path).end(ONE)
    assert ReceiptBook(path).next_unsent() == ONE
    assert all_of(ReceiptBook(path)) == [ONE]
    assert all_of(ReceiptBook(path)) == []


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    book = ReceiptBook(path)
    for number in (3, 1, 2):
        book.end(numbered(number))
    assert [receipt.id for receipt in all_of(ReceiptBook(path))] == ["r1", "r2", "r3"]


def test_a_running_programme_is_not_sent_and_after_a_crash_it_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    book = ReceiptBook(path)
    book.begin(replace(ONE, ended=RELAY_TIME, outcome=""))
    assert book.next_unsent() is None
    book.update(replace(ONE, ended=RELAY_TIME + 30, outcome=""))
    assert book.next_unsent() is None
    assert all_of(ReceiptBook(path)) == [replace(ONE, ended=RELAY_TIME + 30, outcome=INTERRUPTED)]


def test_the_end_replaces_what_was_written_before(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    book = ReceiptBook(path)
    book.begin(ONE)
    book.end(ONE)
    assert len(book) == 1
    assert all_of(ReceiptBook(path)) == [ONE]
    assert all_of(ReceiptBook(path)) == [], "what was written before must not come back"


def test_a_power_cut_between_the_two_writes_of_a_change_leaves_the_newer(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    book = ReceiptBook(path, count=4)
    book.begin(replace(ONE, ended=RELAY_TIME))
    before = path.read_bytes()
    book.end(ONE)
    after = path.read_bytes()
    stride = len(after) // 4
    path.write_bytes(before[:stride] + after[stride:])  # the old slot was not freed yet
    assert all_of(ReceiptBook(path, count=4)) == [ONE]


def test_a_book_that_is_full_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    book = ReceiptBook(path, count=8)
    size = path.stat().st_size
    for number in range(20):
        book.end(numbered(number))
    assert len(book) == 7
    assert book.dropped == 13
    assert [receipt.id for receipt in all_of(ReceiptBook(path, count=8))] == [f"r{n}" for n in range(13, 20)]
    assert path.stat().st_size == size


def test_a_full_disk_takes_no_receipt_away(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    disk = SmallDisk(room=1 << 20)
    book = ReceiptBook(path, disk)
    disk.room = 0
    book.end(ONE)
    assert book.fault == ""
    assert all_of(ReceiptBook(path)) == [ONE]


def test_a_disk_that_was_full_before_is_said_and_the_memory_serves(tmp_path: Path) -> None:
    book = ReceiptBook(tmp_path / "r.bin", SmallDisk(room=100))
    assert "no space left" in book.fault
    for number in range(1000):
        book.end(numbered(number))
    assert len(book) == 255
    assert all_of(book)[-1] == numbered(999)


def test_a_broken_disk_is_said(tmp_path: Path) -> None:
    disk = SmallDisk(room=1 << 20)
    book = ReceiptBook(tmp_path / "r.bin", disk)
    disk.broken = True
    book.end(ONE)
    assert "input/output error" in book.fault
    assert book.next_unsent() == ONE


def test_damage_costs_only_what_it_hits(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    book = ReceiptBook(path, count=8)
    for number in range(3):
        book.end(numbered(number))
    data = bytearray(path.read_bytes())
    data[len(data) // 8 + 30] ^= 1
    path.write_bytes(data)
    assert [receipt.id for receipt in all_of(ReceiptBook(path, count=8))] == ["r0", "r2"]
    path.write_bytes(b"not a book")
    broken = ReceiptBook(path, count=8)
    assert "should have" in broken.fault
    broken.end(ONE)
    assert all_of(ReceiptBook(path, count=8)) == [ONE]


def test_the_longest_names_fit(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    long = replace(ONE, id="i" * 64, programme='"' * 200, channel="c" * 63, outcome="ệ" * 200)
    ReceiptBook(path).end(long)
    (found,) = all_of(ReceiptBook(path))
    assert found.programme.startswith('"""')
    assert found.outcome.startswith("ệệệ")


def test_a_receipt_that_could_never_be_sent_holds_up_no_other(tmp_path: Path) -> None:
    book = ReceiptBook(tmp_path / "r.bin")
    book.end(replace(ONE, started=-1.0))
    assert "started" in book.fault
    book.end(numbered(2))
    assert all_of(book) == [numbered(2)]


def test_what_a_disk_did_not_take_is_written_with_the_next_that_it_takes(tmp_path: Path) -> None:
    path, disk = tmp_path / "r.bin", SmallDisk(room=1 << 20)
    book = ReceiptBook(path, disk)
    book.begin(numbered(1))
    disk.broken = True
    book.end(numbered(1))
    book.end(numbered(2))
    assert INTERRUPTED in {receipt.outcome for receipt in all_of(ReceiptBook(path))}
    disk.broken = False
    book.end(numbered(3))
    assert book.fault == ""
    assert all_of(ReceiptBook(path)) == [numbered(1), numbered(2), numbered(3)]


def test_a_book_without_a_place_at_first_gets_one_when_there_is_room(tmp_path: Path) -> None:
    path, disk = tmp_path / "r.bin", SmallDisk(room=100)
    book = ReceiptBook(path, disk)
    book.end(numbered(1))
    assert book.fault
    disk.room = 1 << 20
    book.end(numbered(2))
    assert book.fault == ""
    assert all_of(ReceiptBook(path)) == [numbered(1), numbered(2)]
