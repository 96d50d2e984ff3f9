"""What the kernel itself charges: bare `sendmmsg` of equal datagrams to the same receivers at the same pace.

A compiled loop sends what the relay would: one batch per channel and packet time, datagrams of the size the
relay's have, to the sockets of that channel's listeners, which the same receiver loop drains. No
encryption, no header, no bookkeeping. The cost is the CPU time of the sending thread alone
(CLOCK_THREAD_CPUTIME_ID around the sendmmsg calls), per datagram the kernel took.
"""

from __future__ import annotations

import socket
import threading
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

SENDMMSG_LIMIT = 1024
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


def measure(
    addresses: Sequence[Sequence[tuple[str, int]]],
    *,
    size: int,
    frame_ms: int,
    duration_s: float,
    phase_ns: Sequence[int],
) -> FloorRun:
    """Send datagrams of `size` bytes to `addresses[channel]` every `frame_ms` for `duration_s`.

    Blocks; the work is done in a thread of its own so that its CPU clock counts nothing else.
    """
    grouped = [address for channel in addresses for address in channel]
    payload = np.zeros(size, np.uint8)
    payload[0] = 0x80
    vector = np.array([payload.ctypes.data, size], np.int64)
    names = np.zeros((len(grouped), 16), np.uint8)
    headers = np.zeros((len(grouped), 8), np.int64)
    for row, (host, port) in enumerate(grouped):
        name = (
            socket.AF_INET.to_bytes(2, "little") + port.to_bytes(2, "big") + socket.inet_aton(host) + bytes(8)
        )
        names[row] = np.frombuffer(name, np.uint8)
        headers[row, :4] = names[row].ctypes.data, 16, vector.ctypes.data, 1
    first_of = np.cumsum([0, *(len(channel) for channel in addresses)], dtype=np.int64)
    interval = frame_ms * 1_000_000
    batches = max(1, round(duration_s * 1000 / frame_ms))
    phase = np.array(phase_ns, np.int64)
    result = np.zeros(3, np.int64)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        _send(sender.fileno(), headers, first_of, phase, 0, interval, result)  # compiles
        thread = threading.Thread(
            target=_send,
            args=(sender.fileno(), headers, first_of, phase, batches, interval, result),
            name="bench-floor",
        )
        thread.start()
        thread.join()
    cpu, sent, refused = (int(value) for value in result)
    return FloorRun(cpu / 1000 / max(sent, 1), sent, refused)
