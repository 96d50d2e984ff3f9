"""The receivers' compiled loop: recvmmsg, RTP header, accounts. What it counts is told in `bench.receivers`.

State is a struct of arrays with one row per receiver, written by the loop alone except for the columns by
which Python steers it (`mode`, `channel`, `cohort`, the base of the mapping). `run` returns when
`control[STOP]` is set.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.compiled import (
    CLOCK_MONOTONIC,
    NANOSECONDS,
    clock,
    compiled,
    fence,
    recvmmsg,
    sleep_until,
    write,
)
from bench.floor import FIRST_BYTE
from bench.histogram import bin_of
from bench.sendlog import DEPTH, WINDOWS, SendLog
from bench.socket_names import NAME_BYTES_MAX

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

COHORTS = 2
BATCH = 16
DATAGRAM_BYTES = 2048
RING_SLOTS = 1 << 13
SLOT_BYTES = 1536
JOIN_PACKETS = 8

_MSG_DONTWAIT = 0x40
_SOL_SOCKET = 1
_SO_TIMESTAMPNS = 35
_SO_RXQ_OVFL = 40
_CMSG_BYTES = 64
_NAME_BYTES = 32
_SEEN_BITS = 63


class Mode(IntEnum):
    """What a receiver does with a datagram."""

    COUNT = 0  # only count it
    JOIN = 1  # hand everything to Python, at once; of RTP only the first packets and a few of the later ones
    MEASURE = 2  # account RTP, hand the rest to Python
    SAMPLE = 3  # account RTP and hand a copy of it to Python too


_COUNT, _JOIN, _MEASURE, _SAMPLE = (int(mode) for mode in Mode)

# Cells of `control`
STOP, ACTIVE, TICK_NS, DRAIN_TICKS, SAMPLES_PER_PACKET, WAKE, UNMAPPED, RING_FULL, SWEEPS = range(9)
CONTROL_CELLS = 9


class Table(NamedTuple):
    """One row per receiver."""

    descriptor: npt.NDArray[np.int32]
    mode: npt.NDArray[np.int8]
    channel: npt.NDArray[np.int32]
    cohort: npt.NDArray[np.int32]
    base_timestamp: Ints
    base_counter: Ints
    counted: Ints  # datagrams in mode COUNT, and those of the floor in any mode
    packets: Ints  # RTP packets, all
    octets: Ints  # bytes of all RTP packets
    first_arrival: Ints
    last_arrival: Ints
    last_sent: Ints
    last_counter: Ints
    seen: Ints  # bit k: counter last_counter - k arrived
    duplicates: Ints
    overflowed: Ints  # SO_RXQ_OVFL, cumulative
    highest_sequence: Ints  # extended, RFC 3550 A.1
    first_sequence: Ints
    jitter: npt.NDArray[np.float64]  # RFC 3550 A.8, nanoseconds
    got: Ints  # (rows, WINDOWS) distinct packets of a window

    @classmethod
    def of(cls, rows: int) -> Table:
        """Empty rows."""
        columns: dict[str, Any] = {name: np.zeros(rows, np.int64) for name in cls._fields}
        columns.update(
            descriptor=np.zeros(rows, np.int32),
            mode=np.zeros(rows, np.int8),
            channel=np.zeros(rows, np.int32),
            cohort=np.zeros(rows, np.int32),
            jitter=np.zeros(rows, np.float64),
            got=np.zeros((rows, WINDOWS), np.int64),
        )
        return cls(**columns)


class Distributions(NamedTuple):
    """(COHORTS, WINDOWS, BINS) counts and (COHORTS, WINDOWS) maxima, nanoseconds."""

    latency: Ints
    latency_max: Ints
    jitter: Ints
    jitter_max: Ints


class Ring(NamedTuple):
    """Datagrams for Python. head[0] slots were filled, head[1] were taken."""

    head: Ints
    row: Ints
    arrival: Ints
    length: Ints
    address: npt.NDArray[np.uint8]  # (slots, NAME_BYTES_MAX): as in sockaddr_in or sockaddr_in6
    data: Bytes  # (slots, SLOT_BYTES)


class Inbox(NamedTuple):
    """Buffers that recvmmsg fills, kept alive here because the kernel is given their addresses."""

    headers: Ints  # (BATCH, 8) struct mmsghdr
    vectors: Ints  # (BATCH, 2) struct iovec
    names: Bytes
    controls: Ints  # (BATCH, 8)
    data: Bytes  # (BATCH, DATAGRAM_BYTES)

    @classmethod
    def new(cls) -> Inbox:
        """Buffers whose headers point at them."""
        inbox = cls(
            np.zeros((BATCH, 8), np.int64),
            np.zeros((BATCH, 2), np.int64),
            np.zeros((BATCH, _NAME_BYTES), np.uint8),
            np.zeros((BATCH, _CMSG_BYTES // 8), np.int64),
            np.zeros((BATCH, DATAGRAM_BYTES), np.uint8),
        )
        for slot in range(BATCH):
            inbox.vectors[slot] = inbox.data[slot].ctypes.data, DATAGRAM_BYTES
            inbox.headers[slot] = (
                inbox.names[slot].ctypes.data,
                _NAME_BYTES,
                inbox.vectors[slot].ctypes.data,
                1,
                inbox.controls[slot].ctypes.data,
                _CMSG_BYTES,
                0,
                0,
            )
        return inbox


@compiled
def _signed32(value: int) -> int:
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@compiled
def _read_control(message: Ints, length: int) -> tuple[int, int]:
    """(arrival in CLOCK_REALTIME ns or 0, SO_RXQ_OVFL count or -1) of the control messages in `message`."""
    arrival = 0
    overflowed = -1
    word = 0
    while (word + 2) * 8 <= length:
        size = message[word]
        kind = message[word + 1] >> 32
        if size < 16 or (message[word + 1] & 0xFFFFFFFF) != _SOL_SOCKET:
            break
        if kind == _SO_TIMESTAMPNS:
            arrival = message[word + 2] * NANOSECONDS + message[word + 3]
        elif kind == _SO_RXQ_OVFL:
            overflowed = message[word + 2] & 0xFFFFFFFF
        word += (size + 7) // 8
    return arrival, overflowed


@compiled
def _note_sequence(table: Table, row: int, sequence: int, arrival: int, transit: int) -> None:
    """What a receiver report needs: extended sequence number and interarrival jitter (RFC 3550 A.1, A.8)."""
    table.packets[row] += 1
    if table.packets[row] == 1:
        table.first_arrival[row] = arrival
        table.first_sequence[row] = sequence
        table.highest_sequence[row] = sequence
    else:
        highest = table.highest_sequence[row]
        delta = ((sequence - highest + 0x8000) & 0xFFFF) - 0x8000
        if delta > 0:
            table.highest_sequence[row] = highest + delta
    table.jitter[row] += (abs(transit) - table.jitter[row]) / 16.0


@compiled
def _account(
    table: Table, log: SendLog, found: Distributions, control: Ints, row: int, timestamp: int, arrival: int
) -> int:
    """Count one packet of a mapped session; returns |Δarrival - Δsend| to the previous one, or 0."""
    channel = table.channel[row]
    # from the newest packet on, not from the first: the difference of two timestamps is good for 12 hours
    last = table.last_counter[row]
    expected = table.base_timestamp[row] + (last - table.base_counter[row]) * control[SAMPLES_PER_PACKET]
    counter = last + _signed32(timestamp - expected) // control[SAMPLES_PER_PACKET]
    published = log.published[channel]
    if counter < 0 or counter >= published or counter < published - DEPTH:
        control[UNMAPPED] += 1
        return 0
    sent = log.sent_at[channel, counter % DEPTH]
    step = counter - table.last_counter[row]
    deviation = -1
    if step > 0:
        table.seen[row] = ((table.seen[row] << step) | 1) if step < _SEEN_BITS else 1
        if table.last_sent[row] > 0:
            deviation = abs((arrival - table.last_arrival[row]) - (sent - table.last_sent[row]))
        table.last_counter[row] = counter
        table.last_arrival[row] = arrival
        table.last_sent[row] = sent
    elif step <= -_SEEN_BITS or (table.seen[row] >> -step) & 1:
        table.duplicates[row] += 1
        return 0
    else:
        table.seen[row] |= 1 << -step
    latency = arrival - sent
    cohort = table.cohort[row]
    for window in range(WINDOWS):
        if log.windows[window, 0] <= sent < log.windows[window, 1]:
            table.got[row, window] += 1
            found.latency[cohort, window, bin_of(latency)] += 1
            if latency > found.latency_max[cohort, window]:
                found.latency_max[cohort, window] = latency
            if deviation >= 0:
                found.jitter[cohort, window, bin_of(deviation)] += 1
                if deviation > found.jitter_max[cohort, window]:
                    found.jitter_max[cohort, window] = deviation
    return max(deviation, 0)


@compiled
def _hand_over(
    ring: Ring, inbox: Inbox, control: Ints, slot: int, row: int, arrival: int, length: int
) -> int:
    """Copy one datagram into the ring; returns 1 if it fitted."""
    filled = ring.head[0]
    if filled - ring.head[1] >= RING_SLOTS or length > SLOT_BYTES:
        control[RING_FULL] += 1
        return 0
    place = filled % RING_SLOTS
    ring.row[place] = row
    ring.arrival[place] = arrival
    ring.length[place] = length
    for position in range(NAME_BYTES_MAX):
        ring.address[place, position] = inbox.names[slot, position]
    for position in range(length):
        ring.data[place, position] = inbox.data[slot, position]
    fence()
    ring.head[0] = filled + 1
    return 1


@compiled
def _take(
    table: Table,
    log: SendLog,
    found: Distributions,
    ring: Ring,
    inbox: Inbox,
    control: Ints,
    row: int,
    slot: int,
) -> int:
    """Judge one received datagram; returns 1 if Python was given something."""
    length = inbox.headers[slot, 7] & 0xFFFFFFFF
    arrival, overflowed = _read_control(inbox.controls[slot], inbox.headers[slot, 5])
    if overflowed > table.overflowed[row]:
        table.overflowed[row] = overflowed
    mode = table.mode[row]
    data = inbox.data[slot]
    if mode == _COUNT or data[0] == FIRST_BYTE:
        table.counted[row] += 1
        return 0
    # RFC 7983 and RFC 5761 §4: 128..191 is RTP or RTCP, and RTCP's packet types are 192..223
    if length < 12 or data[0] >> 6 != 2 or 192 <= data[1] <= 223:
        return _hand_over(ring, inbox, control, slot, row, arrival, length)
    sequence = (np.int64(data[2]) << 8) | data[3]
    timestamp = np.int64(0)
    for position in range(4, 8):
        timestamp = (timestamp << 8) | data[position]
    deviation = 0
    if mode != _JOIN:
        deviation = _account(table, log, found, control, row, int(timestamp), arrival)
    table.octets[row] += length
    _note_sequence(table, row, sequence, arrival, deviation)
    # A joining session needs one packet opened; the others must not crowd handshakes out of the ring
    enough = table.packets[row] > JOIN_PACKETS and table.packets[row] % JOIN_PACKETS != 0
    if mode == _MEASURE or (mode == _JOIN and enough):
        return 0
    return _hand_over(ring, inbox, control, slot, row, arrival, length)


@compiled
def _visit(
    table: Table, log: SendLog, found: Distributions, ring: Ring, inbox: Inbox, control: Ints, row: int
) -> int:
    """Empty one socket; returns how many datagrams were handed to Python."""
    handed = 0
    while True:
        for slot in range(BATCH):
            inbox.headers[slot, 1] = _NAME_BYTES
            inbox.headers[slot, 5] = _CMSG_BYTES
        received = recvmmsg(table.descriptor[row], inbox.headers.ctypes.data, BATCH, _MSG_DONTWAIT, 0)
        for slot in range(received):
            handed += _take(table, log, found, ring, inbox, control, row, slot)
        if received < BATCH:
            return handed


@compiled
def run(table: Table, log: SendLog, found: Distributions, ring: Ring, inbox: Inbox, control: Ints) -> None:
    """Drain `control[ACTIVE]` receivers until `control[STOP]`, a slice of them each tick.

    Python is woken at once for sessions that join, for others only once in `control[DRAIN_TICKS]` ticks.
    """
    scratch = np.zeros(2, np.int64)
    one = np.ones(1, np.int64)
    cursor = 0
    waiting = 0
    ticks = 0
    next_tick = clock(CLOCK_MONOTONIC, scratch)
    while control[STOP] == 0:
        active = control[ACTIVE]
        urgent = 0
        for row in range(active):
            if table.mode[row] == _JOIN:
                urgent += _visit(table, log, found, ring, inbox, control, row)
        for _ in range((active + control[DRAIN_TICKS] - 1) // control[DRAIN_TICKS]):
            cursor += 1
            if cursor >= active:
                cursor = 0
                control[SWEEPS] += 1
            if table.mode[cursor] != _JOIN:
                waiting += _visit(table, log, found, ring, inbox, control, cursor)
        ticks += 1
        if urgent > 0 or (waiting > 0 and ticks >= control[DRAIN_TICKS]):
            write(control[WAKE], one.ctypes.data, 8)
            waiting = 0
            ticks = 0
        next_tick += control[TICK_NS]
        next_tick = max(next_tick, clock(CLOCK_MONOTONIC, scratch))
        sleep_until(next_tick, scratch)
