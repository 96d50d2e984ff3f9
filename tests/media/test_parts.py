"""Parts of a live playlist that come again: after the encoder died, and after it began anew."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from loamedia.parts import Parts
from tests.support.media_files import ffmpeg, tone_file
from tests.support.playing import playing, pulled
from tests.support.tones import dominant_frequency
from tests.support.waiting import until
from tests.support.web_radio import Asked, web_radio


def read(parts: Parts, name: str, content: bytes) -> bytes:
    data: bytes = parts.opened(f"http://x/{name}", 0, io.BytesIO(content)).read()
    return data


def test_what_was_played_before_is_empty_and_what_is_new_is_whole() -> None:
    parts = Parts()
    parts.begin()
    assert read(parts, "0.ts", b"old") == b"old"
    assert read(parts, "0.ts", b"old") == b"old", "FFmpeg may look twice while it is open"
    parts.keep()
    parts.begin()
    assert read(parts, "0.ts", b"old") == b""
    assert parts.repeated
    assert read(parts, "0.ts", b"new") == b"new", "an encoder that began anew counts from nought"
    assert not parts.repeated


def test_the_beginning_of_fragmented_mp4_comes_each_time() -> None:
    parts = Parts()
    for _ in range(2):
        parts.begin()
        assert read(parts, "init.mp4", b"\0\0\0\x18ftypiso5") == b"\0\0\0\x18ftypiso5"
        parts.keep()


def listing(first: int, count: int) -> bytes:
    """A live playlist whose encoder has five names for its parts, round and round."""
    head = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    names = (f"#EXTINF:1.0,\npart{number % 5}.ts\n" for number in range(first, first + count))
    return (head + "".join(names)).encode()


@pytest.mark.parametrize(("first", "count", "anew"), [(21, 5, False), (19, 5, False), (0, 1, True)])
def test_numbers_that_fall_back_are_an_encoder_that_began_anew(first: int, count: int, anew: bool) -> None:
    parts = Parts()
    parts.begin()
    assert not parts.listed("http://x/a.m3u8", listing(20, 5))
    read(parts, "0.ts", b"old")
    parts.keep()
    parts.begin()
    assert parts.listed("http://x/a.m3u8", listing(first, count)) is anew, "a cache may be a little late"
    assert parts.renewed is anew
    assert read(parts, "0.ts", b"old") == (b"old" if anew else b""), "the same bytes are new parts then"
    assert not parts.listed("http://x/a.m3u8", listing(first, count)), "once is enough"


def test_an_encoder_that_began_anew_is_heard_at_once(tmp_path: Path) -> None:
    """First with the very bytes and names of the parts that were played, then with others."""
    sets = []
    for hertz in (440.0, 880.0):
        cut = ["-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_list_size", "0"]
        ffmpeg("-i", tone_file(tmp_path / "a.wav", 5.1, hertz), *cut, tmp_path / "a.m3u8")
        sets.append([(tmp_path / f"a{number}.ts").read_bytes() for number in range(5)])
    now = (listing(20, 5), sets[0])

    def respond(asked: Asked) -> None:
        if asked.path == "/live.m3u8":
            asked.serve(now[0], "application/vnd.apple.mpegurl")
        else:
            asked.serve(now[1][int(asked.path[5])], "video/mp2t")

    with web_radio(respond) as radio, playing(radio.url("/live.m3u8")) as player:
        until(lambda: player.buffered_s > 2.5)
        for then in ((listing(2, 5), sets[0]), (listing(0, 3), sets[1])):
            assert dominant_frequency(pulled(player, 96_000)[0]) == pytest.approx(440, abs=2)
            now = then
            until(lambda: player.buffered_s > 3.5)
        sound = pulled(player, 168_000)[0]
        assert dominant_frequency(sound[-40_000:]) == pytest.approx(880, abs=2)
        assert player.stats.failures == 2
