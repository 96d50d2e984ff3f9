"""The media thread's wait, compiled: what comes while nothing needs Python is served here, without the GIL.

Media is forwarded the moment it comes (`forward_kernel`); the other queue is looked at from time to time and served
too (`upkeep_kernel`). The loop returns only when Python is wanted: at a given moment, for a datagram that was left,
when the wake descriptor says so, or when the ledger fills.

Arguments:
    ports      int64, one line for each socket: descriptor, whether it is polled, whether it may hold media, whether
               control, datagrams dropped by the kernel
    state      int64: epoll's descriptor, wake descriptor, number of ports, words of an epoll_event, datagrams
               received, port to look at next, whether media has kept the control ports waiting
    clock      float64: now, next look at the control ports, seconds between two looks, and a clock that tests drive
               by hand (monotonic, negative: none; unix)
    events     int32 scratch for epoll
    upkeep     of `upkeep.Upkeep.arguments`
The rest see `forward_kernel`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from relay.net.forward_kernel import forward, monotonic
from relay.net.native import call_epoll_wait
from relay.net.receive_kernel import BATCH, receive
from relay.net.upkeep_kernel import LEFT, serve

PORT_FD, POLLED, MEDIA, CONTROL, OVERFLOWS = range(5)
EPOLL, WAKE, PORTS, EVENT_WORDS, DATAGRAMS, NEXT_LOOK, OWED = range(7)
NOW, LOOK, LOOK_INTERVAL, HAND, HAND_ARRIVAL = range(5)

EVENTS = 16
"""Sockets told of by one epoll_wait; the others are told of by the next."""

BATCHES_A_LOOK = 8
"""Batches read from one control port before media has its turn."""

_EPOLL_WAIT = 1


@njit(nogil=True, cache=True)
def read_clock(clock, scratch, native):
    """Set `clock[NOW]` and return it."""
    clock[NOW] = clock[HAND] if clock[HAND] >= 0 else monotonic(scratch[1], native)
    return clock[NOW]


@njit(nogil=True, cache=True)
def read_port(at, ports, state, clock, received, fates, upkeep, sources, ledger, engine, scratch, native):
    """Receive and serve one batch of port number `at`; returns (datagrams, left, entries that cannot wait)."""
    count = receive(ports[at, PORT_FD], received, native)
    if count == 0:
        return 0, 0, 0
    data, sizes, names, name_lengths, arrivals = received[:5]
    overflows = received[7]
    now = read_clock(clock, scratch, native)
    state[DATAGRAMS] += count
    if overflows[0]:
        ports[at, OVERFLOWS] = overflows[0]
        overflows[0] = 0
    if clock[HAND] >= 0:
        arrivals[:count] = clock[HAND_ARRIVAL]
    fates[:count] = LEFT
    stores, work, upkeep_native, counts = upkeep
    fd = ports[at, PORT_FD]
    if ports[at, CONTROL] and upkeep_native[0]:
        checks, reports, failed, replayed = serve(
            count, fd, data, sizes, names, name_lengths, fates, now, stores, work, upkeep_native
        )
        counts[0] += checks
        counts[1] += reports
        counts[2] += failed
        counts[3] += replayed
    if ports[at, MEDIA]:
        left, prompt = forward(count, fd, received, fates, now, sources, ledger, engine, scratch, native)
        return count, left, prompt
    left = 0
    for i in range(count):
        left += fates[i] == LEFT or fates[i] == 2
    return count, left, 0


@njit(nogil=True, cache=True)
def find_port(fd, ports, state):
    """The number of the port whose descriptor is `fd`, or -1."""
    for at in range(state[PORTS]):
        if ports[at, PORT_FD] == fd:
            return at
    return -1


@njit(nogil=True, cache=True)
def wait(until, clock, events, state, scratch, native):
    """Wait for a polled socket until `until` or the next look, whichever is first; returns how many events."""
    now = read_clock(clock, scratch, native)
    timeout = min(until, clock[LOOK]) - now
    milliseconds = 0 if timeout <= 0 else np.int64(np.ceil(timeout * 1e3))
    return call_epoll_wait(
        native[_EPOLL_WAIT],
        np.int32(state[EPOLL]),
        events.ctypes.data,
        np.int32(EVENTS),
        np.int32(min(milliseconds, 60_000)),
    )


@njit(nogil=True, cache=True)
def look(ports, state, clock, received, fates, upkeep, sources, ledger, engine, scratch, native):
    """Serve what waits in the control ports; returns (port, datagrams) of the first batch that has some left."""
    first = state[NEXT_LOOK]
    for i in range(state[PORTS]):
        at = (first + i) % state[PORTS]
        for _ in range(0 if ports[at, POLLED] else BATCHES_A_LOOK):
            count, left, _ = read_port(
                at, ports, state, clock, received, fates, upkeep, sources, ledger, engine, scratch, native
            )
            if left:
                state[NEXT_LOOK] = (at + 1) % state[PORTS]
                return at, count
            if count < BATCH:
                break
    return -1, 0


@njit(nogil=True, cache=True)
def watch(
    until, ports, state, clock, events, received, fates, upkeep, sources, ledger, engine, scratch, native
):
    """Serve until Python is wanted; returns (port, datagrams, woken, now): datagrams of `port`, some left, or -1.

    With `until` in the past everything is looked at once.
    """
    entries, used = ledger[0], ledger[3]
    woken = False
    if state[
        OWED
    ]:  # a flood of what media ports are left with must not keep the control ports waiting for ever
        state[OWED] = 0
        at, got = look(ports, state, clock, received, fates, upkeep, sources, ledger, engine, scratch, native)
        if at >= 0:
            return at, got, woken, clock[NOW]
    while True:
        count = wait(until, clock, events, state, scratch, native)
        urgent = 0
        for event in range(count):
            fd = events[event * state[EVENT_WORDS] + state[EVENT_WORDS] - 2]
            if fd == state[WAKE]:
                woken = True
                continue
            at = find_port(fd, ports, state)
            if at < 0 or used[0] + BATCH > len(entries):
                continue
            got, left, prompt = read_port(
                at, ports, state, clock, received, fates, upkeep, sources, ledger, engine, scratch, native
            )
            if left:
                state[OWED] = clock[NOW] >= clock[LOOK]
                return at, got, woken, clock[NOW]
            urgent += prompt
        now = read_clock(clock, scratch, native)
        if woken and now < until:  # what was asked for is decided on what the next wait looks at
            return -1, 0, woken, now
        if now >= until or now >= clock[LOOK]:
            at, got = look(
                ports, state, clock, received, fates, upkeep, sources, ledger, engine, scratch, native
            )
            if at >= 0:
                return at, got, woken, clock[NOW]
            clock[LOOK] = now + clock[LOOK_INTERVAL]
        if now >= until or urgent or used[0] + BATCH > len(entries):
            return -1, 0, woken, clock[NOW]
