from __future__ import annotations

import io

import av
import pytest

from loacodecs.errors import CodecError, MalformedError
from loacodecs.ogg import OggOpusReader, OggOpusWriter
from loacodecs.ogg_header import OpusHead, OpusTags
from loacodecs.ogg_page import BEGINS_STREAM, CONTINUED, Page, PageReader, lacing


def headers() -> tuple[Page, Page]:
    """The two header pages of an ordinary stream with serial number 7."""
    file = io.BytesIO()
    OggOpusWriter(file.write, serial=7)
    file.seek(0)
    reader = PageReader(file)
    head, tags = reader.read(), reader.read()
    assert head is not None
    assert tags is not None
    return head, tags


def read(data: bytes) -> OggOpusReader:
    return OggOpusReader(io.BytesIO(data))


def test_large_tags_cross_pages_and_are_read_by_ffmpeg() -> None:
    file = io.BytesIO()
    text = "tiếng nói " * 12_000
    with OggOpusWriter(file.write, serial=1, tags={"COMMENT": text, "ARTIST": "Loa"}) as writer:
        for _ in range(10):
            writer.write_packet(b"\xf8")
    reader = OggOpusReader(io.BytesIO(file.getvalue()))
    assert reader.tags == OpusTags("loa", (("COMMENT", text), ("ARTIST", "Loa")))
    assert len(list(reader)) == 10
    with av.open(io.BytesIO(file.getvalue())) as container:
        assert container.streams.audio[0].metadata["ARTIST"] == "Loa"


def test_tags_without_bounds_are_refused() -> None:
    head = headers()[0]
    data = bytearray(head.to_bytes())
    for number in range(1, 300):
        flags = CONTINUED if number > 1 else 0
        data += Page(flags, -1, 7, number, b"\xff" * 255, bytes(65025)).to_bytes()
    stream = io.BytesIO(data)
    with pytest.raises(MalformedError):
        OggOpusReader(stream)
    assert stream.tell() < 17 << 20


def test_headers_that_cannot_be() -> None:
    def with_head(body: bytes) -> bytes:
        return Page(BEGINS_STREAM, 0, 7, 0, lacing(len(body)), body).to_bytes() + headers()[1].to_bytes()

    good = OpusHead(2, 100, 44100, -3.5)
    assert OpusHead.parse(good.to_bytes()) == good
    for broken in (
        b"OpusHead",
        good.to_bytes()[:-1],
        good.to_bytes().replace(b"d\x01\x02", b"d\x11\x02"),
        good.to_bytes().replace(b"d\x01\x02", b"d\x01\x00"),
        good.to_bytes().replace(b"d\x01\x02", b"d\x01\x03"),
    ):
        with pytest.raises(MalformedError):
            read(with_head(broken))
    with pytest.raises(CodecError, match="surround"):
        read(with_head(OpusHead(6).to_bytes()[:-1] + b"\x01\x04\x02\x00\x04\x01\x02\x03\x05"))
    head = headers()[0].to_bytes()
    for tags in (
        b"OpusTag",
        b"OpusTags",
        b"OpusTags\xff\xff\xff\xff",
        b"OpusTags\x00\x00\x00\x00\x09\x00\x00\x00",
    ):
        with pytest.raises(MalformedError):
            read(head + Page(0, 0, 7, 1, lacing(len(tags)), tags).to_bytes())


def test_a_comment_without_a_name_is_passed_over() -> None:
    packet = b"OpusTags\x01\x00\x00\x00v\x02\x00\x00\x00\x03\x00\x00\x00abc\x03\x00\x00\x00k=\xff"
    assert OpusTags.parse(packet) == OpusTags("v", (("k", "\ufffd"),))
