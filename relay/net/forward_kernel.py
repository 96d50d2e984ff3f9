"""The compiled way of an ordinary packet: opened, numbered, sealed for every row and sent, before anything is booked.

A source's slot is *armed* by Python with what the next packet must look like and with the channel's own numbers for
it. A packet that is exactly that goes out at once and stands in the *ledger*, opened, for Python to book later.
Anything else is left untouched and disarms the slot, so that what follows it is left, too, and Python sees them in
order (see docs/adr/007).

Arguments that the functions share:
    received   see `receive_kernel`
    sources    of `forward.SourceTable`: hash table, addresses, slots (the `SLOT` fields), moment a capture time is due
    ledger     of `forward.Ledger`: entries (the `ENTRY` fields), times (now, arrival, seconds of sending), opened
               packets, number of entries
    engine     `fanout.FanoutEngine.arguments`
    native     int64 addresses: recvmmsg, epoll_wait, clock_gettime, srtp_unprotect
"""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from relay.net.kernel import MAX_PAYLOAD, learn, run_batch, seal_and_send, shards_for
from relay.net.native import call_clock, call_seal, pointer
from relay.net.upkeep_kernel import (
    AUTH_FAIL,
    DONE,
    INDEX_OLD,
    LEFT,
    REPLAY_FAIL,
    REPLAY_OLD,
    get16,
    get32,
    hash_address,
)

(
    ARMED, FD, SESSION, SSRC, PAYLOAD_TYPE, TAG, NEXT, TIMESTAMP, SEQUENCE, TIMESTAMP_BASE, ROWS, GROUP, EPOCH,
    FORGED, REPLAYED, BROKEN,
) = range(16)  # fmt: skip
"""Fields of a slot: whether armed, socket and SRTP session, what the next packet has (SSRC, payload type, octets of
tag, 16-bit sequence), the timestamp before it, the channel's extended sequence for it and what its timestamp is off,
addresses of the group's rows and state, the state's epoch; then packets refused: forged, replayed, broken."""

COUNT, PROMPT, GROUP_EPOCH = range(3)
"""Fields of a group's state (`fanout.Group`)."""

(
    ENTRY_SLOT, ENTRY_SIZE, ENTRY_HEADER, ENTRY_SEQUENCE, ENTRY_TIMESTAMP, ENTRY_MARKER, SENT, DROPPED, FAILED,
) = range(9)  # fmt: skip
"""Fields of a ledger's entry."""

LEDGER_PACKET = 1536
MAX_SEALED = 1500
"""Octets of the longest SRTP packet opened here; libsrtp's Python side takes no longer one either."""

MAX_STEP = 48_000
"""A timestamp further on than a second is looked at by Python: it may be a restart."""

UNPROTECT = 3
_MONOTONIC = 1
_CLOCK = 2


@njit(nogil=True, cache=True)
def monotonic(timespec, native):
    """Seconds of CLOCK_MONOTONIC, as `time.monotonic` gives them; `timespec` is two int64 of scratch."""
    call_clock(native[_CLOCK], np.int32(_MONOTONIC), timespec.ctypes.data)
    return timespec[0] + timespec[1] * 1e-9


@njit(nogil=True, cache=True)
def find_source(sources, name, length, fd):
    """The slot of the source that sends from `name[:length]` to socket `fd`, or -1."""
    table, addresses, slots, _ = sources
    mask = len(table) - 1
    at = np.int64(hash_address(name, length) & np.uint64(mask))
    for _ in range(len(table)):
        slot = table[at]
        if slot == -1:
            return -1
        if slot >= 0 and slots[slot, FD] == fd:
            same = True
            for i in range(2, length):
                if addresses[slot, i] != name[i]:
                    same = False
                    break
            if same:
                return slot
        at = (at + 1) & mask
    return -1


@njit(nogil=True, cache=True)
def expected_header(data, size, state):
    """Length of the RTP header of `data[:size]` if it is just the packet the slot is armed for, else 0."""
    if size < 13 or size > MAX_SEALED or (data[0] & 0xEF) != 0x80 or (data[1] & 0x7F) != state[PAYLOAD_TYPE]:
        return 0
    if get16(data, 2) != state[NEXT] or get32(data, 8) != state[SSRC]:
        return 0
    if not 0 < ((get32(data, 4) - state[TIMESTAMP]) & 0xFFFFFFFF) <= MAX_STEP:
        return 0
    header = 12
    if data[0] & 0x10:
        if size < 16:
            return 0
        header = 16 + 4 * get16(data, 14)
    return header if 1 <= size - header - state[TAG] <= MAX_PAYLOAD else 0


@njit(nogil=True, cache=True)
def refuse(state, status):
    """Count a packet that libsrtp did not open."""
    if status == AUTH_FAIL:
        state[FORGED] += 1
    elif status in (REPLAY_FAIL, REPLAY_OLD, INDEX_OLD):
        state[REPLAYED] += 1
    else:
        state[BROKEN] += 1


@njit(nogil=True, cache=True)
def deliver(data, header, size, timestamp, shards, state, engine):
    """Seal the opened packet for the channel's rows, send it by `shards` threads; returns (sent, dropped, failed)."""
    columns, stores, payload, packet, work, native, job, results, rows, _ = engine
    group = carray(pointer(state[GROUP]), 3, np.int64)
    count = group[COUNT]
    if count == 0:
        return 0, 0, 0
    for i in range(size - header):
        payload[i] = data[header + i]
    packet[0] = size - header
    packet[1] = data[1] >> 7
    packet[2] = state[SEQUENCE]
    packet[3] = timestamp
    packet[4] = 0
    members = carray(pointer(state[ROWS]), count, np.int32)
    if shards == 1:
        return seal_and_send(members, 0, count, columns, stores, payload, packet, work, native)
    for i in range(count):
        rows[i] = members[i]
    job[0] = count
    return run_batch(shards, job, results, rows, columns, stores, payload, packet, work, native)


@njit(nogil=True, cache=True)
def forward_one(data, size, header, slot, state, now, arrival, ledger, engine, scratch, native):
    """Open, send and enter one packet; returns whether it was authentic."""
    entries, times, packets, used = ledger
    length, timespec = scratch
    length[0] = size
    status = call_seal(native[UNPROTECT], state[SESSION], data.ctypes.data, length.ctypes.data)
    if status != 0:
        refuse(state, status)
        return False
    size = np.int64(length[0])
    source_timestamp = get32(data, 4)
    timestamp = (source_timestamp + state[TIMESTAMP_BASE]) & 0xFFFFFFFF
    group, pool = carray(pointer(state[GROUP]), 3, np.int64), engine[-1]
    shards = shards_for(group[COUNT], pool)
    began = monotonic(timespec, native)
    sent, dropped, failed = deliver(data, header, size, timestamp, shards, state, engine)
    seconds = monotonic(timespec, native) - began
    learn(group[COUNT], shards, seconds, pool)
    at = used[0]
    times[at, 0] = now
    times[at, 1] = arrival
    times[at, 2] = seconds
    entry = entries[at]
    entry[ENTRY_SLOT] = slot
    entry[ENTRY_SIZE] = size
    entry[ENTRY_HEADER] = header
    entry[ENTRY_SEQUENCE] = state[SEQUENCE]
    entry[ENTRY_TIMESTAMP] = timestamp
    entry[ENTRY_MARKER] = data[1] >> 7
    entry[SENT] = sent
    entry[DROPPED] = dropped
    entry[FAILED] = failed
    for i in range(size):
        packets[at, i] = data[i]
    used[0] = at + 1
    state[NEXT] = (state[NEXT] + 1) & 0xFFFF
    state[TIMESTAMP] = source_timestamp
    state[SEQUENCE] += 1
    return True


@njit(nogil=True, cache=True)
def forward(count, fd, received, fates, now, sources, ledger, engine, scratch, native):
    """Forward what is ordinary of a batch from socket `fd`; returns (datagrams left, entries that cannot wait).

    Only what `fates` has as LEFT is looked at. The ledger must have room for the batch.
    """
    data, sizes, names, name_lengths, arrivals = received[:5]
    slots, due = sources[2:]
    left = prompt = 0
    for i in range(count):
        if fates[i] == DONE:
            continue
        left += 1
        if fates[i] != LEFT or (data[i, 0] & 0xC0) != 0x80 or sizes[i] < 13 or 192 <= data[i, 1] <= 223:
            continue
        slot = find_source(sources, names[i], name_lengths[i], fd)
        if slot < 0 or slots[slot, ARMED] == 0:
            continue
        state = slots[slot]
        group = carray(pointer(state[GROUP]), 3, np.int64)
        header = expected_header(data[i], sizes[i], state)
        if header == 0 or group[GROUP_EPOCH] != state[EPOCH] or now >= due[slot] or arrivals[i] <= 0.0:
            state[ARMED] = 0
            continue
        left -= 1
        fates[i] = DONE
        done = forward_one(
            data[i], sizes[i], header, slot, state, now, arrivals[i], ledger, engine, scratch, native
        )
        if done and group[PROMPT]:
            prompt += 1
    return left, prompt
