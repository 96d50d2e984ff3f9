"""A UDP socket of the media plane: packed addresses in, packed addresses out, no exception to the caller."""

from __future__ import annotations

import errno
import logging
import socket
from typing import Literal

from loacodecs.errors import ConfigurationError
from relay.net import receive, sockaddr, steering

log = logging.getLogger("loa.net")

# From asm-generic/socket.h; they need CAP_NET_ADMIN.
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
# From linux/in.h and linux/in6.h; the socket module has none of them.
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER = 10, 23
_PMTUDISC_DO = 2


class UdpPort:
    """A non-blocking UDP socket with kernel arrival times; `dual` ones serve IPv4 and IPv6 alike."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.fd = sock.fileno()
        self.family = sock.family
        self.address: sockaddr.Address = sock.getsockname()[:2]
        self.send_errors = 0
        self.carries: Literal["media", "control", "all"] = "all"
        """What the kernel puts in this socket's queue (see `steering`). Control may wait for the next tick."""

    def send(self, data: bytes, address: sockaddr.Address) -> bool:
        """Send one datagram now; False (and counted) when the kernel refused it."""
        host, port = address
        if self.family == socket.AF_INET6 and ":" not in host:
            host = f"::ffff:{host}"
        try:
            self.socket.sendto(data, (host, port))
        except OSError:
            self.send_errors += 1
            return False
        return True

    def pack(self, address: sockaddr.Address) -> bytes:
        """`address` as a packed socket address of this socket's family; raises OSError for the other
        family's."""
        return sockaddr.pack(address, self.family)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def open_ports(host: str, port: int, *, receive_buffer: int, send_buffer: int) -> list[UdpPort]:
    """The sockets that serve UDP `port` of `host`: for each address family one for media and one for the
    rest (see `steering`). `::` means both families, because a packet to an IPv4 listener costs less through an IPv4
    socket than through a dual-stack one.

    Raises ConfigurationError with the mend when the port is taken or the address is not this machine's.
    """
    buffers = {"receive_buffer": receive_buffer, "send_buffer": send_buffer}
    if host != "::":
        return _open_pair(host, port, **buffers)
    four = _open_pair("0.0.0.0", port, **buffers)  # noqa: S104 - the configuration asked for every address
    if not _ipv6_works():
        return four
    try:
        return four + _open_pair("::", four[0].address[1], **buffers)
    except ConfigurationError:
        for opened in four:
            opened.close()
        raise


def _open_pair(host: str, port: int, *, receive_buffer: int, send_buffer: int) -> list[UdpPort]:
    # Sockets that share a port do not find it taken by another relay of the same user: this one would.
    probe = open_port(host, port, receive_buffer=1, send_buffer=1, dual=False)
    number = probe.address[1]
    probe.close()
    pair = [
        open_port(
            host, number, receive_buffer=receive_buffer, send_buffer=send_buffer, dual=False, shared=True
        )
        for _ in (steering.MEDIA, steering.CONTROL)
    ]
    try:
        steering.steer(pair[0].socket)
    except OSError:
        log.warning("the kernel cannot tell media from the rest; both share one queue")
        pair.pop().close()
        return pair
    pair[steering.MEDIA].carries = "media"
    pair[steering.CONTROL].carries = "control"
    return pair


def _ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def open_port(
    host: str, port: int, *, receive_buffer: int, send_buffer: int, dual: bool = True, shared: bool = False
) -> UdpPort:
    """Bind a UDP socket. `::` serves IPv4 too if `dual`; where the machine has no IPv6 it falls back to 0.0.0.0.
    Several `shared` ones may have the same address.

    Raises ConfigurationError with the mend when the port is taken or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:
        if not dual or host != "::":
            raise ConfigurationError(
                f"media.listen: this machine has no IPv6, so {host} cannot be bound"
            ) from None
        return open_port("0.0.0.0", port, receive_buffer=receive_buffer, send_buffer=send_buffer)  # noqa: S104
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual and host == "::" else 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _set_buffer(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, receive_buffer)
        _set_buffer(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, send_buffer)
        _never_fragment(sock)
        receive.prepare(sock)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigurationError(_bind_failure(host, port, error)) from error
    return UdpPort(sock)


def _never_fragment(sock: socket.socket) -> None:
    """Datagrams leave whole or not at all (RFC 8085 §3.2), and the kernel need not number them for fragments to be put
    together again, which is 4 % of what a packet costs (RFC 6864 §4.1)."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_DO)
    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DO)


def _set_buffer(sock: socket.socket, force: int, ordinary: int, size: int) -> None:
    """Ask for a buffer of `size` octets, past the kernel's limit where we may; say so when it stays smaller."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, ordinary, size)
    got = sock.getsockopt(socket.SOL_SOCKET, ordinary) // 2  # the kernel doubles it for its own bookkeeping
    if got < size:
        name = "rmem_max" if ordinary == socket.SO_RCVBUF else "wmem_max"
        log.warning(
            "the kernel gives a socket buffer of %d octets instead of %d; "
            "raise net.core.%s, or packets to many listeners will be dropped",
            got, size, name,
        )  # fmt: skip


def _bind_failure(host: str, port: int, error: OSError) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"media.listen: UDP port {where} is in use; stop the other program or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"media.listen: {host} is not an address of this machine"
    if error.errno == errno.EACCES:
        return f"media.listen: no permission to bind {where}; choose a port above 1023"
    return f"media.listen: cannot bind {where}: {error.strerror}"
