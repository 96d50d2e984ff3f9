"""The fan-out kernel in plain Python: slow, obvious, and the oracle the compiled one is held to."""

from __future__ import annotations

from loacodecs import rtp, srtp
from relay.net.fanout import Packet


def sealed(
    sender: srtp.Sender,
    packet: Packet,
    *,
    ssrc: int,
    payload_type: int,
    sequence_offset: int,
    timestamp_offset: int,
    extension_id: int,
) -> bytes:
    """The datagram a row receives for `packet`."""
    profile, extension = 0, b""
    if packet.capture and extension_id:
        profile, extension = rtp.pack_extension([(extension_id, packet.capture.to_bytes(8, "big"))])
    plain = rtp.RtpPacket(
        payload_type=payload_type,
        marker=packet.marker,
        sequence=(packet.sequence + sequence_offset) & 0xFFFF,
        timestamp=(packet.timestamp + timestamp_offset) & 0xFFFF_FFFF,
        ssrc=ssrc,
        payload=packet.payload,
        extension_profile=profile,
        extension=extension,
    )
    return sender.protect(plain.to_bytes())


def report(
    ssrc: int, ntp: int, timestamp: int, packets: int, octets: int, template: bytes, bye: bool
) -> bytes:
    """The plain compound report of a row: sender report, SDES and BYE (RFC 3550 §6)."""
    head = (
        bytes((0x80, 200, 0, 6))
        + ssrc.to_bytes(4, "big")
        + ntp.to_bytes(8, "big")
        + timestamp.to_bytes(4, "big")
        + (packets & 0xFFFF_FFFF).to_bytes(4, "big")
        + (octets & 0xFFFF_FFFF).to_bytes(4, "big")
    )
    body = template[:4] + ssrc.to_bytes(4, "big") + template[8:]
    if bye:
        body = body[:-4] + ssrc.to_bytes(4, "big")
    return head + body
