"""One UDP socket in the event loop: never waits to send."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final

from loacodecs.address import Address, canonical
from loacodecs.errors import TransportError

_MAX_DATAGRAM: Final = 2049  # one byte more than anything we take, to know what was longer


class UdpSocket:
    """A socket on any port, for IPv6 and IPv4 at once where the system has both.

    `receive` is called with each datagram and where it came from.
    """

    def __init__(self, receive: Callable[[bytes, Address], None]) -> None:
        """Open it and listen to it in the running loop. Raises TransportError."""
        self.dropped = 0
        """Datagrams not sent: the socket was full, or there was no way to the address."""
        self._receive = receive
        self._socket = _open()
        self._source: Any = None
        self._canonical: Address = ("", 0)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._on_readable)

    @property
    def port(self) -> int:
        """The local port."""
        return int(self._socket.getsockname()[1])

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram, or drop it: live sound that has to wait is worth nothing."""
        host = address[0]
        if self._socket.family == socket.AF_INET6 and ":" not in host:
            host = f"::ffff:{host}"
        try:
            self._socket.sendto(data, (host, address[1]))
        except OSError:
            self.dropped += 1

    def local_address(self, family: int, remote: Any) -> Address | None:
        """The address and port others see on the way to `remote`, a socket address of `family`, if any."""
        if family not in (socket.AF_INET, self._socket.family):
            return None
        with contextlib.suppress(OSError, ValueError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(remote)  # sends nothing, only chooses the route
            return canonical(probe.getsockname()[0], self.port)
        return None

    def close(self) -> None:
        """Close the socket; closing again does nothing."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _on_readable(self) -> None:
        """Take one datagram: the loop calls again while there are more, and mostly there are not."""
        try:
            data, source = self._socket.recvfrom(_MAX_DATAGRAM)
        except (
            OSError
        ):  # nothing there after all, or an ICMP error of something sent: ICE finds out by itself
            return
        if source != self._source:
            try:
                self._canonical = canonical(source[0], source[1])
            except ValueError:
                return
            self._source = source  # nearly all datagrams come from one place
        self._receive(data, self._canonical)


def _open() -> socket.socket:
    for family, anywhere in ((socket.AF_INET6, "::"), (socket.AF_INET, "")):
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM)
        except OSError:
            continue
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((anywhere, 0))
        except OSError:
            sock.close()
            continue
        sock.setblocking(False)
        return sock
    raise TransportError("this machine gives no UDP socket")
