"""RTP packets (RFC 3550 §5), header extensions (RFC 8285) and the arithmetic of their counters.

`parse` stands on the ingest path: one `struct` call, one object, one slice of the payload. It checks what a
peer could get wrong and raises only `MalformedError`; header extensions are looked up when asked for, and a
broken one is simply not found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct, pack, unpack_from

from .errors import MalformedError

ABS_CAPTURE_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""RFC 6464: one octet, voice activity in the top bit, below it how many dB under overload."""

HEADER_LENGTH = 12
ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000
"""RFC 8285 §4.3: 0x100 followed by four application bits."""

_HEADER = Struct("!BBHII")
_NTP_UNIX_OFFSET = 2_208_988_800  # seconds from 1900-01-01 to 1970-01-01


@dataclass(slots=True)
class RtpPacket:
    """One RTP packet; `extension` is the raw body of the header extension, padded to whole 32-bit words.

    A packet carries an extension when `extension_profile` or `extension` is set.
    """

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    extension_profile: int = 0
    extension: bytes = b""
    csrcs: tuple[int, ...] = ()

    def to_bytes(self) -> bytes:
        """Serialise without padding (RFC 3550 §5.1).

        Raises ValueError or struct.error when a field does not fit its width: a mistake of the caller.
        """
        first = 0x80 | len(self.csrcs)
        middle = b""
        if self.csrcs:
            if len(self.csrcs) > 15:
                raise ValueError("an RTP packet names at most 15 contributing sources")
            middle = pack(f"!{len(self.csrcs)}I", *self.csrcs)
        if self.extension or self.extension_profile:
            if len(self.extension) % 4:
                raise ValueError("an RTP header extension is a whole number of 32-bit words")
            first |= 0x10
            middle += pack("!HH", self.extension_profile, len(self.extension) >> 2) + self.extension
        second = self.payload_type | 0x80 if self.marker else self.payload_type
        return _HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc) + middle + self.payload

    def extension_value(self, id: int) -> bytes | None:  # noqa: A002 - RFC 8285 calls it ID
        """The value of the header extension element `id`, or None when absent or cut short (RFC 8285 §4)."""
        if self.extension_profile == ONE_BYTE_PROFILE:
            return _one_byte_value(self.extension, id)
        if self.extension_profile & 0xFFF0 == TWO_BYTE_PROFILE:
            return _two_byte_value(self.extension, id)
        return None


def parse(data: bytes) -> RtpPacket:
    """Read one RTP packet: CSRCs, header extension and padding are taken apart (RFC 3550 §5.1).

    Raises MalformedError.
    """
    if len(data) < HEADER_LENGTH:
        raise MalformedError(f"an RTP packet has at least {HEADER_LENGTH} bytes, this one {len(data)}")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first == 0x80:  # the usual packet: nothing optional
        return RtpPacket(second & 0x7F, second > 0x7F, sequence, timestamp, ssrc, data[HEADER_LENGTH:])
    if first >> 6 != 2:
        raise MalformedError(f"RTP version {first >> 6} is not 2")
    start, end = HEADER_LENGTH, len(data)
    csrcs: tuple[int, ...] = ()
    count = first & 0x0F
    if count:
        start += 4 * count
        if start > end:
            raise MalformedError("the list of contributing sources is cut short")
        csrcs = unpack_from(f"!{count}I", data, HEADER_LENGTH)
    profile, extension = 0, b""
    if first & 0x10:
        if start + 4 > end:
            raise MalformedError("the header extension is cut short")
        profile, words = unpack_from("!HH", data, start)
        start += 4
        extension = data[start : start + 4 * words]
        if len(extension) != 4 * words:
            raise MalformedError("the header extension is cut short")
        start += 4 * words
    if first & 0x20:
        padding = data[-1]
        if padding == 0 or padding > end - start:
            raise MalformedError("the RTP padding is longer than the packet")
        end -= padding
    return RtpPacket(
        second & 0x7F, second > 0x7F, sequence, timestamp, ssrc, data[start:end], profile, extension, csrcs
    )


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram already known to be RTP or RTCP is RTCP (RFC 5761 §4)."""
    return len(data) > 1 and 192 <= data[1] <= 223


def sequence_delta(a: int, b: int) -> int:
    """`a - b` on the circle of 16-bit sequence numbers, -32768 … 32767."""
    return ((a - b + 0x8000) & 0xFFFF) - 0x8000


def timestamp_delta(a: int, b: int) -> int:
    """`a - b` on the circle of 32-bit timestamps, -2³¹ … 2³¹-1."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class SequenceUnwrapper:
    """Gives 16-bit sequence numbers their cycles, tolerant of loss and reordering of up to 32,767 packets.

    The first number is returned as it is; a packet that precedes it can come out negative.
    """

    __slots__ = ("_highest",)

    def __init__(self) -> None:
        self._highest: int | None = None

    def unwrap(self, sequence: int) -> int:
        """The extended sequence number of `sequence`, measured from the highest one seen."""
        if self._highest is None:
            self._highest = sequence
            return sequence
        extended = self._highest + sequence_delta(sequence, self._highest & 0xFFFF)
        if extended > self._highest:
            self._highest = extended
        return extended


def pack_extension(items: Sequence[tuple[int, bytes]]) -> tuple[int, bytes]:
    """The profile and padded body that carry `(id, value)` pairs (RFC 8285 §4.2, §4.3).

    One-byte elements where all fit them (id 1…14, 1…16 bytes), two-byte elements otherwise (id 1…255, 0…255
    bytes). No items give `(0, b"")`: no extension. Raises ValueError for an id or a value that fits neither.
    """
    if not items:
        return 0, b""
    body = bytearray()
    if all(1 <= id_ <= 14 and 1 <= len(value) <= 16 for id_, value in items):
        profile = ONE_BYTE_PROFILE
        for id_, value in items:
            body.append(id_ << 4 | len(value) - 1)
            body += value
    else:
        profile = TWO_BYTE_PROFILE
        for id_, value in items:
            if not 1 <= id_ <= 255 or len(value) > 255:
                raise ValueError(f"header extension element {id_} of {len(value)} bytes cannot be written")
            body += bytes((id_, len(value)))
            body += value
    body += bytes(-len(body) % 4)
    return profile, bytes(body)


def pack_capture_time(ntp: int) -> bytes:
    """The short form of abs-capture-time: when the first sample was captured, 64-bit NTP (Q32.32)."""
    return pack("!Q", ntp)


def capture_time(value: bytes) -> int | None:
    """The NTP time in an abs-capture-time element (short or long form), or None when it is neither."""
    return int.from_bytes(value[:8]) if len(value) in (8, 16) else None


def audio_level(value: bytes) -> tuple[bool, int] | None:
    """Voice activity and level in dBov (-127 … 0) of an RFC 6464 element, or None when it is empty."""
    return (value[0] > 0x7F, -(value[0] & 0x7F)) if value else None


def ntp_from_unix(seconds: float) -> int:
    """Unix time as a 64-bit NTP timestamp, Q32.32 seconds since 1900 (RFC 3550 §4)."""
    whole = math.floor(seconds)  # apart from the fraction, which would lose bits beside it in one float
    return ((whole + _NTP_UNIX_OFFSET << 32) + round((seconds - whole) * 2**32)) & 0xFFFF_FFFF_FFFF_FFFF


def unix_from_ntp(ntp: int) -> float:
    """Unix time of a 64-bit NTP timestamp, which is taken to lie in 1968 … 2104 (RFC 4330 §3)."""
    whole = ntp >> 32
    if whole < 0x80000000:  # era 1, from 2036 on
        whole += 1 << 32
    return (whole - _NTP_UNIX_OFFSET) + (ntp & 0xFFFF_FFFF) / 2**32


def _one_byte_value(body: bytes, wanted: int) -> bytes | None:
    position, end = 0, len(body)
    while position < end:
        head = body[position]
        if head >> 4 == 15:  # reserved: whatever follows is not for us
            return None
        if head >> 4 == 0:  # padding, one byte whatever its low bits say
            position += 1
            continue
        start, position = position + 1, position + 2 + (head & 0x0F)
        if head >> 4 == wanted:
            return body[start:position] if position <= end else None
    return None


def _two_byte_value(body: bytes, wanted: int) -> bytes | None:
    position, end = 0, len(body)
    while position + 1 < end:
        id_ = body[position]
        if id_ == 0:
            position += 1
            continue
        start, position = position + 2, position + 2 + body[position + 1]
        if id_ == wanted:
            return body[start:position] if position <= end else None
    return None
