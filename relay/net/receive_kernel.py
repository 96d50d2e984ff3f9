"""The compiled half of `receive`: one `recvmmsg`, and what its control messages say.

Arguments:
    received   of `receive.BatchReceiver`: data, sizes, names and their lengths, arrivals, message headers, control
               messages, and one int64 with the socket's count of dropped datagrams
    native     int64 addresses: recvmmsg
"""

from __future__ import annotations

import numpy as np
from numba import njit

from relay.net.native import call_recvmmsg

BATCH = 64
DATAGRAM = 2048
"""Octets kept of a datagram; a longer one is cut, fails its checks and is counted."""

SOCKADDR = 28
CONTROL = 128
"""Octets of control messages of a datagram: two are asked for, of 32 and 24."""

HEADER_WORDS = 8
# One mmsghdr of a 64-bit Linux as int64: name, its length, iov, its length, control, its length, flags, received.
_NAME, _NAMELEN, _IOV, _IOVLEN, _CONTROL, _CONTROLLEN, _LENGTH = 0, 1, 2, 3, 4, 5, 7

_MSG_DONTWAIT = 0x40
_SO_TIMESTAMPNS = 35
_SO_RXQ_OVFL = 40


@njit(nogil=True, cache=True)
def prepare_headers(headers, names, vectors, control):
    """Let each header point at its own name, vector and control messages; arguments are addresses of the first."""
    for i in range(BATCH):
        headers[i, _NAME] = names + i * SOCKADDR
        headers[i, _NAMELEN] = SOCKADDR
        headers[i, _IOV] = vectors + i * 16
        headers[i, _IOVLEN] = 1
        headers[i, _CONTROL] = control + i * CONTROL
        headers[i, _CONTROLLEN] = CONTROL


@njit(nogil=True, cache=True)
def _little(octets, at, count):
    """An unsigned number of `count` octets, least significant first."""
    value = np.int64(0)
    for i in range(count):
        value |= np.int64(octets[at + i]) << (8 * i)
    return value


@njit(nogil=True, cache=True)
def _read_control(control, length, overflows):
    """Walk control messages (cmsg(3)): returns the arrival in unix seconds, 0 if there is none."""
    arrival = 0.0
    at = 0
    while at + 16 <= length:
        size = _little(control, at, 8)
        if size < 16:
            break
        kind = _little(control, at + 12, 4)
        if kind == _SO_TIMESTAMPNS and at + 32 <= length:
            arrival = _little(control, at + 16, 8) + _little(control, at + 24, 8) * 1e-9
        elif kind == _SO_RXQ_OVFL and at + 20 <= length:
            overflows[0] = _little(control, at + 16, 4)
        at += (size + 7) & ~7
    return arrival


@njit(nogil=True, cache=True)
def receive(fd, received, native):
    """Fetch what waits at socket `fd`, at most `BATCH` datagrams; returns how many, 0 also after an error."""
    _, sizes, _, name_lengths, arrivals, headers, control, overflows = received
    count = call_recvmmsg(
        native[0], np.int32(fd), headers.ctypes.data, np.int32(BATCH), np.int32(_MSG_DONTWAIT)
    )
    if count < 0:
        count = np.int32(0)
    for i in range(count):
        sizes[i] = headers[i, _LENGTH] & 0xFFFFFFFF
        name_lengths[i] = headers[i, _NAMELEN] & 0xFFFFFFFF
        arrivals[i] = _read_control(control[i], headers[i, _CONTROLLEN], overflows)
        # The kernel wrote over both lengths; only what was used is mended, so that the rest stays out of the cache.
        headers[i, _NAMELEN] = SOCKADDR
        headers[i, _CONTROLLEN] = CONTROL
    return count
