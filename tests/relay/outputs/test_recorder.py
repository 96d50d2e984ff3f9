"""The recorder under a hand-driven clock: what is on disk, as FFmpeg plays it, is what was on air, at its time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest

from loacodecs.ogg import OggOpusReader
from relay.net.fanout import Packet
from relay.outputs.keeping import SPARE
from relay.outputs.shelf import duration
from tests.support.hand_recorder import SEVEN, HandDisk, Studio
from tests.support.interleaving import at_every_turn
from tests.support.on_air import Programme, hear
from tests.support.tones import dominant_frequency, level_dbfs


def test_a_recording_is_what_was_on_air_bit_by_bit_and_says_whose_it_is(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    sent = [packet.payload for packet, _ in Programme().take(3)]
    studio.play(3, step=0.5)
    studio.close()
    assert studio.names() == ["tan-phu_2026-11-26_07-00-00+0700.opus"]
    with (tmp_path / studio.names()[0]).open("rb") as file:
        reader = OggOpusReader(file)
        assert [packet for _, packet in reader] == sent
        assert reader.complete
        assert reader.tags.get("title") == "Xã Tân Phú 2026-11-26 07:00 +0700"
        assert reader.tags.get("album") == "Xã Tân Phú"
        assert reader.tags.get("channel") == "tan-phu"
        assert reader.tags.get("date") == "2026-11-26T07:00:00+07:00"
    assert dominant_frequency(hear(str(tmp_path / studio.names()[0]))[48_000:96_000]) == pytest.approx(
        1000, abs=1
    )


def test_an_hour_is_a_file_and_files_begin_with_the_hour(tmp_path: Path) -> None:
    studio = Studio(tmp_path, start=SEVEN + 1800)
    studio.play(5400 + 10)
    studio.close()
    assert studio.names() == [
        "tan-phu_2026-11-26_07-30-00+0700.opus",
        "tan-phu_2026-11-26_08-00-00+0700.opus",
        "tan-phu_2026-11-26_09-00-00+0700.opus",
    ]
    lengths = [duration(stored) for stored in studio.shelf.recordings()]
    assert lengths == pytest.approx([1800, 3600, 10], abs=0.05)
    with av.open(str(tmp_path / studio.names()[1])) as container:
        assert container.duration == pytest.approx(3600e6, abs=50_000)


@pytest.mark.parametrize(("frame_ms", "channels"), [(60, 1), (20, 2)])
def test_long_frames_and_stereo_are_recorded_as_they_are(
    tmp_path: Path, frame_ms: int, channels: int
) -> None:
    studio = Studio(tmp_path, programme=Programme(frame_ms=frame_ms, channels=channels))
    studio.play(2.4)
    studio.close()
    assert duration(studio.only()) == pytest.approx(2.4)
    with av.open(str(studio.only().path)) as container:
        assert container.streams.audio[0].codec_context.channels == channels


def test_what_is_lost_and_a_pause_take_their_time_in_the_file(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.play(2)
    studio.programme.lose(0.1)
    studio.play(2)
    studio.wait(20)
    studio.play(2)
    studio.wait(3)  # for who is missing is waited for
    studio.close()
    sound = hear(str(studio.only().path))
    assert sound.size == pytest.approx(26.1 * 48_000, abs=1000)
    assert level_dbfs(sound[round(4.8 * 48_000) : round(24.0 * 48_000)]) < -80
    for began in (0.5, 2.5, 24.5):
        part = sound[round(began * 48_000) :][:48_000]
        assert dominant_frequency(part) == pytest.approx(1000, abs=1)
        assert level_dbfs(part) == pytest.approx(-15, abs=1)
    assert studio.recorder.tally.missing == pytest.approx(20.1 * 48_000, abs=1000)


def test_a_pause_of_an_encoder_is_left_to_the_decoder(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.play(1)
    studio.programme.pause(0.38)  # as DTX: the timestamp jumps, the sequence does not
    studio.play(1)
    studio.close()
    with studio.only().path.open("rb") as file:
        packets = [packet for _, packet in OggOpusReader(file)]
    assert sum(len(packet) == 1 for packet in packets) == 19
    assert duration(studio.only()) == pytest.approx(2.38)


def test_a_packet_that_was_repaired_stands_where_it_belongs(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    held: list[Packet] = []

    def delay(packet: Packet) -> Packet | None:
        if packet.sequence == 10:
            held.append(packet)
            return None
        return packet

    studio.play(0.5, edit=delay)
    studio.recorder.lane.put(held[0], studio.programme.now)
    studio.recorder.lane.put(held[0], studio.programme.now)
    studio.play(0.5)
    studio.close()
    with studio.only().path.open("rb") as file:
        packets = [packet for _, packet in OggOpusReader(file)]
    assert packets == [packet.payload for packet, _ in Programme().take(1)]
    assert studio.recorder.dropped["late"] == 1


def test_a_long_silence_ends_the_file_and_costs_nothing(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.play(2)
    studio.wait(600)
    assert studio.recorder.activity == "idle"
    studio.play(2)
    studio.close()
    assert studio.names() == [
        "tan-phu_2026-11-26_07-00-00+0700.opus",
        "tan-phu_2026-11-26_07-10-02+0700.opus",
    ]
    assert [round(duration(stored), 2) for stored in studio.shelf.recordings()] == [2.0, 2.0]


def test_a_silence_that_a_busy_disk_hid_ends_the_file_too(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    for packet, now in studio.programme.take(2):
        studio.recorder.lane.put(packet, now)
    studio.programme.pause(100)
    studio.play(2)  # the first turn sees all of it at once
    studio.close()
    assert [round(duration(stored), 2) for stored in studio.shelf.recordings()] == [2.0, 2.0]


def test_no_source_makes_hours_of_a_minute_or_a_file_of_what_is_no_opus(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.play(2)
    leap = studio.programme.timestamp
    for number in range(500):  # every packet a leap of nine seconds
        packet = Packet(
            studio.programme.sequence + number, (leap + number * 432_000) & 0xFFFF_FFFF, b"\xf8\xff\xfe"
        )
        studio.recorder.lane.put(packet, studio.programme.now + number * 0.02)
    for number in range(500, 1000):  # as much as can be called a packet's sound, at once
        studio.recorder.lane.put(
            Packet(studio.programme.sequence + number, leap, b"\xfb\x06" + 6 * b"\xff\xfe"),
            studio.programme.now + 10,
        )
    studio.recorder.lane.put(
        Packet(studio.programme.sequence + 1000, leap, b"\x03"), studio.programme.now + 10
    )
    studio.programme.pause(11)
    studio.turn()
    studio.close()
    assert duration(studio.only()) < 17
    assert studio.recorder.dropped["excess"] > 400
    assert studio.recorder.dropped["malformed"] == 1


def test_a_killed_relay_leaves_a_file_that_plays_and_the_next_one_finishes_it(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.play(5.5, step=0.5)
    torn = studio.only()
    assert torn.partial
    assert studio.disk.synced == 0
    assert hear(str(torn.path)).size > 4 * 48_000  # as it lies there
    with torn.path.open("ab") as file:
        file.write(b"OggS\0half a page")
    following = Studio(tmp_path)
    following.turn()
    assert following.only().partial  # its writer is alive and has it locked
    after = tmp_path / "after"  # what the disk has when that writer is gone
    after.mkdir()
    (after / torn.path.name).write_bytes(torn.path.read_bytes())
    (after / "tan-phu_2026-11-25_07-00-00+0700.opus.part").write_bytes(b"")
    crashed = Studio(after)
    crashed.turn()
    stored = crashed.only()
    assert not stored.partial
    assert b"half a page" not in stored.path.read_bytes()
    with stored.path.open("rb") as opened:
        reader = OggOpusReader(opened)
        assert len(list(reader)) == 250  # five whole seconds
        assert reader.complete
        assert reader.damaged == 0


def test_a_power_cut_takes_ten_seconds_at_most(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.play(60, step=0.5)
    assert 5 <= studio.disk.synced <= 7


def test_on_a_full_disk_the_oldest_goes_but_not_what_must_be_kept(tmp_path: Path) -> None:
    for day in (10, 17, 25):
        (tmp_path / f"tan-phu_2026-11-{day}_07-00-00+0700.opus").write_bytes(b"x")
    (tmp_path / "ghi-chu.txt").write_text("not a recording")
    studio = Studio(tmp_path, keep_at_least="7d", reserve="1GB")
    studio.disk.left = 10**9 - 1
    studio.turn()
    assert studio.names() == ["tan-phu_2026-11-25_07-00-00+0700.opus"]
    assert studio.recorder.activity == "full"
    assert "1000 MB" in studio.recorder.fault
    studio.play(5)
    assert studio.recorder.dropped["no_room"] == 250
    studio.disk.left = 10**9 + SPARE
    studio.play(12)
    studio.play(5)
    assert studio.recorder.activity == "recording"
    assert studio.recorder.fault == ""
    assert (tmp_path / "ghi-chu.txt").exists()


def test_what_is_deleted_for_room_is_not_deleted_for_nothing(tmp_path: Path) -> None:
    """The old ones give more than the reserve wants, and less than is made beyond it where there is more to delete."""

    class SmallDisk(HandDisk):
        def free(self, folder: Path) -> int:
            return 10**9 - 1 + sum(20 * 10**6 for day in (10, 11) if not recording(day).exists())

    def recording(day: int) -> Path:
        return tmp_path / f"tan-phu_2026-11-{day}_07-00-00+0700.opus"

    for day in (10, 11):
        recording(day).write_bytes(b"x")
    studio = Studio(tmp_path, keep_at_least="7d", reserve="1GB", disk=SmallDisk())
    studio.play(15, step=1.0)
    assert studio.recorder.activity == "recording"
    assert studio.recorder.fault == ""
    assert studio.recorder.dropped["no_room"] == 0
    studio.close()
    assert [stored.name[:18] for stored in studio.shelf.recordings()] == ["tan-phu_2026-11-26"]


def test_a_disk_that_fills_within_a_page_keeps_what_was_recorded(tmp_path: Path) -> None:
    studio = Studio(tmp_path, when_full="stop")
    studio.play(5, step=0.5)
    studio.disk.room = 100
    studio.play(3, step=0.5)
    assert studio.recorder.activity == "full"
    stored = studio.only()
    assert not stored.partial
    assert duration(stored) >= 4
    assert hear(str(stored.path)).size >= 4 * 47_900
    studio.disk.room = 1 << 40
    studio.play(20, step=0.5)
    assert studio.recorder.activity == "recording"
    studio.close()
    assert len(studio.names()) == 2


def test_a_folder_that_cannot_be_had_is_a_sentence_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file")
    studio = Studio(tmp_path / "recordings")
    studio.play(3)
    assert studio.recorder.activity == "failed"
    assert "recordings of tan-phu cannot be written" in studio.recorder.fault
    (tmp_path / "recordings").unlink()
    studio.play(20)
    assert studio.recorder.activity == "recording"
    studio.close()


def test_what_is_too_old_or_too_much_goes(tmp_path: Path) -> None:
    for day in range(1, 26):
        (tmp_path / f"tan-phu_2026-11-{day:02}_07-00-00+0700.opus").write_bytes(bytes(1000))
    (tmp_path / "tan-phu_1970-01-01_08-00-00+0700.opus").write_bytes(bytes(1000))  # the clock was not set yet
    studio = Studio(tmp_path, keep="20d")
    studio.turn()
    assert studio.names()[:2] == [
        "tan-phu_1970-01-01_08-00-00+0700.opus",
        "tan-phu_2026-11-06_07-00-00+0700.opus",
    ]
    smaller = Studio(tmp_path, keep="0s", size_max=3000)
    smaller.turn()
    assert smaller.names()[0] == "tan-phu_2026-11-23_07-00-00+0700.opus"


def test_a_wall_clock_that_is_set_back_overwrites_nothing(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.play(3)
    studio.close()
    studio.offset -= 3.0
    studio.play(3)
    studio.close()
    assert studio.names() == [
        "tan-phu_2026-11-26_07-00-00+0700.opus",
        "tan-phu_2026-11-26_07-00-00+0700_2.opus",
    ]


def test_a_disk_that_hangs_costs_neither_memory_nor_the_channel(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    for packet, now in studio.programme.take(120):
        studio.recorder.lane.put(packet, now)
    studio.turn()
    assert studio.recorder.dropped["behind"] == 3000
    studio.play(1)
    studio.close()
    assert [round(duration(stored)) for stored in studio.shelf.recordings()] == [60, 1]
    assert studio.names()[1] == "tan-phu_2026-11-26_07-02-00+0700.opus"


def test_it_may_be_looked_at_while_it_drops_the_first_of_its_kind(tmp_path: Path) -> None:
    """`/metrics` looks from another thread than the one that records."""
    numbers = itertools.count()

    def make() -> tuple[Callable[[], Counter[str]], Callable[[], None]]:
        studio = Studio(tmp_path / str(next(numbers)))
        studio.play(1)
        studio.disk.left = 0
        studio.wait(11)
        studio.play(1)
        assert studio.recorder.dropped["no_room"]
        return lambda: studio.recorder.dropped, lambda: drop(studio)

    def drop(studio: Studio) -> None:
        studio.disk.left = 1 << 40
        studio.wait(11)
        studio.play(1, edit=lambda packet: replace(packet, payload=b"\xff"))

    looked = list(at_every_turn(make))
    assert all(dropped["no_room"] == 50 for dropped in looked)
    assert looked[0]["malformed"] > 0 == looked[-1]["malformed"]
