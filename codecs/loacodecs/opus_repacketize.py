"""Several Opus packets become one, without decoding (RFC 6716 §3.2).

The frames of a packet follow one another in time and share one table-of-contents byte, so packets can be joined
when mode, bandwidth, frame size and channels agree. A decoder hears exactly what it would have heard from the
packets one by one. What comes out is, octet for octet, what libopus's own repacketizer writes.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import MalformedError
from .opus_packet import MAX_SAMPLES, packet_frames, split_frames, toc

_CODE = 3
_VARIABLE = 0x80


def joinable(one: bytes, other: bytes) -> bool:
    """Whether the frames of two packets can stand in one: equal configuration and channels.

    Raises MalformedError when one of them is empty.
    """
    if not one or not other:
        raise MalformedError("an Opus packet has at least one byte")
    return one[0] & ~_CODE == other[0] & ~_CODE


def joined_limit(packets: Sequence[bytes]) -> int:
    """Octets that `join` will not exceed, without looking at the frames. Raises MalformedError."""
    # Every frame has a length of at most two octets.
    return 2 + sum(len(packet) + 2 * packet_frames(packet) for packet in packets)


def join(packets: Sequence[bytes]) -> bytes:
    """One packet with the frames of `packets` in their order; padding is lost.

    Raises MalformedError when a packet is no Opus packet, ValueError when there is none, when they are not
    `joinable` or last more than 120 ms together.
    """
    if not packets:
        raise ValueError("there are no packets to join")
    if not all(joinable(packets[0], packet) for packet in packets):
        raise ValueError("Opus packets of different configuration cannot be joined")
    frames = [frame for packet in packets for frame in split_frames(packet)]
    if len(frames) * toc(packets[0]).frame_samples > MAX_SAMPLES:
        raise ValueError("an Opus packet lasts at most 120 ms")
    head = packets[0][0] & ~_CODE
    sizes = [len(frame) for frame in frames]
    equal = all(size == sizes[0] for size in sizes)
    if len(frames) == 1:
        prefix = bytes((head,))
    elif len(frames) == 2:
        prefix = bytes((head | 1,)) if equal else bytes((head | 2,)) + _length(sizes[0])
    elif equal:
        prefix = bytes((head | _CODE, len(frames)))
    else:
        prefix = bytes((head | _CODE, _VARIABLE | len(frames))) + b"".join(map(_length, sizes[:-1]))
    return prefix + b"".join(frames)


def _length(size: int) -> bytes:
    """The length of a frame in one or two octets (RFC 6716 §3.2.1)."""
    if size < 252:
        return bytes((size,))
    return bytes((252 + (size & 3), (size - (252 + (size & 3))) >> 2))
