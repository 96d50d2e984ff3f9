"""The endless Ogg stream under a hand-driven clock: what a client that joins now hears, on air and off."""

from __future__ import annotations

import io

import numpy as np
import pytest

from loacodecs.ogg import OggOpusReader
from relay.net.fanout import Packet
from relay.outputs.stream import HEADERS, OggStream
from tests.support.on_air import Programme, hear
from tests.support.tones import dominant_frequency, level_dbfs


class Air:
    """A stream and its programme. `joined` is what a client that came at the beginning was sent."""

    def __init__(self, *, before: float = 0.0, frame_ms: int = 20) -> None:
        self.programme = Programme(frame_ms=frame_ms)
        self.title = "Xã Tân Phú"
        self._serials = iter(range(1, 100))
        recent = list(self.programme.take(before))
        self.stream = OggStream("xa", lambda: self.title, lambda: next(self._serials), self.programme.now)
        self.stream.prime(recent, self.programme.now)
        self.joined = self.stream.welcome()

    def play(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            for packet, now in self.programme.take(0.1):
                self.stream.lane.put(packet, now)
            self.joined += self.stream.turn(self.programme.now)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            self.programme.pause(0.1)
            self.joined += self.stream.turn(self.programme.now)


def read_titles(stream: bytes) -> list[str | None]:
    """The titles of its links, one after the other."""
    reader = OggOpusReader(io.BytesIO(stream))
    titles: list[str | None] = []
    for _ in reader:
        if not titles or titles[-1] != reader.tags.get("title"):
            titles.append(reader.tags.get("title"))
    return titles


def test_a_client_that_joins_later_hears_the_same_at_once() -> None:
    air = Air()
    air.play(10)
    late = air.stream.welcome()
    assert hear(io.BytesIO(late)).size == pytest.approx(1.4 * 48_000, abs=6000)
    for _ in range(30):
        for packet, now in air.programme.take(0.1):
            air.stream.lane.put(packet, now)
        late += air.stream.turn(air.programme.now)
    sound = hear(io.BytesIO(late))
    assert sound.size > 4 * 48_000
    assert dominant_frequency(sound[4800:]) == pytest.approx(1000, abs=1)
    assert level_dbfs(sound[4800:]) == pytest.approx(-15, abs=1)


def test_the_first_client_hears_what_was_on_air_before_it_came() -> None:
    air = Air(before=1.5)
    assert hear(io.BytesIO(air.joined)).size > 1.3 * 48_000
    air.play(1)
    sound = hear(io.BytesIO(air.joined))
    assert dominant_frequency(sound[4800:]) == pytest.approx(1000, abs=1)


def test_off_air_a_client_gets_silence_in_time_and_then_the_sound() -> None:
    air = Air()
    assert hear(io.BytesIO(air.joined)).size > 1.3 * 48_000, "a player need not wait to know what it gets"
    air.wait(5)
    assert (len(air.joined) - HEADERS) / 6.5 < 400  # octets a second
    air.play(3)
    air.wait(20)
    air.play(3)
    sound = hear(io.BytesIO(air.joined))
    assert sound.size == pytest.approx(32.5 * 48_000, abs=0.8 * 48_000)
    seconds = [level_dbfs(part) for part in np.split(sound[: 31 * 48_000], 31)]
    assert max(seconds[:5]) < -80
    assert min(seconds[7:9]) > -20
    assert max(seconds[11:28]) < -80
    assert seconds[-1] > -20


def test_a_lost_packet_is_concealed_and_a_repaired_one_heard() -> None:
    air = Air()
    air.play(1)
    packets = list(air.programme.take(1))
    del packets[10]
    packets[30:32] = packets[31], packets[30]
    for packet, now in packets:
        air.stream.lane.put(packet, now)
    air.joined += air.stream.turn(air.programme.now)
    air.play(1)
    reader = OggOpusReader(io.BytesIO(air.joined))
    lengths = [len(packet) for _, packet in reader]
    assert lengths.count(1) == 1
    assert reader.damaged == 0


@pytest.mark.parametrize("frame_ms", [20, 60])
def test_a_new_title_costs_who_listens_not_a_sample(frame_ms: int) -> None:
    same, renamed = Air(frame_ms=frame_ms), Air(frame_ms=frame_ms)
    for air in (same, renamed):
        air.play(3)
        if air is renamed:
            air.title = "Xã Tân Phú: Trống Cơm"
        air.play(4.2)
        air.joined += air.stream.close()
    heard, expected = hear(io.BytesIO(renamed.joined)), hear(io.BytesIO(same.joined))
    assert len(read_titles(renamed.joined)) == 2
    assert heard.size == expected.size
    begun = heard[2 * 48_000 :]
    assert (
        min(level_dbfs(part) for part in np.split(begun[: begun.size // 480 * 480], begun.size // 480)) > -18
    )
    assert level_dbfs(heard[2 * 48_000 :] - expected[2 * 48_000 :]) < -50


def test_a_new_title_in_silence_is_no_sound() -> None:
    air = Air()
    air.play(2)
    air.wait(3)
    air.title = "Xã Tân Phú: Trống Cơm"
    air.wait(4)
    sound = hear(io.BytesIO(air.joined))
    assert len(read_titles(air.joined)) == 2
    assert level_dbfs(sound[-3 * 48_000 :]) < -80


def test_a_new_title_is_a_chained_stream_once_it_lasts() -> None:
    air = Air()
    air.play(2)
    air.title = "for a moment"
    air.play(0.3)
    air.title = "Xã Tân Phú"
    air.play(3)
    air.title = "Xã Tân Phú: Trống Cơm"
    air.play(4)
    assert read_titles(air.joined) == ["Xã Tân Phú", "Xã Tân Phú: Trống Cơm"]
    assert hear(io.BytesIO(air.joined)).size > 8 * 48_000


def test_what_is_no_opus_is_left_out() -> None:
    air = Air()
    air.play(1)
    number = air.programme.sequence
    for offset, payload in enumerate((b"\x03", b"\xff", b"\xfb\x00")):
        air.stream.lane.put(Packet(number + offset, 0, payload), air.programme.now)
    air.programme.sequence += 3
    air.play(1)
    assert dominant_frequency(hear(io.BytesIO(air.joined))[4800:]) == pytest.approx(1000, abs=1)


def test_the_end_is_marked() -> None:
    air = Air()
    air.play(1)
    reader = OggOpusReader(io.BytesIO(air.joined + air.stream.close()))
    assert [len(packet) > 20 for _, packet in reader].count(True) == 50
    assert reader.complete


def test_one_client_may_be_sent_away_while_the_others_hear_on() -> None:
    air = Air()
    air.play(3)
    left = OggOpusReader(io.BytesIO(air.joined + air.stream.farewell()))
    assert sum(1 for _ in left) > 0
    assert (left.complete, left.damaged) == (True, 0)
    air.play(1)
    going_on = OggOpusReader(io.BytesIO(air.joined))
    assert sum(1 for _ in going_on) > 0
    assert (going_on.complete, going_on.damaged) == (False, 0)


@pytest.mark.parametrize("title", ["X", "Xã Tân Phú: " + "Bài ca " * 40])
def test_players_that_read_eight_kibibytes_at_a_time_find_sound_in_the_first_also_off_air(title: str) -> None:
    stream = OggStream("xa", lambda: title, lambda: 1, 0.0)
    stream.prime([], 0.0)
    first = stream.welcome()[:8192]
    assert len(first) == 8192, "it is there at once"
    reader = OggOpusReader(io.BytesIO(first))
    assert dict(reader.tags.comments)["TITLE"] == title
    assert sum(1 for _ in reader) > 0
