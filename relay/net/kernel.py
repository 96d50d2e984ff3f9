"""The compiled loops: write the header, seal, send, for every row of a batch; no GIL, no Python object.

All tables are struct-of-arrays (see `fanout.FanoutTable`). A row's fields must not change while its SRTP
session lives, except its address: a retransmission recomputes the packet and has to give the very same
bytes, since the same AES-GCM nonce over other bytes would give the authentication key away (RFC 7714 §8.1,
RFC 3711 §9.1).

`tests/support/kernel_twin.py` says the same in plain Python; the tests hold the two together byte for byte.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from relay.net.native import call_io, call_seal, call_sendmmsg, last_errno

BATCH = 64
"""Messages per `sendmmsg`: small enough for scratch to stay in the cache and for the first to leave early."""

SCRATCH = 1536
"""Bytes of scratch per message: header 12, extension 16, payload up to 1,400, SRTP trailer 16 (SRTCP 20)."""

MAX_PAYLOAD = 1400
"""Octets of payload that always fit one datagram of an Ethernet path (RFC 8085 §3.2)."""

HEADER = 12
CAPTURE_EXTENSION = 16
"""Octets the abs-capture-time extension takes: profile and length 4, id and length 1, NTP 8, padding 3."""

EAGAIN = 11
_MSG_DONTWAIT = 0x40

# One mmsghdr of a 64-bit Linux as eight int64: name, namelen, iov, iovlen, control, controllen, flags,
# received.
MMSGHDR_WORDS = 8
_NAME, _NAMELEN, _IOV, _IOVLEN = 0, 1, 2, 3


@njit(nogil=True, cache=True, inline="always")
def _put32(buffer, at, value):
    buffer[at] = (value >> 24) & 0xFF
    buffer[at + 1] = (value >> 16) & 0xFF
    buffer[at + 2] = (value >> 8) & 0xFF
    buffer[at + 3] = value & 0xFF


@njit(nogil=True, cache=True)
def flush(scratch, queue, queued, fd, rows_queued, errors, native):
    """Send `queued` messages over `fd`; returns (sent, dropped).

    A message the kernel refuses is counted in `errors[row]` and skipped. When the socket buffer is full
    (EAGAIN) the rest of the batch is dropped: an old packet is worth less than the next one in time.
    """
    done = 0
    dropped = 0
    messages = queue.ctypes.data
    while done < queued:
        sent = call_sendmmsg(
            native[1], np.int32(fd), messages + done * MMSGHDR_WORDS * 8, np.int32(queued - done),
            np.int32(_MSG_DONTWAIT),
        )  # fmt: skip
        if sent > 0:
            done += sent
            continue
        full = last_errno(native[2]) == EAGAIN
        end = queued if full else done + 1
        for i in range(done, end):
            errors[rows_queued[i]] += 1
        dropped += end - done
        done = end
    return queued - dropped, dropped


@njit(nogil=True, cache=True)
def _enqueue(queue, vectors, scratch, slot, length, addresses, address_lengths, row):
    vectors[slot, 0] = scratch.ctypes.data + slot * SCRATCH
    vectors[slot, 1] = length
    queue[slot, _NAME] = addresses.ctypes.data + row * addresses.shape[1]
    queue[slot, _NAMELEN] = address_lengths[row]
    queue[slot, _IOV] = vectors.ctypes.data + slot * 16
    queue[slot, _IOVLEN] = 1


@njit(nogil=True, cache=True)
def write_packet(
    out, payload, length, marker, sequence, timestamp, capture, ssrc, payload_type, extension_id
):
    """Write one plain RTP packet (RFC 3550 §5.1) into `out`; returns its length.

    `capture` is the NTP capture time of the packet (Q32.32) or 0; it is sent as abs-capture-time to rows that
    negotiated an `extension_id`.
    """
    at = HEADER
    extended = capture != 0 and extension_id != 0
    out[0] = 0x90 if extended else 0x80
    out[1] = (payload_type & 0x7F) | (0x80 if marker else 0)
    out[2] = (sequence >> 8) & 0xFF
    out[3] = sequence & 0xFF
    _put32(out, 4, timestamp)
    _put32(out, 8, ssrc)
    if extended:
        _put32(out, 12, 0xBEDE0003)
        out[16] = (extension_id << 4) | 7
        _put32(out, 17, (capture >> 32) & 0xFFFFFFFF)
        _put32(out, 21, capture & 0xFFFFFFFF)
        out[25] = 0
        out[26] = 0
        out[27] = 0
        at += CAPTURE_EXTENSION
    for i in range(length):
        out[at + i] = payload[i]
    return at + length


@njit(nogil=True, cache=True)
def seal_and_send(
    rows, start, stop, table, addresses, payload, packet, scratch, queue, vectors, rows_queued, native
):
    """Seal `packet` for `rows[start:stop]` and send it; returns (sent, dropped, sealing failures).

    `packet` is int64: length, marker, sequence, timestamp, capture time (NTP). `table` is the tuple
    of columns in the order of `fanout.COLUMNS`. `native` holds the addresses of srtp_protect, sendmmsg,
    errno.
    """
    (sessions, _, fds, address_lengths, ssrcs, payload_types, sequence_offsets, timestamp_offsets,
    extension_ids,
     packets, octets, errors) = table  # fmt: skip
    lengths = np.empty(1, np.int32)
    sent = 0
    dropped = 0
    failed = 0
    queued = 0
    fd = -1
    for i in range(start, stop):
        row = rows[i]
        if queued == BATCH or (queued and fds[row] != fd):
            s, d = flush(scratch, queue, queued, fd, rows_queued, errors, native)
            sent += s
            dropped += d
            queued = 0
        fd = fds[row]
        out = scratch[queued]
        size = write_packet(
            out, payload, packet[0], packet[1], (packet[2] + sequence_offsets[row]) & 0xFFFF,
            (packet[3] + timestamp_offsets[row]) & 0xFFFFFFFF, packet[4], ssrcs[row], payload_types[row],
            extension_ids[row],
        )  # fmt: skip
        lengths[0] = size
        if (
            call_seal(native[0], sessions[row], scratch.ctypes.data + queued * SCRATCH, lengths.ctypes.data)
            != 0
        ):
            errors[row] += 1
            failed += 1
            continue
        _enqueue(queue, vectors, scratch, queued, lengths[0], addresses, address_lengths, row)
        rows_queued[queued] = row
        queued += 1
        packets[row] += 1
        octets[row] += packet[0]
    if queued:
        s, d = flush(scratch, queue, queued, fd, rows_queued, errors, native)
        sent += s
        dropped += d
    return sent, dropped, failed


@njit(nogil=True, cache=True)
def report_and_send(
    rows, start, stop, table, addresses, template, report, scratch, queue, vectors, rows_queued, native
):
    """Send a sender report and SDES, with BYE when asked, to `rows[start:stop]`; returns (sent, dropped,
    failed).

    RFC 3550 §6.4.1, §6.5, §6.6. `template` is the SDES (and BYE) with zeros where the row's SSRC goes;
    `report` is int64: NTP time, channel timestamp at that time, template length, offsets of the SSRCs in it
    (0: none).
    """
    (_, sessions, fds, address_lengths, ssrcs, _, _, timestamp_offsets, _, packets, octets, errors) = table
    lengths = np.empty(1, np.int32)
    sent = 0
    dropped = 0
    failed = 0
    queued = 0
    fd = -1
    for i in range(start, stop):
        row = rows[i]
        if queued == BATCH or (queued and fds[row] != fd):
            s, d = flush(scratch, queue, queued, fd, rows_queued, errors, native)
            sent += s
            dropped += d
            queued = 0
        fd = fds[row]
        out = scratch[queued]
        ssrc = ssrcs[row]
        _put32(out, 0, 0x80C80006)
        _put32(out, 4, ssrc)
        _put32(out, 8, (report[0] >> 32) & 0xFFFFFFFF)
        _put32(out, 12, report[0] & 0xFFFFFFFF)
        _put32(out, 16, (report[1] + timestamp_offsets[row]) & 0xFFFFFFFF)
        _put32(out, 20, packets[row] & 0xFFFFFFFF)
        _put32(out, 24, octets[row] & 0xFFFFFFFF)
        for j in range(report[2]):
            out[28 + j] = template[j]
        _put32(out, 28 + report[3], ssrc)
        if report[4]:
            _put32(out, 28 + report[4], ssrc)
        lengths[0] = 28 + report[2]
        if (
            call_seal(native[0], sessions[row], scratch.ctypes.data + queued * SCRATCH, lengths.ctypes.data)
            != 0
        ):
            errors[row] += 1
            failed += 1
            continue
        _enqueue(queue, vectors, scratch, queued, lengths[0], addresses, address_lengths, row)
        rows_queued[queued] = row
        queued += 1
    if queued:
        s, d = flush(scratch, queue, queued, fd, rows_queued, errors, native)
        sent += s
        dropped += d
    return sent, dropped, failed


@njit(nogil=True, cache=True)
def shard_bounds(count, shards, shard):
    """The half-open range of `count` rows that shard number `shard` of `shards` serves."""
    return count * shard // shards, count * (shard + 1) // shards


@njit(nogil=True, cache=True)
def run_shard(
    shard, job, results, rows, table, addresses, payload, packet, scratch, queue, vectors, rows_queued, native
):
    """The life of a shard's thread: wait on its eventfd, serve its range, say so; returns when `job[1]` is
    set.

    `job` is int64: rows in the batch, stop flag, number of shards, done eventfd, then the wake eventfds of
    shards 1, 2, …. It runs without the GIL from the first wait to the last, so Python work elsewhere never
    delays it.
    """
    word = np.zeros(1, np.uint64)
    while True:
        if call_io(native[3], np.int32(job[3 + shard]), word.ctypes.data, 8) != 8:
            continue
        if job[1]:
            return
        start, stop = shard_bounds(job[0], job[2], shard)
        s, d, f = seal_and_send(
            rows, start, stop, table, addresses, payload, packet, scratch, queue, vectors, rows_queued, native
        )
        results[shard, 0] = s
        results[shard, 1] = d
        results[shard, 2] = f
        word[0] = 1
        call_io(native[4], np.int32(job[3]), word.ctypes.data, 8)


@njit(nogil=True, cache=True)
def run_batch(
    shards,
    job,
    results,
    rows,
    table,
    addresses,
    payload,
    packet,
    scratch,
    queue,
    vectors,
    rows_queued,
    native,
):
    """Send one packet to `rows[:job[0]]` with `shards` threads, of which the caller is the first."""
    word = np.zeros(1, np.uint64)
    job[2] = shards
    for shard in range(1, shards):
        word[0] = 1
        call_io(native[4], np.int32(job[3 + shard]), word.ctypes.data, 8)
    start, stop = shard_bounds(job[0], shards, 0)
    sent, dropped, failed = seal_and_send(
        rows, start, stop, table, addresses, payload, packet, scratch, queue, vectors, rows_queued, native
    )
    waiting = shards - 1
    while waiting > 0:
        word[0] = 0
        call_io(native[3], np.int32(job[3]), word.ctypes.data, 8)
        waiting -= np.int64(word[0])
    for shard in range(1, shards):
        sent += results[shard, 0]
        dropped += results[shard, 1]
        failed += results[shard, 2]
    return sent, dropped, failed
