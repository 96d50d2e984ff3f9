"""Socket addresses as the kernel's `struct sockaddr_in` and `struct sockaddr_in6`, for the compiled loops."""

from __future__ import annotations

import socket
import sys

from loacodecs.address import Address

NAME_BYTES_MAX = 28


def family_of(host: str) -> socket.AddressFamily:
    """AF_INET6 for an IPv6 address, AF_INET for any other text."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bracketed(host: str) -> str:
    """The host as it stands before a port: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def socket_name(address: Address) -> bytes:
    """The 16 bytes of `struct sockaddr_in`, or the 28 of `struct sockaddr_in6` without scope."""
    host, port = address
    family = family_of(host)
    head = int(family).to_bytes(2, sys.byteorder) + port.to_bytes(2, "big")
    if family is socket.AF_INET6:
        return head + bytes(4) + socket.inet_pton(family, host) + bytes(4)
    return head + socket.inet_aton(host) + bytes(8)


def address_of(name: bytes) -> Address:
    """The address in a `struct sockaddr_in` (8 bytes suffice) or `struct sockaddr_in6`."""
    port = int.from_bytes(name[2:4], "big")
    if int.from_bytes(name[:2], sys.byteorder) == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, name[8:24]), port
    return socket.inet_ntop(socket.AF_INET, name[4:8]), port
