"""Thousands of UDP receivers on one core: a compiled loop that drains their sockets and counts what arrived.

Arrival times are the kernel's (SO_TIMESTAMPNS, taken when the datagram is queued), so nothing is lost by
draining late: the loop sleeps, and visits each playing socket every DRAIN_PERIOD_S. That makes one system
call for several packets, and no packet has to wake a process up, which on a loopback device the *sender*
would pay for; a relay's real receivers do not charge it either. Sessions that are still joining are visited
every tick.

RTP headers are in the clear under SRTP (RFC 3711 §3.1), so sequence, loss, duplicates, latency and jitter
are counted without opening a packet. The relay rewrites sequence numbers and timestamps per listener; a
packet is known by its timestamp, once one packet of the session was opened and its payload told which one
it was: `counter = base_counter + (timestamp - base_timestamp) / samples per packet`.

- latency: the receiver kernel's arrival time minus the wall clock just before the publisher's `sendto`.
  Loopback delivers to the relay's socket inside that `sendto`, so this is an upper bound of the time from the
  relay's kernel receive to the receiver's kernel receive.
- jitter: |Δarrival - Δsend| between consecutive packets of one receiver; the distribution over all of them.
- lost: packets sent in the window that a receiver did not get, whoever lost them; datagrams that overflowed
  the generator's own sockets (SO_RXQ_OVFL) are also counted apart and make a run invalid.

Everything that is not RTP (STUN, DTLS, RTCP), the RTP of sessions that are joining and of sampled sessions
is copied into a bounded ring for Python; a full ring drops and counts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bench.drain import (
    ACTIVE,
    COHORTS,
    CONTROL_CELLS,
    DRAIN_TICKS,
    RING_FULL,
    RING_SLOTS,
    SAMPLES_PER_PACKET,
    SLOT_BYTES,
    STOP,
    SWEEPS,
    TICK_NS,
    UNMAPPED,
    WAKE,
    Distributions,
    Inbox,
    Mode,
    Ring,
    Table,
    run,
)
from bench.errors import BenchError
from bench.histogram import BINS
from bench.sendlog import WINDOWS, SendLog
from bench.socket_names import NAME_BYTES_MAX, address_of, family_of
from loacodecs.address import Address

TICK_S = 0.002
DRAIN_PERIOD_S = 0.060
RECEIVE_BUFFER_BYTES = 212_992  # two hundred datagrams: seconds of one channel
NICENESS = 5
LOOPBACK = "127.0.0.1"
LOOPBACK_6 = "::1"

_SO_TIMESTAMPNS = 35
_SO_RXQ_OVFL = 40


class Arrival(NamedTuple):
    """A datagram handed over by the loop; `arrival_ns` is the kernel's CLOCK_REALTIME."""

    row: int
    arrival_ns: int
    data: bytes
    address: Address


class Receivers:
    """`rows` UDP sockets on one address and the thread that drains them."""

    def __init__(self, rows: int, log: SendLog, samples_per_packet: int, host: str = LOOPBACK) -> None:
        """Open the sockets. Raises BenchError when descriptors or ports run out."""
        self.table = Table.of(rows)
        self.log = log
        self.found = Distributions(
            np.zeros((COHORTS, WINDOWS, BINS), np.int64),
            np.zeros((COHORTS, WINDOWS), np.int64),
            np.zeros((COHORTS, WINDOWS, BINS), np.int64),
            np.zeros((COHORTS, WINDOWS), np.int64),
        )
        self._ring = Ring(
            np.zeros(2, np.int64),
            np.zeros(RING_SLOTS, np.int64),
            np.zeros(RING_SLOTS, np.int64),
            np.zeros(RING_SLOTS, np.int64),
            np.zeros((RING_SLOTS, NAME_BYTES_MAX), np.uint8),
            np.zeros((RING_SLOTS, SLOT_BYTES), np.uint8),
        )
        self._inbox = Inbox.new()
        self._host = host
        self._packets_before = self._overflowed_before = 0
        self._control = np.zeros(CONTROL_CELLS, np.int64)
        self._control[TICK_NS] = round(TICK_S * 1e9)
        self._control[DRAIN_TICKS] = round(DRAIN_PERIOD_S / TICK_S)
        self._control[SAMPLES_PER_PACKET] = samples_per_packet
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._control[WAKE] = self._wake
        self.sockets: list[socket.socket] = []
        try:
            for row in range(rows):
                self.sockets.append(_open(host))
                self.table.descriptor[row] = self.sockets[row].fileno()
        except OSError as error:
            self._close_descriptors()
            raise BenchError(
                f"opened {len(self.sockets)} of {rows} UDP sockets on {host}, then: {error.strerror}; {_mend(error)}"
            ) from error
        self._control[ACTIVE] = rows
        self._thread = threading.Thread(target=self._drain, name="bench-receivers", daemon=True)

    def start(self) -> None:
        """Begin to drain; compiles the loop first, so that no datagram waits for the compiler."""
        self._control[STOP] = 1
        self._run()
        self._control[STOP] = 0
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and close the sockets."""
        self._control[STOP] = 1
        if self._thread.is_alive():
            self._thread.join()
        self._close_descriptors()

    def fileno(self) -> int:
        """Readable while the loop has something for `take`."""
        return self._wake

    def port(self, row: int) -> int:
        """The UDP port of a receiver."""
        return int(self.sockets[row].getsockname()[1])

    def address(self, row: int) -> Address:
        """The address of a receiver."""
        host, port = self.sockets[row].getsockname()[:2]
        return str(host), int(port)

    def join(self, row: int, channel: int, cohort: int) -> None:
        """Hand everything this receiver gets to Python, until `measure`."""
        self.table.channel[row] = channel
        self.table.cohort[row] = cohort
        self.table.mode[row] = Mode.JOIN

    def measure(self, row: int, *, timestamp: int, counter: int, sample: bool) -> None:
        """Account this receiver's RTP, now that it is known that RTP `timestamp` carries packet `counter`."""
        self.table.base_timestamp[row] = timestamp
        self.table.base_counter[row] = counter
        self.table.last_counter[row] = counter - 1
        self.table.mode[row] = Mode.SAMPLE if sample else Mode.MEASURE

    def settle(self, row: int) -> None:
        """Visit this receiver at leisure from now on; for sessions that get no RTP, the publishers'."""
        self.table.mode[row] = Mode.MEASURE

    def retire(self, row: int) -> None:
        """Only count what still arrives."""
        self.table.mode[row] = Mode.COUNT

    def renew(self, row: int) -> None:
        """A new port and empty accounts for a receiver that only counts, before its next session.

        The server may go on sending to the last session. What belongs to the run and not to the session stays: the
        windows, and the sums of packets and of overflowed datagrams. Raises OSError when there is no port left.
        """
        table = self.table
        with _open(self._host) as fresh:
            # the loop may be reading this descriptor just now: the number stays, the socket behind it changes
            os.dup2(fresh.fileno(), self.sockets[row].fileno(), inheritable=False)
        self._packets_before += int(table.packets[row])
        self._overflowed_before += int(table.overflowed[row])
        for column in (
            *(table.base_timestamp, table.base_counter, table.packets, table.octets, table.first_arrival),
            *(table.last_arrival, table.last_sent, table.last_counter, table.seen),
            *(table.highest_sequence, table.first_sequence, table.jitter, table.overflowed),
        ):
            column[row] = 0

    @property
    def packets(self) -> int:
        """RTP packets that all receivers together have got so far, those of renewed ones included."""
        return self._packets_before + int(self.table.packets.sum())

    def take(self) -> Iterator[Arrival]:
        """The datagrams handed over since the last call, oldest first."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        ring = self._ring
        while ring.head[1] < ring.head[0]:
            place = int(ring.head[1]) % RING_SLOTS
            arrival = Arrival(
                int(ring.row[place]),
                int(ring.arrival[place]),
                ring.data[place, : ring.length[place]].tobytes(),
                address_of(ring.address[place].tobytes()),
            )
            ring.head[1] += 1
            yield arrival

    @property
    def handed_over(self) -> int:
        """Datagrams for Python that fitted into the ring."""
        return int(self._ring.head[0])

    @property
    def overflowed(self) -> int:
        """Datagrams the kernel dropped because a socket of the generator was full."""
        return self._overflowed_before + int(self.table.overflowed.sum())

    @property
    def not_handed_over(self) -> int:
        """Datagrams for Python that found the ring full."""
        return int(self._control[RING_FULL])

    @property
    def unmapped(self) -> int:
        """RTP packets that matched nothing any publisher sent."""
        return int(self._control[UNMAPPED])

    @property
    def sweeps(self) -> int:
        """How often the loop has been around all sockets; all that arrived two sweeps ago is accounted."""
        return int(self._control[SWEEPS])

    def _drain(self) -> None:
        # The receivers of a real relay run on other machines: let the relay have the core first. Arrival
        # times are the kernel's, so a late visit changes no figure.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        self._run()

    def _run(self) -> None:
        run(self.table, self.log, self.found, self._ring, self._inbox, self._control)

    def _close_descriptors(self) -> None:
        for each in self.sockets:
            each.close()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1


def _mend(error: OSError) -> str:
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "this machine has no such address; for ::1 switch IPv6 on, or leave --ipv6 out"
    return "raise `ulimit -n` or widen net.ipv4.ip_local_port_range"


def _open(host: str) -> socket.socket:
    opened = socket.socket(family_of(host), socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        opened.setblocking(False)
        opened.bind((host, 0))
    except OSError:
        opened.close()
        raise
    return opened
