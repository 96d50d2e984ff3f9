"""Joined packets are those of libopus's repacketizer, and are heard as the packets one by one."""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_void_p

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import libopus, opus_packet
from loacodecs.errors import MalformedError
from loacodecs.opus import OpusDecoder, OpusEncoder
from loacodecs.opus_repacketize import join, joinable, joined_limit

LIBRARY = ctypes.CDLL(next(libopus.in_wheel()))
LIBRARY.opus_repacketizer_create.restype = c_void_p


def libopus_join(packets: list[bytes]) -> bytes | None:
    """The oracle; None when libopus refuses."""
    repacketizer = c_void_p(LIBRARY.opus_repacketizer_create())
    kept = [ctypes.create_string_buffer(packet, len(packet)) for packet in packets]
    try:
        for packet in kept:
            if LIBRARY.opus_repacketizer_cat(repacketizer, packet, c_int(len(packet.raw))):
                return None
        out = ctypes.create_string_buffer(1276 * 48)
        size = LIBRARY.opus_repacketizer_out(repacketizer, out, c_int(len(out.raw)))
        return out.raw[:size] if size >= 0 else None
    finally:
        LIBRARY.opus_repacketizer_destroy(repacketizer)


configurations = st.integers(0, 63)
bodies = st.one_of(
    st.binary(max_size=40), st.integers(240, 270).map(bytes), st.integers(1200, 1275).map(bytes)
)
# Mostly of one configuration, for else nothing would ever be joined.
same = st.builds(
    lambda head, tails: [bytes((head << 2,)) + tail for tail in tails],
    configurations,
    st.lists(bodies, min_size=1, max_size=8),
)
coded = st.builds(
    lambda head, tails: [bytes((head << 2 | code,)) + tail for code, tail in tails],
    configurations,
    st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), min_size=1, max_size=5),
)
different = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4)


@given(st.one_of(same, coded, different))
def test_packets_are_joined_as_libopus_joins_them(packets: list[bytes]) -> None:
    expected = libopus_join(packets)
    if expected is None:
        with pytest.raises((ValueError, MalformedError)):
            join(packets)
        return
    assert join(packets) == expected


@given(st.one_of(same, coded))
def test_the_limit_is_never_exceeded(packets: list[bytes]) -> None:
    try:
        found = join(packets)
    except (ValueError, MalformedError):
        return
    assert len(found) <= joined_limit(packets)


@pytest.mark.parametrize(("bitrate", "channels"), [(24_000, 1), (64_000, 2)])
def test_a_decoder_hears_the_same(bitrate: int, channels: int) -> None:
    time = np.arange(960 * 30) / 48_000
    tone = (0.3 * np.sin(2 * np.pi * 300 * time * (1 + time)) + 0.01 * np.sin(9_000 * time)).astype(
        np.float32
    )
    sound = np.stack([tone] * channels, axis=1)
    encoder = OpusEncoder(channels=channels, bitrate=bitrate)
    packets = [encoder.encode(sound[n : n + 960]) for n in range(0, len(sound), 960)]
    one, other = OpusDecoder(channels=channels), OpusDecoder(channels=channels)
    expected = np.concatenate([one.decode(packet) for packet in packets])
    groups = [packets[n : n + 3] for n in range(0, len(packets), 3)]
    heard = np.concatenate([other.decode(part) for group in groups for part in parts(group)])
    assert np.array_equal(heard, expected)
    assert any(len(parts(group)) == 1 for group in groups), "something was joined"


def parts(group: list[bytes]) -> list[bytes]:
    """`group` in one packet, or as it is where the encoder changed its mode within."""
    return [join(group)] if all(joinable(group[0], packet) for packet in group) else group


def test_joined_packets_can_be_joined_again() -> None:
    single = [bytes((8 << 2,)) + bytes((n,)) * n for n in range(1, 5)]
    assert join([join(single[:2]), join(single[2:])]) == join(single)
    assert opus_packet.split_frames(join(single)) == tuple(packet[1:] for packet in single)


def test_what_cannot_be_joined_is_refused() -> None:
    assert not joinable(b"\x08", b"\x0c"), "stereo"
    assert joinable(b"\x08", b"\x0b"), "the number of frames does not matter"
    with pytest.raises(ValueError, match="no packets"):
        join([])
    with pytest.raises(ValueError, match="different configuration"):
        join([b"\x08a", b"\x10b"])
    with pytest.raises(ValueError, match="120 ms"):
        join([b"\x18a"] * 3)
    with pytest.raises(MalformedError):
        join([b"\x08a", b""])
