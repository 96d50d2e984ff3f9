from __future__ import annotations

import pytest

from loacodecs.demux import Kind, kind


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Kind.UNKNOWN),
        (b"\x00", Kind.UNKNOWN),
        (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), Kind.STUN),
        (b"\x01\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), Kind.STUN),
        (b"\x00\x01\x00\x00\x21\x12\xa4\x43" + bytes(12), Kind.UNKNOWN),
        (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(11), Kind.UNKNOWN),
        (b"\x14\xfe\xfd" + bytes(10), Kind.DTLS),
        (b"\x16\xfe\xfd" + bytes(10), Kind.DTLS),
        (b"\x16\xfe\xfd" + bytes(9), Kind.UNKNOWN),
        (b"\x3f" + bytes(12), Kind.DTLS),
        (b"\x13" + bytes(19), Kind.UNKNOWN),
        (b"\x40" + bytes(19), Kind.UNKNOWN),
        (b"\x80\x6f" + bytes(10), Kind.RTP),
        (b"\x80\xef" + bytes(10), Kind.RTP),
        (b"\xbf\x6f" + bytes(10), Kind.RTP),
        (b"\x80\x6f" + bytes(9), Kind.UNKNOWN),
        (b"\x80\xc0" + bytes(6), Kind.RTCP),
        (b"\x81\xc8" + bytes(6), Kind.RTCP),
        (b"\x81\xdf" + bytes(6), Kind.RTCP),
        (b"\x81\xe0" + bytes(10), Kind.RTP),
        (b"\xc0\x6f" + bytes(10), Kind.UNKNOWN),
    ],
)
def test_first_bytes_decide_the_protocol(data: bytes, expected: Kind) -> None:
    assert kind(data) is expected


def test_every_first_byte_has_an_answer() -> None:
    kinds = [kind(bytes([first]) + bytes(30)) for first in range(256)]
    assert [index for index, found in enumerate(kinds) if found is Kind.DTLS] == list(range(20, 64))
    assert [index for index, found in enumerate(kinds) if found is Kind.RTP] == list(range(128, 192))
