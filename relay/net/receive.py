"""Datagrams in batches, with the time the kernel received each.

One `recvmmsg` brings up to `BATCH` datagrams over one crossing into the kernel.
Times come from SO_TIMESTAMPNS, so a busy loop does not blur the arrival times that capture clocks and jitter
are made from.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator

import numpy as np

BATCH = 64
DATAGRAM = 2048
"""Octets kept of a datagram; a longer one is cut, fails its checks and is counted."""

_SOCKADDR = 28
_CONTROL = 128
_SO_TIMESTAMPNS = 35
_SO_RXQ_OVFL = 40
_MSG_DONTWAIT = 0x40

_CMSG = struct.Struct("=Qii")
_TIMESPEC = struct.Struct("=qq")
_COUNT = struct.Struct("=I")

# PyDLL keeps the GIL: the call never waits, and giving the GIL away would mean queueing for it again.
_LIBC = ctypes.PyDLL(None)
_LIBC.recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
_LIBC.recvmmsg.restype = ctypes.c_int

_HEADER = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "length"],
        "formats": ["u8", "u4", "u8", "u8", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)


def prepare(sock: socket.socket) -> None:
    """Ask the kernel for arrival times and for the count of datagrams it had to drop."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)


class BatchReceiver:
    """Reads a socket that `prepare` was called on. Not shared between threads."""

    def __init__(self) -> None:
        self.overflows = 0
        """Datagrams the kernel dropped because the socket's buffer was full (last count it told)."""
        self.data = np.zeros((BATCH, DATAGRAM), np.uint8)
        self.sizes = np.zeros(BATCH, np.int32)
        self.name_lengths = np.zeros(BATCH, np.int32)
        self.names = np.zeros((BATCH, _SOCKADDR), np.uint8)
        self._control = np.zeros((BATCH, _CONTROL), np.uint8)
        self._vectors = np.zeros((BATCH, 2), np.uint64)
        self._headers = np.zeros(BATCH, _HEADER)
        step = np.arange(BATCH, dtype=np.uint64)
        self._vectors[:, 0] = self.data.ctypes.data + step * DATAGRAM
        self._vectors[:, 1] = DATAGRAM
        self._headers["name"] = self.names.ctypes.data + step * _SOCKADDR
        self._headers["iov"] = self._vectors.ctypes.data + step * 16
        self._headers["iovlen"] = 1
        self._headers["control"] = self._control.ctypes.data + step * _CONTROL
        self._pointer = self._headers.ctypes.data
        self._headers["namelen"] = _SOCKADDR
        self._lengths = self._headers["length"]
        self._name_lengths = self._headers["namelen"]
        self._control_lengths = self._headers["controllen"]
        self._data_view = self.data.data.cast("B")
        self._names_view = self.names.data.cast("B")
        self._control_view = self._control.data.cast("B")

    def receive(self, fd: int) -> int:
        """Fetch what is waiting, at most `BATCH` datagrams; returns how many, 0 also when the socket has an error.

        They stand in `data`, `sizes`, `names` and `name_lengths` until the next call.
        """
        # The kernel writes over both lengths; every address of a socket is of one length, so that one may stay.
        self._control_lengths[:] = _CONTROL
        count: int = max(0, _LIBC.recvmmsg(fd, self._pointer, BATCH, _MSG_DONTWAIT, None))
        self.sizes[:count] = self._lengths[:count]
        self.name_lengths[:count] = self._name_lengths[:count]
        return count

    def datagram(self, index: int) -> tuple[bytes, bytes, float]:
        """Number `index` of the batch: its bytes, its packed source address, its arrival in unix seconds."""
        at, name = index * DATAGRAM, index * _SOCKADDR
        return (
            bytes(self._data_view[at : at + int(self.sizes[index])]),
            bytes(self._names_view[name : name + int(self.name_lengths[index])]),
            self._parse_control(index * _CONTROL, int(self._control_lengths[index])),
        )

    def drain(self, fd: int) -> Iterator[tuple[bytes, bytes, float]]:
        """Yield the datagrams of one `receive`."""
        for index in range(self.receive(fd)):
            yield self.datagram(index)

    def _parse_control(self, at: int, length: int) -> float:
        """Walk the control messages (cmsg(3)): arrival time in unix seconds, 0.0 if the kernel gave none."""
        view = self._control_view
        end = at + length
        arrival = 0.0
        while at + 16 <= end:
            size, _, kind = _CMSG.unpack_from(view, at)
            if size < 16:
                break
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack_from(view, at + 16)
                arrival = seconds + nanoseconds * 1e-9
            elif kind == _SO_RXQ_OVFL:
                (self.overflows,) = _COUNT.unpack_from(view, at + 16)
            at += (size + 7) & ~7
        return arrival
