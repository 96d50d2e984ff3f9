from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from loacodecs import ogg_page
from loacodecs.ogg_page import Page, PageReader


def slow_checksum(data: bytes) -> int:
    """Bit by bit, as RFC 3533 §6 words it."""
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ 0x04C11DB7 if register & 0x80000000 else register << 1) & 0xFFFFFFFF
    return register


@st.composite
def pages(draw: st.DrawFn) -> Page:
    segments = bytes(draw(st.lists(st.integers(0, 255), max_size=6)))
    return Page(
        draw(st.integers(0, 7)),
        draw(st.integers(-1, 2**62)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 2**32 - 1)),
        segments,
        draw(st.binary(min_size=sum(segments), max_size=sum(segments))),
    )


@given(st.binary(max_size=300))
def test_checksum_is_that_of_the_rfc(data: bytes) -> None:
    assert ogg_page.checksum(data) == slow_checksum(data)


@given(st.lists(pages(), max_size=4))
def test_pages_survive(written: list[Page]) -> None:
    reader = PageReader(io.BytesIO(b"".join(page.to_bytes() for page in written)))
    assert [reader.read() for _ in written] == written
    assert reader.read() is None
    assert reader.skipped == 0


@given(pages(), pages(), st.binary(max_size=60), st.binary(max_size=60))
def test_pages_are_found_among_rubbish(first: Page, second: Page, before: bytes, between: bytes) -> None:
    data = before + b"Ogg" + first.to_bytes() + between + b"OggS" + second.to_bytes() + b"OggS\x00"
    reader = PageReader(io.BytesIO(data))
    assert reader.read() == first
    assert reader.read() == second
    assert reader.read() is None
    assert reader.skipped == len(data) - len(first.to_bytes()) - len(second.to_bytes())


@given(pages(), st.data())
def test_a_changed_page_is_no_page(page: Page, data: st.DataObject) -> None:
    raw = bytearray(page.to_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert PageReader(io.BytesIO(raw)).read() is None


def test_the_search_gives_up_where_told() -> None:
    stream = io.BytesIO(bytes(1_000_000) + Page(0, 0, 1, 0, b"", b"").to_bytes())
    assert PageReader(stream).read(within=10_000) is None
    assert stream.tell() < 11_000


def test_pieces_of_packets() -> None:
    def pieces(*segments: int) -> list[tuple[int, bool]]:
        page = Page(0, 0, 0, 0, bytes(segments), bytes(sum(segments)))
        return [(len(piece), ends) for piece, ends in page.pieces()]

    assert pieces() == []
    assert pieces(3, 0, 254) == [(3, True), (0, True), (254, True)]
    assert pieces(255, 0, 255, 1) == [(255, True), (256, True)]
    assert pieces(1, 255, 255) == [(1, True), (510, False)]


def test_lacing() -> None:
    assert ogg_page.lacing(0) == b"\x00"
    assert ogg_page.lacing(254) == b"\xfe"
    assert ogg_page.lacing(255) == b"\xff\x00"
    assert ogg_page.lacing(511) == b"\xff\xff\x01"
