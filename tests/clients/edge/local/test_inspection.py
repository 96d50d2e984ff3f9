"""What could not be played is told before its time comes, and no longer once it is there."""

from __future__ import annotations

from pathlib import Path

from loaedge.local.cache import Cache
from loaedge.local.inspection import EVERY_TICKS, Inspection
from loaedge.local.timetable import Entry, parse_days, parse_time
from tests.support.hand_receiver import HandReceiver, write_wav


def ticks(inspection: Inspection, programmes: int) -> None:
    for _ in range(programmes * EVERY_TICKS):
        inspection.tick()


def test_each_has_its_turn_again_and_again(tmp_path: Path) -> None:
    write_wav(tmp_path / "good.wav", 1.0)
    (tmp_path / "cut.opus").write_bytes(b"OggS")
    (tmp_path / "folder").mkdir()
    names = ("good.wav", "cut.opus", "folder", "missing.wav")
    inspection = Inspection([(name, tmp_path / name) for name in names])
    ticks(inspection, 3)
    assert sorted(inspection.faults) == ["cut.opus", "folder"]
    ticks(inspection, 1)
    assert inspection.faults["missing.wav"] == "missing.wav: missing"
    write_wav(tmp_path / "missing.wav", 1.0)
    (tmp_path / "good.wav").unlink()
    ticks(inspection, 4)
    assert sorted(inspection.faults) == ["cut.opus", "folder", "good.wav"]


def test_a_promised_file_that_is_missing_in_a_folder_is_told(tmp_path: Path) -> None:
    for name in ("1.wav", "2.wav"):
        write_wav(tmp_path / name, 1.0)
        Cache(tmp_path).adopt(name)
    inspection = Inspection([("folder", tmp_path)])
    ticks(inspection, 1)
    assert inspection.faults == {}
    (tmp_path / "2.wav").unlink()
    ticks(inspection, 1)
    assert inspection.faults == {"folder": "2.wav: missing"}


def test_nothing_to_play_is_nothing_to_look_at() -> None:
    inspection = Inspection([])
    ticks(inspection, 2)
    assert inspection.faults == {}


def test_a_receiver_tells_it_hours_before(tmp_path: Path) -> None:
    entry = Entry("news", parse_days("daily"), parse_time("12:00"), tmp_path / "news.wav")
    receiver = HandReceiver("2026-11-26T06:00:00", (entry,))
    receiver.link(True)
    receiver.run(1.0)
    assert receiver.selector.words(receiver.now) == ("news: news.wav: missing",)
    write_wav(tmp_path / "news.wav", 1.0)
    receiver.run(6.0)
    assert receiver.selector.words(receiver.now) == ()
