from __future__ import annotations

import ctypes
import itertools
from ctypes import POINTER, c_char_p, c_int, c_int16, c_ubyte

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loacodecs import libopus, opus_packet
from loacodecs.errors import MalformedError

LIBRARY = ctypes.CDLL(next(libopus.in_wheel()))


def libopus_frames(packet: bytes) -> tuple[bytes, ...] | None:
    """The oracle: how libopus itself takes the packet apart, None when it refuses."""
    frames = (POINTER(c_ubyte) * 48)()
    sizes = (c_int16 * 48)()
    keep = ctypes.create_string_buffer(packet, len(packet))
    count = LIBRARY.opus_packet_parse(keep, c_int(len(packet)), None, frames, sizes, None)
    if count < 0:
        return None
    return tuple(ctypes.string_at(frames[n], sizes[n]) for n in range(count))


packets = st.binary(min_size=1, max_size=80)
# Long tails and the counted form meet the rules about lengths and padding more often than chance would.
counted_packets = st.builds(
    lambda config, count, flags, lengths, size: (
        bytes([config << 3 | 3, flags << 6 | count, *lengths]) + bytes(size)
    ),
    st.integers(0, 31),
    st.integers(0, 50),
    st.integers(0, 3),
    st.lists(st.integers(0, 255), max_size=6),
    st.integers(0, 1400),
)


@given(st.one_of(packets, counted_packets))
@example(b"\xff\x41\xff\x00" + bytes(254))
@example(b"\x00" + bytes(1275))
@example(b"\x00" + bytes(1276))
@example(b"\x02\xfc\x00" + bytes(252))
@example(b"\x02\xfc")
@example(b"\x02\xfd\x03" + bytes(300))
@settings(max_examples=300)
def test_frames_are_split_as_libopus_splits_them(packet: bytes) -> None:
    expected = libopus_frames(packet)
    if expected is None:
        with pytest.raises(MalformedError):
            opus_packet.split_frames(packet)
        return
    assert opus_packet.split_frames(packet) == expected
    assert opus_packet.packet_frames(packet) == len(expected)
    assert opus_packet.packet_samples(packet) == LIBRARY.opus_packet_get_nb_samples(
        c_char_p(packet), c_int(len(packet)), c_int(48000)
    )


@given(packets)
def test_toc_agrees_with_libopus(packet: bytes) -> None:
    head = opus_packet.toc(packet)
    assert head.stereo == (LIBRARY.opus_packet_get_nb_channels(c_char_p(packet)) == 2)
    names = {1101: "narrow", 1102: "medium", 1103: "wide", 1104: "super-wide", 1105: "full"}
    assert head.bandwidth == names[LIBRARY.opus_packet_get_bandwidth(c_char_p(packet))]
    assert head.frame_samples == LIBRARY.opus_packet_get_samples_per_frame(c_char_p(packet), c_int(48000))
    assert head.mode == ("celt" if packet[0] & 0x80 else "hybrid" if packet[0] & 0x60 == 0x60 else "silk")


def test_fec_is_seen_as_libopus_sees_it() -> None:
    for head, flags in itertools.product(range(0, 256, 4), range(256)):
        packet = bytes((head, flags, 0))
        expected = LIBRARY.opus_packet_has_lbrr(c_char_p(packet), c_int(len(packet)))
        assert opus_packet.has_fec(packet) == bool(expected), packet
    assert not opus_packet.has_fec(b"\x08"), "an empty frame"


def test_an_empty_packet_is_refused() -> None:
    for function in (
        opus_packet.toc,
        opus_packet.packet_frames,
        opus_packet.packet_samples,
        opus_packet.split_frames,
        opus_packet.has_fec,
    ):
        with pytest.raises(MalformedError):
            function(b"")


def test_more_than_120_ms_is_refused() -> None:
    assert opus_packet.packet_samples(bytes([3 << 3 | 1])) == 5760
    with pytest.raises(MalformedError, match="180 ms"):
        opus_packet.packet_samples(bytes([3 << 3 | 3, 3]))
