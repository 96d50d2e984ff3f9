"""The compiled half of `upkeep`: connectivity checks answered and receiver reports read, a batch at a time.

A thousand listeners send four hundred such datagrams a second, and an interpreter whose caches are cold needs a
tenth of a millisecond for each. Here they cost a few microseconds. Whatever is not exactly what a well-behaved,
connected listener sends is left to the Python code behind it, which decides alone who may join, move or leave.

Arguments that the functions share:
    stores   of `upkeep.UpkeepTable`: hash table, addresses, texts (user name and key) and their lengths, SSRCs
             (reported on, sent by), SRTCP session handles, time of the last authentic packet, newest report
             and how many came
    native   int64 addresses: HMAC, EVP_sha1(), srtp_unprotect_rtcp, sendmmsg, errno
"""

from __future__ import annotations

import numpy as np
from numba import njit

from relay.net.native import call_hmac, call_seal, call_sendmmsg
from relay.net.seal import put32

LEFT, DONE, OPENED = 0, 1, 2
"""What became of a datagram: left untouched, dealt with, or opened (it is plain RTCP now) and left."""

USERNAME, KEY = 0, 128
"""Where the user name and the key stand in a session's texts; each may be 128 octets long."""

TEXTS = 256
_COOKIE = 0x2112A442
_INTEGRITY, _NAME, _FINGERPRINT = 0x0008, 0x0006, 0x8028
_FINGERPRINT_XOR = 0x5354554E
_MAX_CHECK = 512
_EMPTY, _REMOVED = -1, -2

# From libsrtp's srtp_err_status_t.
AUTH_FAIL, REPLAY_FAIL, REPLAY_OLD, INDEX_OLD = 7, 9, 10, 26


@njit(nogil=True, cache=True)
def hash_address(name, length):
    """FNV-1a of a packed socket address's port and IP."""
    value = np.uint64(0xCBF29CE484222325)
    for i in range(2, length):
        value = (value ^ np.uint64(name[i])) * np.uint64(0x100000001B3)
    return value


@njit(nogil=True, cache=True)
def find(table, addresses, name, length):
    """The slot whose address is `name[:length]`, or -1."""
    mask = len(table) - 1
    at = np.int64(hash_address(name, length) & np.uint64(mask))
    for _ in range(len(table)):
        slot = table[at]
        if slot == _EMPTY:
            return -1
        if slot != _REMOVED:
            same = True
            for i in range(2, length):
                if addresses[slot, i] != name[i]:
                    same = False
                    break
            if same:
                return slot
        at = (at + 1) & mask
    return -1


@njit(nogil=True, cache=True, inline="always")
def get16(data, at):
    """Read 16 bits, most significant first."""
    return (np.int64(data[at]) << 8) | np.int64(data[at + 1])


@njit(nogil=True, cache=True, inline="always")
def get32(data, at):
    """Read 32 bits, most significant first."""
    return (get16(data, at) << 16) | get16(data, at + 2)


@njit(nogil=True, cache=True)
def crc32(data, size, table):
    """CRC-32 as FINGERPRINT has it (RFC 8489 §14.7)."""
    value = np.uint32(0xFFFFFFFF)
    for i in range(size):
        value = table[(value ^ data[i]) & 0xFF] ^ (value >> np.uint32(8))
    return np.int64(value ^ np.uint32(0xFFFFFFFF))


@njit(nogil=True, cache=True)
def _sign(message, size, text, key_length, digest, native):
    """HMAC-SHA1 over `message[:size]`, whose length field must already count MESSAGE-INTEGRITY as the last."""
    call_hmac(
        native[0],
        native[1],
        text.ctypes.data + KEY,
        np.int32(key_length),
        message.ctypes.data,
        size,
        digest.ctypes.data,
    )


@njit(nogil=True, cache=True)
def _verify(data, size, text, lengths, digest, scratch, crc_table, native):
    """Where MESSAGE-INTEGRITY of the check `data[:size]` stands, if all of it is right; else 0."""
    if size > _MAX_CHECK or size < 44 or data[0] != 0 or data[1] != 1:
        return 0
    if get32(data, 4) != _COOKIE or get16(data, 2) != size - 20:
        return 0
    named = False
    at = 20
    while at + 4 <= size:
        kind = get16(data, at)
        length = get16(data, at + 2)
        if kind == _INTEGRITY:
            break
        if kind == _NAME:
            named = length == lengths[0] and at + 4 + length <= size
            for i in range(length if named else 0):
                named = named and data[at + 4 + i] == text[USERNAME + i]
        at += 4 + ((length + 3) & ~3)
    if not named or at + 24 > size or get16(data, at + 2) != 20:
        return 0
    end = at + 24
    if end != size:
        if end + 8 != size or get16(data, end) != _FINGERPRINT or get16(data, end + 2) != 4:
            return 0
        if get32(data, end + 4) != crc32(data, end, crc_table) ^ _FINGERPRINT_XOR:
            return 0
    for i in range(at):
        scratch[i] = data[i]
    scratch[2] = ((at + 4) >> 8) & 0xFF
    scratch[3] = (at + 4) & 0xFF
    _sign(scratch, at, text, lengths[1], digest, native)
    different = 0
    for i in range(20):
        different |= digest[i] ^ data[at + 4 + i]
    return 0 if different else at


@njit(nogil=True, cache=True)
def _respond(out, data, name, name_length, text, lengths, digest, crc_table, native):
    """Write the success response to the check `data`, which came from `name`, into `out`; returns its size."""
    four = name_length == 16
    mapped = not four
    for i in range(12 if mapped else 0):
        mapped = mapped and name[8 + i] == (0xFF if i >= 10 else 0)
    ip = 4 if four else (20 if mapped else 8)
    count = 4 if four or mapped else 16
    out[0] = 1
    out[1] = 1
    for i in range(4, 20):
        out[i] = data[i]
    out[20] = 0
    out[21] = 0x20
    out[22] = 0
    out[23] = 4 + count
    out[24] = 0
    out[25] = 1 if count == 4 else 2
    out[26] = name[2] ^ data[4]
    out[27] = name[3] ^ data[5]
    for i in range(count):
        out[28 + i] = name[ip + i] ^ data[4 + i]  # the cookie, then the transaction id
    size = 28 + count
    out[2] = 0
    out[3] = size - 20 + 24
    _sign(out, size, text, lengths[1], digest, native)
    put32(out, size, 0x00080014)
    for i in range(20):
        out[size + 4 + i] = digest[i]
    size += 24
    out[3] = size - 20 + 8
    fingerprint = crc32(out, size, crc_table) ^ _FINGERPRINT_XOR
    put32(out, size, 0x80280004)
    put32(out, size + 4, fingerprint)
    return size + 8


@njit(nogil=True, cache=True)
def read_reports(data, size, ssrc, report):
    """Walk plain compound RTCP (RFC 3550 §6.1) for a report on `ssrc`.

    Returns DONE when it holds reports and descriptions only, OPENED when anything else wants a look. `report` is
    set to fraction lost, packets lost, jitter, LSR, DLSR of the block found.
    """
    at = 0
    while at + 4 <= size:
        if data[at] >> 6 != 2:
            return OPENED
        kind = data[at + 1]
        length = 4 * (get16(data, at + 2) + 1)
        if at + length > size or not 200 <= kind <= 202:
            return OPENED
        block = at + (28 if kind == 200 else 8)
        for _ in range(data[at] & 0x1F if kind != 202 else 0):
            if block + 24 > at + length:
                return OPENED
            if get32(data, block) == ssrc:
                report[0] = data[block + 4]
                lost = (get32(data, block + 4)) & 0xFFFFFF
                report[1] = lost - 0x1000000 if lost & 0x800000 else lost
                report[2] = get32(data, block + 12)
                report[3] = get32(data, block + 16)
                report[4] = get32(data, block + 20)
            block += 24
        at += length
    return DONE if at == size and size > 0 else OPENED


@njit(nogil=True, cache=True)
def serve(count, fd, data, sizes, names, name_lengths, fates, now, stores, work, native):
    """Deal with a batch of `count` datagrams that came in over `fd`; `fates[i]` tells what became of each.

    Answers leave in one `sendmmsg`; what the kernel does not take is lost, and the peer checks again. Returns
    (checks answered, reports read, reports that could not be opened, reports that had come before).
    """
    table, addresses, texts, lengths, ssrcs, sessions, heard, reports, reported = stores
    scratch, messages, vectors, digest, length, crc_table = work
    answers = checks = read = failed = replayed = 0
    for i in range(count):
        fates[i] = LEFT
        first = data[i, 0]
        if sizes[i] < 20 or not (first == 0 or 128 <= first <= 191):
            continue
        slot = find(table, addresses, names[i], name_lengths[i])
        if slot < 0:
            continue
        if first == 0:
            at = _verify(
                data[i], sizes[i], texts[slot], lengths[slot], digest, scratch[answers], crc_table, native
            )
            if at == 0:
                continue
            out = scratch[answers]
            size = _respond(
                out, data[i], names[i], name_lengths[i], texts[slot], lengths[slot], digest, crc_table, native
            )
            vectors[answers, 0] = out.ctypes.data
            vectors[answers, 1] = size
            messages[answers, 0] = names.ctypes.data + i * names.shape[1]
            messages[answers, 1] = name_lengths[i]
            messages[answers, 2] = vectors.ctypes.data + answers * 16
            messages[answers, 3] = 1
            answers += 1
            checks += 1
        elif sessions[slot] != 0 and 200 <= data[i, 1] <= 201 and get32(data[i], 4) == ssrcs[slot, 1]:
            length[0] = sizes[i]
            status = call_seal(native[2], sessions[slot], data[i].ctypes.data, length.ctypes.data)
            if status != 0:
                again = status in (REPLAY_FAIL, REPLAY_OLD, INDEX_OLD)
                replayed += again
                failed += not again
                fates[i] = DONE
                continue
            sizes[i] = length[0]
            fate = read_reports(data[i], sizes[i], ssrcs[slot, 0], reports[slot])
            reported[slot] += 1
            read += 1
            heard[slot] = now
            fates[i] = fate
            continue
        else:
            continue
        heard[slot] = now
        fates[i] = DONE
    if answers:
        call_sendmmsg(native[3], np.int32(fd), messages.ctypes.data, np.int32(answers), np.int32(0x40))
    return checks, read, failed, replayed
