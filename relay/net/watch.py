"""The sockets of the media plane, and the wait for what comes by them (see `watch_kernel`)."""

from __future__ import annotations

import contextlib
import os
import platform
import select
from typing import NamedTuple

import numpy as np

from loacodecs import srtp
from relay.net import native, watch_kernel
from relay.net.address_index import AddressIndex
from relay.net.fanout import FanoutEngine
from relay.net.forward import SourceTable
from relay.net.port import UdpPort
from relay.net.receive import BATCH, BatchReceiver
from relay.net.upkeep import Upkeep

LOOK_INTERVAL_S = 0.05
"""Control ports are looked at this often. Each look finds the processor's caches cold, so that many datagrams at one
look cost little more than one."""

_EVENT_WORDS = 3 if platform.machine() == "x86_64" else 4
"""struct epoll_event in 32-bit words: packed on x86-64 alone; the descriptor is the last but one."""


class Batch(NamedTuple):
    """Datagrams that came by `port` at `now` and stand in the watch's receiver until the next wait; `fates` says of
    each what became of it (see `upkeep_kernel`)."""

    port: UdpPort
    fates: list[int]
    receiver: BatchReceiver
    now: float


class Watch:
    """Serves sockets for the sources of `sources`, the listeners of `upkeep` and the rows of `engine`.

    All but `wake` is for one thread. `close` gives the descriptors back, not the ports.
    """

    def __init__(self, engine: FanoutEngine, upkeep: Upkeep, sources: SourceTable) -> None:
        self.receiver = BatchReceiver()
        self._ports: list[UdpPort] = []
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._poller = select.epoll()
        self._poller.register(self._wake, select.EPOLLIN)
        self._lines = np.zeros((0, 5), np.int64)
        self._state = np.array([self._poller.fileno(), self._wake, 0, _EVENT_WORDS, 0, 0, 0], np.int64)
        self._clock = np.array([0.0, 0.0, LOOK_INTERVAL_S, -1.0, 0.0])
        self._fates = np.zeros(BATCH, np.uint8)
        self._closed_overflows = 0
        addresses = [native.RECVMMSG, native.EPOLL_WAIT, native.CLOCK_GETTIME, srtp.UNPROTECT_ADDRESS]
        self._arguments = (
            self._state, self._clock, np.zeros(4 * watch_kernel.EVENTS, np.int32), self.receiver.stores,
            self._fates, upkeep.arguments, sources.stores, sources.ledger, engine.arguments,
            (np.zeros(1, np.int32), np.zeros(2, np.int64)), np.array(addresses, np.int64),
        )  # fmt: skip

    def warm_up(self) -> None:
        """Compile or load what is compiled, before anything is on air."""
        AddressIndex(1).link(0, bytes(16))
        self.wait(0.0)

    @property
    def ports(self) -> list[UdpPort]:
        """The sockets served."""
        return list(self._ports)

    @property
    def datagrams(self) -> int:
        """Datagrams received."""
        return int(self._state[watch_kernel.DATAGRAMS])

    @property
    def overflows(self) -> int:
        """Datagrams the kernel dropped because a socket's buffer was full."""
        return self._closed_overflows + int(self._lines[:, watch_kernel.OVERFLOWS].sum())

    def add(self, port: UdpPort) -> None:
        """Serve `port` from now on: at once when something comes, one that carries control at each look."""
        self._ports.append(port)
        line = (port.fd, port.carries != "control", port.carries != "control", port.carries != "media", 0)
        self._lines = np.vstack([self._lines, np.array([line], np.int64)])
        if port.carries != "control":
            self._poller.register(port.fd, select.EPOLLIN)
        self._state[watch_kernel.PORTS] = len(self._ports)

    def remove(self, port: UdpPort) -> bool:
        """Serve `port` no more; whether it was served."""
        if port not in self._ports:
            return False
        at = self._ports.index(port)
        self._closed_overflows += int(self._lines[at, watch_kernel.OVERFLOWS])
        self._ports.pop(at)
        self._lines = np.delete(self._lines, at, axis=0)
        if port.carries != "control":
            self._poller.unregister(port.fd)
        self._state[watch_kernel.PORTS] = len(self._ports)
        self._state[watch_kernel.NEXT_LOOK] = 0
        return True

    def wait(self, until: float) -> Batch | None:
        """Serve until `until` (`time.monotonic`), or until Python is wanted before; returns datagrams that are left.

        Everything is looked at once when `until` is past. What was sent meanwhile stands in the ledger.
        """
        at, count, woken, now = watch_kernel.watch(until, self._lines, *self._arguments)
        if woken:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        if at < 0:
            return None
        return Batch(self._ports[at], self._fates[:count].tolist(), self.receiver, now)

    def wake(self) -> None:
        """Let the wait that goes on, or the next, end at once; from any thread."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._wake, 1)

    def set_clock(self, now: float, unix: float) -> None:
        """Let it be `now` (monotonic) and `unix` until told otherwise: time driven by hand, for tests."""
        self._clock[watch_kernel.HAND] = now
        self._clock[watch_kernel.HAND_ARRIVAL] = unix

    def close(self) -> None:
        """Close the poller and the wake descriptor."""
        self._poller.close()
        os.close(self._wake)
