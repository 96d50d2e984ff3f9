"""IPv4 socket addresses as the kernel's `struct sockaddr_in`, for the compiled loops."""

from __future__ import annotations

import socket
import sys

from loacodecs.address import Address


def socket_name(address: Address) -> bytes:
    """The 16 bytes of `struct sockaddr_in`."""
    host, port = address
    family = int(socket.AF_INET).to_bytes(2, sys.byteorder)
    return family + port.to_bytes(2, "big") + socket.inet_aton(host) + bytes(8)


def address_of(name: bytes) -> Address:
    """The address in the first 8 bytes of `struct sockaddr_in`."""
    return socket.inet_ntop(socket.AF_INET, name[4:8]), int.from_bytes(name[2:4], "big")
