"""Files of every format play to their last sample; damaged ones as far as they can, and with a name for the damage."""

from __future__ import annotations

import contextlib
import os
import struct
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loamedia import feeding, opening
from loamedia import player as player_module
from loamedia.errors import SourceError
from loamedia.feeding import PlayerSettings
from loamedia.policy import Policy
from tests.support.interleaving import at_every_turn
from tests.support.media_files import FORMATS, encode, tone_file, write_end
from tests.support.playing import QUICK, playing, pulled
from tests.support.tones import dominant_frequency, level_dbfs, tone, write_wav
from tests.support.waiting import until

PADDED = {"aac", "ts"}
"""Formats that cannot say where the sound begins in the first packets of 1024 samples, and ends in the last."""


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_plays_to_its_last_sample(tmp_path: Path, suffix: str, rate: int) -> None:
    if suffix == "opus":
        rate = 48000
    path = tone_file(tmp_path / f"a.{suffix}", 2.0, rate=rate)
    with playing(str(path)) as player:
        sound = pulled(player)
        assert dominant_frequency(sound[0]) == pytest.approx(440, abs=0.5)
        assert level_dbfs(sound[0, 4800:-4800]) == pytest.approx(-15.05, abs=0.5)
        assert np.array_equal(sound[0], sound[1])
        if suffix in PADDED:
            assert 96_000 <= sound.shape[1] <= 96_000 + 3 * 1024 * 48000 // rate
        else:
            assert sound.shape[1] == 96_000
        assert player.pull(960).shape[1] == 0
        assert player.state == "ended"
        assert player.stats.decoded.damaged == 0


def test_without_loss_every_sample_is_itself(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32767, (2, 30_001)).astype(np.float32) / 32767
    path = write_wav(tmp_path / "a.wav", [noise[0], noise[1]], 48000)
    with playing(str(path)) as player:
        sound = pulled(player)
    assert sound.shape == (2, 30_001)
    expected = (noise * 32767).astype("<i2").astype(np.float32) / 32768
    assert np.array_equal(sound, expected)


def test_a_loop_has_no_gap_and_its_position_begins_again(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", [tone(500, 0.25)], 48000)
    with playing(str(path), settings=PlayerSettings(loop=True)) as player:
        sound = pulled(player, 100 * 960)
        assert np.abs(np.diff(sound[0])).max() < 0.25 * 2 * np.pi * 500 / 48000 * 1.02
        pulled(player, 4800)
        assert player.position_s == pytest.approx(0.1)
        assert player.duration_s == pytest.approx(0.25)


def test_title_duration_and_position(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp3", tone(440, 2.0), tags={"title": "Bản tin sáng", "artist": "Đài xã"})
    with playing(str(path)) as player:
        pulled(player, 24_000)
        assert player.title == "Đài xã - Bản tin sáng"
        assert player.duration_s == pytest.approx(2.0, abs=0.1)
        assert player.position_s == pytest.approx(0.5)
        assert not player.live


def test_made_ready_and_paused_it_sounds_at_once(tmp_path: Path) -> None:
    path = tone_file(tmp_path / "a.flac", 5.0)
    with playing(str(path), paused=True) as player:
        until(lambda: player.buffered_s >= 1.0)
        out = np.zeros((2, 960), np.float32)
        assert (player.state, player.take(out), player.position_s) == ("paused", 0, 0.0)
        player.play()
        assert player.take(out) == 960
        assert np.allclose(out[0], tone(440, 0.02), atol=1e-3), "from its first sample"
        player.pause()
        assert player.take(out) == 0


def test_a_file_waits_in_a_bounded_ring_for_whoever_takes(tmp_path: Path) -> None:
    path = tone_file(tmp_path / "a.wav", 20.0)
    with playing(str(path)) as player:
        until(lambda: player.buffered_s > 1.3)
        out = np.zeros((2, 960), np.float32)
        while player.state != "ended":
            assert player.buffered_s <= 1.5
            until(lambda: player.buffered_s > 0.1 or player.position_s > 19.8)
            player.take(out)
        assert player.position_s == 20.0
        assert (player.dropped_s, player.stats.dry) == (0.0, 0)


@pytest.mark.parametrize("suffix", ["aac", "mp3"])
def test_a_change_of_rate_and_channels_in_the_middle(tmp_path: Path, suffix: str) -> None:
    first = tone_file(tmp_path / f"a.{suffix}", 1.0, rate=44100)
    second = tone_file(tmp_path / f"b.{suffix}", 1.0, hertz=880.0, rate=32000, channels=2)
    path = tmp_path / f"both.{suffix}"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with playing(str(path)) as player:
        sound = pulled(player)[0]
        assert sound.size == pytest.approx(98_000, abs=4000)
        assert dominant_frequency(sound[:40_000]) == pytest.approx(440, abs=1)
        assert dominant_frequency(sound[-40_000:]) == pytest.approx(880, abs=1)
        assert player.stats.decoded.changes >= 1


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_chained_ogg_goes_on_without_a_gap(tmp_path: Path, suffix: str) -> None:
    links = [tone_file(tmp_path / f"{hertz}.{suffix}", 1.0, hertz=hertz) for hertz in (440.0, 880.0)]
    path = tmp_path / f"chained.{suffix}"
    path.write_bytes(b"".join(link.read_bytes() for link in links))
    with playing(str(path)) as player:
        sound = pulled(player)[0]
    assert sound.size == pytest.approx(96_000, abs=400)
    assert dominant_frequency(sound[-40_000:]) == pytest.approx(880, abs=1)


def test_chained_ogg_goes_on_at_another_rate_and_codec(tmp_path: Path) -> None:
    links = [
        tone_file(tmp_path / "a.ogg", 1.0, 440.0),
        tone_file(tmp_path / "b.ogg", 1.0, 660.0, rate=32000, channels=2),
        tone_file(tmp_path / "c.ogg", 1.0, 760.0, rate=32000, channels=2),
        tone_file(tmp_path / "d.opus", 1.0, 880.0),
    ]
    path = tmp_path / "chained.ogg"
    path.write_bytes(b"".join(link.read_bytes() for link in links))
    settings = replace(QUICK, loop=True)
    with playing(str(path), settings=settings) as player:
        sound = pulled(player, 5 * 48_000)[0]
    for second, hertz in enumerate((440, 660, 760, 880, 440)):
        middle = sound[second * 48_000 + 8000 :][:32_000]
        assert dominant_frequency(middle) == pytest.approx(hertz, abs=1)


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "opus", "aac", "ts", "m4a"])
def test_damage_in_the_middle_costs_only_what_it_hit(tmp_path: Path, suffix: str) -> None:
    path = tone_file(tmp_path / f"a.{suffix}", 4.0)
    data = bytearray(path.read_bytes())
    middle = len(data) // 3 if suffix == "m4a" else len(data) // 2
    hit = min(3000, len(data) // 20)
    data[middle : middle + hit] = np.random.default_rng(2).bytes(hit)
    path.write_bytes(data)
    with playing(str(path)) as player:
        sound = pulled(player)[0]
        assert player.state == "ended"
    assert sound.size > 2.9 * 48000, "a page of Ogg is a second long"
    assert dominant_frequency(sound[:48000]) == pytest.approx(440, abs=1)
    assert dominant_frequency(sound[-48000:]) == pytest.approx(440, abs=1)
    assert np.abs(sound).max() <= 4.0


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "wav", "aac"])
def test_a_truncated_file_plays_as_far_as_it_goes(tmp_path: Path, suffix: str) -> None:
    path = tone_file(tmp_path / f"a.{suffix}", 4.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with playing(str(path)) as player:
        sound = pulled(player)[0]
    assert 0.9 * 48000 < sound.size < 2.5 * 48000
    assert dominant_frequency(sound) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("suffix", FORMATS)
def test_noise_called_sound_fails_in_a_sentence_and_soon(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"noise.{suffix}"
    path.write_bytes(np.random.default_rng(3).bytes(200_000))
    with playing(str(path)) as player, pytest.raises(SourceError, match=rf"noise\.{suffix}"):
        pulled(player)


def test_numbers_that_are_no_sound_are_silenced_and_counted(tmp_path: Path) -> None:
    samples = tone(440, 0.5)
    samples[1000], samples[2000], samples[3000], samples[4000] = np.nan, np.inf, -1e30, 3.0
    path = tmp_path / "a.wav"
    body = samples.astype("<f4").tobytes()
    head = b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt "
    path.write_bytes(
        head
        + struct.pack("<IHHIIHH", 16, 3, 1, 48000, 192000, 4, 32)
        + b"data"
        + struct.pack("<I", len(body))
        + body
    )
    with playing(str(path)) as player:
        sound = pulled(player)[0]
        assert sound[[1000, 2000, 3000, 4000]].tolist() == [0.0, 0.0, -4.0, 3.0]
        assert player.stats.decoded.cleaned == 3


def test_a_rate_that_would_blow_up_memory_is_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "slow.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(1)
        file.writeframes(bytes(200_000))
    with playing(str(path)) as player, pytest.raises(SourceError, match=r"slow\.wav has not a single sample"):
        player.pull(960)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.wav", "no such file"),
        ("folder", "is a directory"),
        ("text.wav", "invalid data"),
        ("empty.wav", "it is empty"),
    ],
)
def test_what_cannot_be_opened_says_why(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.wav").write_text("not sound at all")
    (tmp_path / "empty.wav").write_bytes(b"")
    with playing(str(tmp_path / name)) as player:
        with pytest.raises(SourceError, match=f"cannot open {name}: ({sentence})"):
            player.pull(960)
        assert player.state == "failed"
        assert name in player.reason


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {secret}\n"]
)
def test_what_a_stranger_names_reads_no_other_file(tmp_path: Path, text: str) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    secret = tone_file(tmp_path / "secret.ts", 1.0)
    policy = Policy(allow_files=(allowed,))
    for name in ("list.m3u8", "list.mp3", "list.ffconcat"):
        (allowed / name).write_text(text.format(secret=secret))
        with playing(str(allowed / name), policy) as player, pytest.raises(SourceError):
            player.pull(960)
    (allowed / "link.ts").symlink_to(secret)
    os.mkfifo(allowed / "pipe.ts")
    for path in (allowed / "link.ts", allowed / "pipe.ts", secret, allowed / ".." / "secret.ts"):
        with (
            playing(str(path), policy) as player,
            pytest.raises(SourceError, match=r"allow_files|is not a file"),
        ):
            player.pull(960)
    tone_file(allowed / "a.ts", 1.0)
    with playing(str(allowed / "a.ts"), policy) as player:
        assert player.pull(960).shape[1] == 960
    with (
        playing(str(allowed / "a.ts"), Policy()) as player,
        pytest.raises(SourceError, match="files are not allowed"),
    ):
        player.pull(960)


def test_closing_ends_who_waits(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    with playing(str(pipe), settings=QUICK) as player:
        writer = write_end(pipe)
        assert player.state == "opening"
        player.close()
        assert player.pull(960).shape[1] == 0
        assert player.state == "ended"
    os.close(writer)


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "flac", "wav"])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_length_that_is_no_round_number_is_kept_to_the_sample(
    tmp_path: Path, suffix: str, rate: int
) -> None:
    count = 23_989
    path = encode(tmp_path / f"a.{suffix}", tone(440, 1.0, rate=rate)[:count], rate=rate)
    with playing(str(path)) as player:
        assert pulled(player).shape[1] == pytest.approx(count * 48_000 / rate, abs=1)


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "flac", "wav", "ogg"])
def test_a_file_begins_where_it_is_told_to(tmp_path: Path, suffix: str) -> None:
    sound = np.concatenate([tone(440, 1.5), tone(880, 1.5)])
    path = encode(tmp_path / f"a.{suffix}", sound)
    with playing(str(path), settings=PlayerSettings(start_s=2.0)) as player:
        player.wait_opened()
        assert player.position_s == pytest.approx(2.0)
        heard = pulled(player)
        assert player.position_s == pytest.approx(3.0, abs=0.1)
    assert heard.shape[1] == pytest.approx(48_000, abs=0.1 * 48_000), "to a packet's length"
    assert dominant_frequency(heard[0]) == pytest.approx(880, abs=1)


def test_a_start_beyond_the_end_is_the_beginning(tmp_path: Path) -> None:
    path = tone_file(tmp_path / "a.wav", 0.5)
    with playing(str(path), settings=PlayerSettings(start_s=2.0)) as player:
        assert pulled(player).shape[1] == 24_000


def test_two_threads_may_ask_where_in_a_loop_it_is(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", [tone(500, 0.25)], 48000)
    with contextlib.ExitStack() as players:
        heard: list[float] = []

        def make() -> tuple[Callable[[], float], Callable[[], None]]:
            player = players.enter_context(playing(str(path), settings=PlayerSettings(loop=True)))
            pulled(player, 16_800)
            return lambda: player.position_s, lambda: heard.append(player.position_s)

        found = list(at_every_turn(make))
        assert found + heard == pytest.approx([0.1] * len(found + heard))


def test_a_mistake_of_ours_is_logged_and_the_end_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread must not end in silence: whoever waits for the sound would wait for ever."""
    sound = np.zeros((2, 960), np.float32)

    def decode(*_: object, **__: object) -> Iterator[np.ndarray]:
        yield sound
        raise ZeroDivisionError

    monkeypatch.setattr(feeding, "decode", decode)
    path = write_wav(tmp_path / "a.wav", [tone(500, 0.25)], 48000)
    with playing(str(path)) as player:
        assert player.pull(960).shape == (2, 960)
        with pytest.raises(SourceError, match=r"a\.wav failed: ZeroDivisionError"):
            player.pull(960)
        assert player.state == "failed"
        assert player.stats.failures == 1
    assert "ZeroDivisionError" in caplog.text


def test_a_mistake_before_there_was_any_sound_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistakes = [ZeroDivisionError(), KeyError("x")]

    def opened(*arguments: Any, **named: Any) -> opening.Medium:
        if mistakes:
            raise mistakes.pop()
        return opening.open_medium(*arguments, **named)

    monkeypatch.setattr(feeding, "open_medium", opened)
    path = write_wav(tmp_path / "a.wav", [tone(500, 0.25)], 48000)
    with playing(str(path)) as player:
        assert pulled(player).shape == (2, 12_000)
        assert player.stats.failures == 2


def test_a_pause_in_the_middle_of_taking_stops_the_flow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the speed of a live source would follow a buffer that nobody takes from."""
    feeders: list[feeding.Feeder] = []

    class Known(feeding.Feeder):
        def start(self) -> None:
            feeders.append(self)
            super().start()

    monkeypatch.setattr(player_module, "Feeder", Known)
    path = write_wav(tmp_path / "a.wav", [tone(500, 0.25)], 48000)
    out = np.zeros((2, 960), np.float32)
    with contextlib.ExitStack() as players:

        def make() -> tuple[Callable[[], int], Callable[[], None]]:
            player = players.enter_context(playing(str(path)))
            pulled(player, 960)
            return lambda: player.take(out), player.pause

        *flows, last = [feeders[-1].flowing for _ in at_every_turn(make)]
        assert last
        assert not any(flows)
