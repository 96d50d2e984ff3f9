"""Titles leave a stream without a byte of sound lost, however it is cut up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loamedia.icy import IcySplitter, plain
from tests.support.web_radio import with_titles

SOUND = bytes(range(256)) * 8


@given(st.integers(1, 700), st.lists(st.integers(1, 400), min_size=1, max_size=30))
def test_sound_is_whole_however_it_comes(interval: int, cuts: list[int]) -> None:
    stream = with_titles(SOUND, interval, {0: "Một", 2: "Hai"})
    splitter = IcySplitter(interval)
    sound = bytearray()
    at = number = 0
    while at < len(stream):
        size = cuts[number % len(cuts)]
        sound += splitter.feed(stream[at : at + size])
        at, number = at + size, number + 1
    assert bytes(sound) == SOUND
    assert splitter.title == ("Hai" if interval * 3 <= len(SOUND) else "Một")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("StreamTitle='It's Quê hương';StreamUrl='http://a';".encode(), "It's Quê hương"),
        (b"StreamTitle='caf\xe9';", "café"),
        (b"StreamTitle='a\nb\x07\x1b[31mc';", "a b [31mc"),
        (b"StreamTitle='';", ""),
        (b"rubbish", "before"),
        (b"StreamTitle='" + b"x" * 900 + b"';", "x" * 300),
    ],
)
def test_titles(text: bytes, title: str) -> None:
    splitter = IcySplitter(1)
    splitter.feed(b"s\x02" + b"StreamTitle='before';".ljust(32, b"\0"))
    block = text.ljust(-(-len(text) // 16) * 16, b"\0")
    splitter.feed(b"s" + bytes((len(block) // 16,)) + block)
    assert splitter.title == title


def test_plain_is_one_line() -> None:
    assert plain("  Đài\tTiền  Giang\u202e ") == "Đài Tiền Giang"


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_rubbish_is_survived(data: bytes, interval: int) -> None:
    splitter = IcySplitter(interval)
    assert len(splitter.feed(data)) <= len(data)
    assert len(splitter.title) <= 300
