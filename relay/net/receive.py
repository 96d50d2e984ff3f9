"""Datagrams in batches, with the time the kernel received each.

One `recvmmsg` brings up to `BATCH` datagrams over one crossing into the kernel.
Times come from SO_TIMESTAMPNS, so a busy loop does not blur the arrival times that capture clocks and jitter
are made from.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np

from relay.net import native, receive_kernel
from relay.net.receive_kernel import BATCH, CONTROL, DATAGRAM, HEADER_WORDS, SOCKADDR

__all__ = ["BATCH", "DATAGRAM", "BatchReceiver", "prepare"]

_SO_TIMESTAMPNS = 35
_SO_RXQ_OVFL = 40


def prepare(sock: socket.socket) -> None:
    """Ask the kernel for arrival times and for the count of datagrams it had to drop."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)


class BatchReceiver:
    """Room for one batch of any socket that `prepare` was called on. Not shared between threads.

    The media thread has one for all its sockets, so that the memory is always in the processor's cache.
    """

    def __init__(self) -> None:
        self.data = np.zeros((BATCH, DATAGRAM), np.uint8)
        self.sizes = np.zeros(BATCH, np.int32)
        self.names = np.zeros((BATCH, SOCKADDR), np.uint8)
        self.name_lengths = np.zeros(BATCH, np.int32)
        self.arrivals = np.zeros(BATCH, np.float64)
        """Unix seconds; 0 where the kernel gave no time."""
        self._overflows = np.zeros(1, np.int64)
        self._control = np.zeros((BATCH, CONTROL), np.uint8)
        self._vectors = np.zeros((BATCH, 2), np.int64)
        self._headers = np.zeros((BATCH, HEADER_WORDS), np.int64)
        step = np.arange(BATCH, dtype=np.int64)
        self._vectors[:, 0] = self.data.ctypes.data + step * DATAGRAM
        self._vectors[:, 1] = DATAGRAM
        receive_kernel.prepare_headers(
            self._headers, self.names.ctypes.data, self._vectors.ctypes.data, self._control.ctypes.data
        )
        self._native = np.array([native.RECVMMSG], np.int64)
        self._data_view = self.data.data.cast("B")
        self._names_view = self.names.data.cast("B")
        self.stores = (
            self.data, self.sizes, self.names, self.name_lengths, self.arrivals, self._headers, self._control,
            self._overflows,
        )  # fmt: skip
        """What `receive_kernel.receive` takes as `received`."""

    @property
    def overflows(self) -> int:
        """Datagrams the kernel dropped because the buffer of the socket read last was full, as it told last."""
        return int(self._overflows[0])

    def receive(self, fd: int) -> int:
        """Fetch what is waiting, at most `BATCH` datagrams; returns how many, 0 also when the socket has an error.

        They stand in `data`, `sizes`, `names`, `name_lengths` and `arrivals` until the next call.
        """
        return int(receive_kernel.receive(fd, self.stores, self._native))

    def datagram(self, index: int) -> tuple[bytes, bytes, float]:
        """Number `index` of the batch: its bytes, its packed source address, its arrival in unix seconds."""
        at, name = index * DATAGRAM, index * SOCKADDR
        return (
            bytes(self._data_view[at : at + int(self.sizes[index])]),
            bytes(self._names_view[name : name + int(self.name_lengths[index])]),
            float(self.arrivals[index]),
        )

    def drain(self, fd: int) -> Iterator[tuple[bytes, bytes, float]]:
        """Yield the datagrams of one `receive`."""
        for index in range(self.receive(fd)):
            yield self.datagram(index)
