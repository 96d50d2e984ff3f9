"""What can be read off an Opus packet without decoding it (RFC 6716 §3).

Everything here is pure and cheap; `packet_samples` is one table look-up for the usual packet of one frame.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from .errors import MalformedError

Mode = Literal["silk", "hybrid", "celt"]
Bandwidth = Literal["narrow", "medium", "wide", "super-wide", "full"]

MAX_FRAME_BYTES = 1275
MAX_SAMPLES = 5760  # 120 ms (RFC 6716 §3.2.5, R5)

# Samples of one frame at 48 kHz for each of the 32 configurations (RFC 6716 table 2).
_FRAME_SAMPLES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
_BANDWIDTHS: tuple[Bandwidth, ...] = (
    *("narrow",) * 4,
    *("medium",) * 4,
    *("wide",) * 4,
    *("super-wide",) * 2,
    *("full",) * 2,
    *("narrow",) * 4,
    *("wide",) * 4,
    *("super-wide",) * 4,
    *("full",) * 4,
)


class Toc(NamedTuple):
    """The table-of-contents byte that starts every packet (RFC 6716 §3.1).

    `config` 0…31 names mode, bandwidth and frame size; `code` 0…3 how many frames follow.
    """

    config: int
    stereo: bool
    code: int

    @property
    def mode(self) -> Mode:
        """The codec inside: in-band FEC exists in "silk" and "hybrid" only."""
        return "silk" if self.config < 12 else "hybrid" if self.config < 16 else "celt"

    @property
    def bandwidth(self) -> Bandwidth:
        """Audio bandwidth: 4, 6, 8, 12 or 20 kHz."""
        return _BANDWIDTHS[self.config]

    @property
    def frame_samples(self) -> int:
        """Samples of one frame at 48 kHz."""
        return _FRAME_SAMPLES[self.config]


def toc(packet: bytes) -> Toc:
    """The first byte of `packet` taken apart. Raises MalformedError when it is empty."""
    if not packet:
        raise MalformedError("an Opus packet has at least one byte")
    return Toc(packet[0] >> 3, bool(packet[0] & 4), packet[0] & 3)


def packet_frames(packet: bytes) -> int:
    """How many frames the packet holds, 1…48; the frames themselves are not looked at.

    Raises MalformedError.
    """
    if not packet:
        raise MalformedError("an Opus packet has at least one byte")
    code = packet[0] & 3
    if code == 0:
        return 1
    if code != 3:
        return 2
    if len(packet) < 2 or packet[1] & 63 == 0:
        raise MalformedError("an Opus packet of code 3 names one frame or more")
    return packet[1] & 63


def packet_samples(packet: bytes) -> int:
    """How long the packet lasts, in samples at 48 kHz. Raises MalformedError, also beyond 120 ms."""
    samples = packet_frames(packet) * _FRAME_SAMPLES[packet[0] >> 3]
    if samples > MAX_SAMPLES:
        raise MalformedError(f"an Opus packet lasts at most 120 ms, this one {samples / 48:g} ms")
    return samples


def split_frames(packet: bytes) -> tuple[bytes, ...]:
    """The frames of the packet without their lengths and padding (RFC 6716 §3.2).

    Raises MalformedError for every packet a decoder has to refuse (R1…R7).
    """
    packet_samples(packet)
    code = packet[0] & 3
    if code == 3:
        frames = _split_counted(packet)
    elif code == 2:
        length, start = _frame_length(packet, 1)
        if start + length > len(packet):
            raise MalformedError("the first Opus frame is longer than its packet")
        frames = (packet[start : start + length], packet[start + length :])
    elif code == 1:
        half, odd = divmod(len(packet) - 1, 2)
        if odd:
            raise MalformedError("two Opus frames of equal size need an even number of bytes")
        frames = (packet[1 : 1 + half], packet[1 + half :])
    else:
        frames = (packet[1:],)
    if any(len(frame) > MAX_FRAME_BYTES for frame in frames):
        raise MalformedError(f"an Opus frame has at most {MAX_FRAME_BYTES} bytes")
    return frames


def has_fec(packet: bytes) -> bool:
    """Whether the packet carries the frame before it a second time (in-band FEC, RFC 6716 §4.2.3).

    Raises MalformedError.
    """
    head = toc(packet)
    first = split_frames(packet)[0]
    if head.mode == "celt" or not first:
        return False
    # A voice-activity bit for each 20 ms, then the FEC bit; then the same for the second channel.
    silk_frames = max(1, head.frame_samples // 960)
    flag = first[0] >> (7 - silk_frames) & 1
    if head.stereo:
        flag |= first[0] >> (6 - 2 * silk_frames) & 1
    return bool(flag)


def is_dtx(packet: bytes) -> bool:
    """Whether an encoder with DTX gave the packet for silence: it need not be sent (RFC 7587 §3.1.3)."""
    return len(packet) <= 2


def _frame_length(packet: bytes, position: int) -> tuple[int, int]:
    """A length of one or two bytes and where it ends (RFC 6716 §3.2.1)."""
    if position >= len(packet):
        raise MalformedError("the length of an Opus frame is cut short")
    length = packet[position]
    if length < 252:
        return length, position + 1
    if position + 1 >= len(packet):
        raise MalformedError("the length of an Opus frame is cut short")
    return length + 4 * packet[position + 1], position + 2


def _split_counted(packet: bytes) -> tuple[bytes, ...]:
    """Code 3: a counted number of frames, of equal or of given size, perhaps padded (RFC 6716 §3.2.5)."""
    count, position, end = packet[1] & 63, 2, len(packet)
    if packet[1] & 0x40:
        more = 255
        while more == 255:
            if position >= end:
                raise MalformedError("the length of the Opus padding is cut short")
            more = packet[position]
            end -= 254 if more == 255 else more
            position += 1
    lengths: list[int] = []
    if packet[1] & 0x80:
        for _ in range(count - 1):
            length, position = _frame_length(packet, position)
            lengths.append(length)
        lengths.append(end - position - sum(lengths))
    else:
        length, odd = divmod(end - position, count)
        if odd:
            raise MalformedError(f"{count} Opus frames of equal size do not fill their packet")
        lengths = [length] * count
    if lengths[-1] < 0:
        raise MalformedError("the Opus frames and their padding are longer than the packet")
    frames: list[bytes] = []
    for length in lengths:
        frames.append(packet[position : position + length])
        position += length
    return tuple(frames)
