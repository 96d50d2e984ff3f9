"""Which protocol a datagram of a WebRTC session belongs to, by its first bytes (RFC 7983, RFC 5761)."""

from __future__ import annotations

import enum

_STUN_COOKIE = b"\x21\x12\xa4\x42"


class Kind(enum.Enum):
    """The protocols that share one WebRTC transport address."""

    STUN = "stun"
    DTLS = "dtls"
    RTP = "rtp"
    RTCP = "rtcp"
    UNKNOWN = "unknown"


def kind(data: bytes) -> Kind:
    """Classify one datagram; pure, never raises.

    A datagram too short for its protocol's fixed header (STUN 20 bytes with its cookie, DTLS 13, RTP 12,
    RTCP 8) is UNKNOWN, as are ZRTP, TURN channels and everything else this project does not speak.
    """
    size = len(data)
    if size < 8:
        return Kind.UNKNOWN
    first = data[0]
    if 128 <= first <= 191:
        if 192 <= data[1] <= 223:
            return Kind.RTCP
        return Kind.RTP if size >= 12 else Kind.UNKNOWN
    if first <= 3:
        return Kind.STUN if size >= 20 and data[4:8] == _STUN_COOKIE else Kind.UNKNOWN
    if 20 <= first <= 63:
        return Kind.DTLS if size >= 13 else Kind.UNKNOWN
    return Kind.UNKNOWN
