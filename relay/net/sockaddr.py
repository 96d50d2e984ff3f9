"""Socket addresses as the kernel writes them: packed `sockaddr_in` (16 octets) or `sockaddr_in6` (28).

IPv4 peers of a dual-stack socket appear as IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2); everybody above
this module sees plain IPv4 text.
"""

from __future__ import annotations

import socket
import struct

Address = tuple[str, int]

_MAPPED = b"\0" * 10 + b"\xff\xff"


def unpack(raw: bytes) -> Address:
    """IP text and port of a packed socket address; raises ValueError for another family."""
    (family,) = struct.unpack_from("=H", raw)
    if family == socket.AF_INET6 and len(raw) >= 28:
        ip = raw[8:24]
        port = int.from_bytes(raw[2:4], "big")
        if ip.startswith(_MAPPED):
            return socket.inet_ntop(socket.AF_INET, ip[12:]), port
        return socket.inet_ntop(socket.AF_INET6, ip), port
    if family == socket.AF_INET and len(raw) >= 16:
        return socket.inet_ntop(socket.AF_INET, raw[4:8]), int.from_bytes(raw[2:4], "big")
    raise ValueError(f"socket address family {family} is neither IPv4 nor IPv6")


def pack(address: Address, family: int) -> bytes:
    """The packed address for a socket of `family`; raises OSError when the text is no IP of it."""
    host, port = address
    if family == socket.AF_INET:
        return struct.pack("=H", socket.AF_INET) + port.to_bytes(2, "big") + _ipv4(host) + bytes(8)
    ip = _MAPPED + _ipv4(host) if ":" not in host else socket.inet_pton(socket.AF_INET6, host)
    return struct.pack("=H", socket.AF_INET6) + port.to_bytes(2, "big") + bytes(4) + ip + bytes(4)


def _ipv4(host: str) -> bytes:
    return socket.inet_pton(socket.AF_INET, host)
