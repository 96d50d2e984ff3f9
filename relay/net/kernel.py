"""The compiled loops: write the header, seal, send, for every row of a batch; no GIL, no Python object.

All tables are struct-of-arrays (see `fanout.FanoutTable`). A row's fields must not change while its SRTP session
lives, except its address, and its payload type where nothing from before is sent again: a retransmission recomputes
the packet and has to give the very same bytes, since the same AES-GCM nonce over other bytes would give the
authentication key away (RFC 7714 §8.1, RFC 3711 §9.1).

`tests/support/kernel_twin.py` says the same in plain Python; the tests hold the two together byte for byte.

Arguments that several kernels share:
    table    the tuple of columns in the order of `fanout.COLUMNS`
    stores   (socket addresses, secrets), a line of octets for each row
    work     what one thread owns: (scratch, messages, vectors, rows queued, nonce, length, context)
    pool     int64: the threads there are, and what a row is measured to cost (`THREADS`, `ROW_PS`)
    native   int64 addresses: srtp_protect, sendmmsg, errno, read, write, and the ciphers' five (see `seal`)
"""

from __future__ import annotations

import numpy as np
from numba import njit

from relay.net.native import call_io, call_seal, call_sendmmsg, last_errno
from relay.net.seal import put32, seal_aead, write_packet

BATCH = 64
"""Messages per `sendmmsg`: small enough for scratch to stay in the cache and for the first to leave early."""

SCRATCH = 1536
"""Bytes of scratch per message: header 12, extension 16, payload up to 1,400, SRTP trailer 16 (SRTCP 20)."""

MAX_PAYLOAD = 1400
"""Octets of payload that always fit one datagram of an Ethernet path (RFC 8085 §3.2)."""

SHARD_PS = 4_000_000_000
"""A shard should be worth this many picoseconds at the least, 4 ms. Two threads that send over one socket pass its
counters to and fro: that costs a tenth of the CPU and makes the sound less even, for 2 ms of a whole batch."""

FIRST_ROW_PS = 4_000_000
"""What a row is taken to cost before a batch was measured."""

THREADS, ROW_PS = range(2)
"""Fields of a pool: its threads, and what sealing and sending a row takes one of them, in picoseconds."""

LEARN_ROWS = 64
"""Smaller batches say more of how cold the processor's caches were than of a row."""

EAGAIN = 11
_MSG_DONTWAIT = 0x40

# One mmsghdr of a 64-bit Linux as eight int64: name, its length, iov, its length, control, its length, flags, received.
MMSGHDR_WORDS = 8
_NAME, _NAMELEN, _IOV, _IOVLEN = 0, 1, 2, 3


@njit(nogil=True, cache=True)
def flush(queue, queued, fd, rows_queued, errors, native):
    """Send `queued` messages over `fd`; returns (sent, dropped).

    A message the kernel refuses is counted in `errors[row]` and skipped. When the socket buffer is full (EAGAIN)
    the rest of the batch is dropped: an old packet is worth less than the next one in time.
    """
    done = 0
    dropped = 0
    messages = queue.ctypes.data
    while done < queued:
        at = messages + done * MMSGHDR_WORDS * 8
        sent = call_sendmmsg(native[1], np.int32(fd), at, np.int32(queued - done), np.int32(_MSG_DONTWAIT))
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
def seal_and_send(rows, start, stop, table, stores, payload, packet, work, native):
    """Seal `packet` for `rows[start:stop]` and send it; returns (sent, dropped, sealing failures).

    `packet` is int64: length, marker, extended sequence, timestamp, capture time (NTP).
    """
    (
        sessions,
        _,
        fds,
        address_lengths,
        ssrcs,
        payload_types,
        sequence_offsets,
        timestamp_offsets,
        extension_ids,
        packets,
        octets,
        errors,
    ) = table
    addresses, secrets = stores
    scratch, queue, vectors, rows_queued, nonce, length, context = work
    sent = dropped = failed = queued = 0
    fd = -1
    for i in range(start, stop):
        row = rows[i]
        if queued == BATCH or (queued and fds[row] != fd):
            s, d = flush(queue, queued, fd, rows_queued, errors, native)
            sent += s
            dropped += d
            queued = 0
        fd = fds[row]
        out = scratch[queued]
        index = packet[2] + sequence_offsets[row]
        timestamp = (packet[3] + timestamp_offsets[row]) & 0xFFFFFFFF
        header, size = write_packet(
            out,
            payload,
            packet[0],
            packet[1],
            index & 0xFFFF,
            timestamp,
            packet[4],
            ssrcs[row],
            payload_types[row],
            extension_ids[row],
        )
        if sessions[row] == 0:
            size = seal_aead(
                out, header, size, index, ssrcs[row], secrets[row], nonce, length, context[0], native
            )
        else:
            length[0] = size
            refused = call_seal(native[0], sessions[row], out.ctypes.data, length.ctypes.data)
            size = 0 if refused else length[0]
        if size == 0:
            errors[row] += 1
            failed += 1
            continue
        _enqueue(queue, vectors, scratch, queued, size, addresses, address_lengths, row)
        rows_queued[queued] = row
        queued += 1
        packets[row] += 1
        octets[row] += packet[0]
    if queued:
        s, d = flush(queue, queued, fd, rows_queued, errors, native)
        sent += s
        dropped += d
    return sent, dropped, failed


@njit(nogil=True, cache=True)
def report_and_send(rows, start, stop, table, stores, template, report, work, native):
    """Send a sender report and SDES, with BYE when asked, to `rows[start:stop]`; returns (sent, dropped, failed).

    RFC 3550 §6.4.1, §6.5, §6.6. `template` is the SDES (and BYE) with zeros where the row's SSRC goes; `report`
    is int64: NTP time, channel timestamp at that time, template length, offsets of the SSRCs in it (0: none).
    Here `native[0]` is srtp_protect_rtcp.
    """
    _, sessions, fds, address_lengths, ssrcs, _, _, timestamp_offsets, _, packets, octets, errors = table
    addresses, _ = stores
    scratch, queue, vectors, rows_queued, _, length, _ = work
    sent = dropped = failed = queued = 0
    fd = -1
    for i in range(start, stop):
        row = rows[i]
        if queued == BATCH or (queued and fds[row] != fd):
            s, d = flush(queue, queued, fd, rows_queued, errors, native)
            sent += s
            dropped += d
            queued = 0
        fd = fds[row]
        out = scratch[queued]
        ssrc = ssrcs[row]
        put32(out, 0, 0x80C80006)
        put32(out, 4, ssrc)
        put32(out, 8, (report[0] >> 32) & 0xFFFFFFFF)
        put32(out, 12, report[0] & 0xFFFFFFFF)
        put32(out, 16, (report[1] + timestamp_offsets[row]) & 0xFFFFFFFF)
        put32(out, 20, packets[row] & 0xFFFFFFFF)
        put32(out, 24, octets[row] & 0xFFFFFFFF)
        for j in range(report[2]):
            out[28 + j] = template[j]
        put32(out, 28 + report[3], ssrc)
        if report[4]:
            put32(out, 28 + report[4], ssrc)
        length[0] = 28 + report[2]
        if call_seal(native[0], sessions[row], out.ctypes.data, length.ctypes.data) != 0:
            errors[row] += 1
            failed += 1
            continue
        _enqueue(queue, vectors, scratch, queued, length[0], addresses, address_lengths, row)
        rows_queued[queued] = row
        queued += 1
    if queued:
        s, d = flush(queue, queued, fd, rows_queued, errors, native)
        sent += s
        dropped += d
    return sent, dropped, failed


@njit(nogil=True, cache=True)
def shards_for(count, pool):
    """How many threads of `pool` (int64: the fields of a pool) should serve a batch of `count` rows."""
    return max(1, min(pool[THREADS], count * pool[ROW_PS] // SHARD_PS))


@njit(nogil=True, cache=True)
def learn(count, shards, seconds, pool):
    """Learn from a batch what a row costs: an average of some 64, where an interrupted one counts threefold."""
    if count >= LEARN_ROWS:
        known = pool[ROW_PS]
        row = np.int64(seconds * 1e12 * shards / count)
        pool[ROW_PS] = max(1, known + (min(row, 3 * known) - known) // 64)


@njit(nogil=True, cache=True)
def shard_bounds(count, shards, shard):
    """The half-open range of `count` rows that shard number `shard` of `shards` serves."""
    return count * shard // shards, count * (shard + 1) // shards


@njit(nogil=True, cache=True)
def run_shard(shard, job, results, rows, table, stores, payload, packet, work, native):
    """The life of a shard's thread: wait on its eventfd, serve its range, say so; returns when `job[1]` is set.

    `job` is int64: rows in the batch, stop flag, number of shards, done eventfd, then the wake eventfds of shards
    1, 2, …. It runs without the GIL from the first wait to the last, so Python work elsewhere never delays it.
    """
    word = np.zeros(1, np.uint64)
    while True:
        if call_io(native[3], np.int32(job[3 + shard]), word.ctypes.data, 8) != 8:
            continue
        if job[1]:
            return
        start, stop = shard_bounds(job[0], job[2], shard)
        s, d, f = seal_and_send(rows, start, stop, table, stores, payload, packet, work, native)
        results[shard, 0] = s
        results[shard, 1] = d
        results[shard, 2] = f
        word[0] = 1
        call_io(native[4], np.int32(job[3]), word.ctypes.data, 8)


@njit(nogil=True, cache=True)
def run_batch(shards, job, results, rows, table, stores, payload, packet, work, native):
    """Send one packet to `rows[:job[0]]` with `shards` threads, of which the caller is the first."""
    word = np.zeros(1, np.uint64)
    job[2] = shards
    for shard in range(1, shards):
        word[0] = 1
        call_io(native[4], np.int32(job[3 + shard]), word.ctypes.data, 8)
    start, stop = shard_bounds(job[0], shards, 0)
    sent, dropped, failed = seal_and_send(rows, start, stop, table, stores, payload, packet, work, native)
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
