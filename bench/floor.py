"""What the kernel itself charges: bare `sendmmsg` of equal datagrams to the same receivers at the same pace.

A compiled loop sends what the relay would: one batch per channel and packet time, datagrams of the size the
relay's have, to the sockets of that channel's listeners, which the same receiver loop drains. No
encryption, no header, no bookkeeping. The cost is the CPU time of the sending thread alone
(CLOCK_THREAD_CPUTIME_ID around the sendmmsg calls), per datagram the kernel took.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.compiled import (
    CLOCK_MONOTONIC,
    CLOCK_THREAD_CPUTIME_ID,
    clock,
    compiled,
    sendmmsg,
    sleep_until,
)
from bench.socket_names import family_of, socket_name
from loacodecs.address import Address

SENDMMSG_LIMIT = 1024
FIRST_BYTE = 0xFF  # no protocol of RFC 7983: the receivers count these apart
SEND_BUFFER_BYTES = 4 << 20

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FloorRun:
    """One measurement of the floor."""

    us_per_packet: float
    sent: int
    refused: int


@compiled
def _send(
    descriptor: int, headers: Ints, first_of: Ints, phase: Ints, batches: int, interval: int, result: Ints
) -> None:
    """Send `batches` packets of every channel. first_of (channels + 1,) bounds each channel's rows of
    `headers`.

    result: CPU nanoseconds, datagrams taken by the kernel, datagrams refused.
    """
    scratch = np.zeros(2, np.int64)
    start = clock(CLOCK_MONOTONIC, scratch) + interval
    channels = first_of.size - 1
    for turn in range(batches * channels):
        channel = turn % channels
        sleep_until(start + (turn // channels) * interval + phase[channel], scratch)
        before = clock(CLOCK_THREAD_CPUTIME_ID, scratch)
        row = first_of[channel]
        while row < first_of[channel + 1]:
            count = min(SENDMMSG_LIMIT, first_of[channel + 1] - row)
            sent = sendmmsg(descriptor, headers[row].ctypes.data, count, 0)
            if sent <= 0:
                result[2] += 1
                sent = 1
            else:
                result[1] += sent
            row += sent
        result[0] += clock(CLOCK_THREAD_CPUTIME_ID, scratch) - before


class Floor:
    """The datagrams of one packet time, prepared once."""

    def __init__(
        self,
        addresses: Sequence[Sequence[Address]],
        *,
        size: int,
        frame_ms: int,
        phase_ns: Sequence[int],
    ) -> None:
        """Datagrams of `size` bytes for `addresses[channel]`, each channel's batch at its phase."""
        grouped = [address for channel in addresses for address in channel]
        self._family = family_of(grouped[0][0])
        self._payload = np.zeros(size, np.uint8)
        self._payload[0] = FIRST_BYTE
        self._vector = np.array([self._payload.ctypes.data, size], np.int64)
        self._names = np.array([list(socket_name(address)) for address in grouped], np.uint8)
        self._headers = np.zeros((len(grouped), 8), np.int64)
        for row in range(len(grouped)):
            name, vector = self._names[row], self._vector
            self._headers[row, :4] = name.ctypes.data, name.size, vector.ctypes.data, 1
        self._first_of = np.cumsum([0, *(len(channel) for channel in addresses)], dtype=np.int64)
        self._phase = np.array(phase_ns, np.int64)
        self._frame_ms = frame_ms

    def run(self, duration_s: float) -> FloorRun:
        """Send for `duration_s` seconds and return the cost. Blocks; lets go of the GIL."""
        result = np.zeros(3, np.int64)
        interval = self._frame_ms * 1_000_000
        batches = max(1, round(duration_s * 1000 / self._frame_ms))
        with socket.socket(self._family, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            descriptor = sender.fileno()
            for count in (0, batches):  # the first call only compiles
                _send(descriptor, self._headers, self._first_of, self._phase, count, interval, result)
        cpu, sent, refused = (int(value) for value in result)
        return FloorRun(cpu / 1000 / max(sent, 1), sent, refused)
