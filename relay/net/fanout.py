"""The fan-out table: one row per listener, and the engine that seals and sends a packet to many rows.

The table is a struct of arrays of fixed capacity: rows never move, so the compiled shards hold on to the
arrays. Rows are added and removed by the media thread between batches; a batch blocks that thread until all
shards are done, which is the whole synchronisation there is.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loacodecs import srtp
from relay.net import ipsec_mb, kernel, native, seal

COLUMNS = (
    ("session", np.int64),
    ("rtcp_session", np.int64),
    ("fd", np.int32),
    ("address_length", np.int32),
    ("ssrc", np.uint32),
    ("payload_type", np.uint8),
    ("sequence_offset", np.int64),
    ("timestamp_offset", np.uint32),
    ("extension_id", np.uint8),
    ("packets", np.int64),
    ("octets", np.int64),
    ("errors", np.int64),
)
"""The columns of the table in the order the kernel takes them."""

SOCKADDR = 28
"""Octets of the largest socket address used, `sockaddr_in6`."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a listener brings: SRTP sessions, where it is, and how its stream differs from the channel's.

    `rtp` is a libsrtp session, or under AEAD_AES_128_GCM the secrets alone. `sequence_offset` is added to the
    channel's extended sequence and must keep it positive: the sum is the row's SRTP index (RFC 3711 §3.3.1).
    `timestamp_offset` is added modulo 2^32.
    """

    rtp: srtp.Sender | srtp.AeadSecrets
    rtcp: srtp.Sender
    fd: int
    address: bytes
    ssrc: int
    payload_type: int
    sequence_offset: int
    timestamp_offset: int
    capture_extension: int = 0


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of a channel, before it is anybody's.

    `sequence` is extended, it never wraps; `capture` is the NTP capture time (Q32.32) or 0.
    """

    sequence: int
    timestamp: int
    payload: bytes
    marker: bool = False
    capture: int = 0


class Group:
    """The rows that hear the same packets; order means nothing, removal swaps with the last.

    `rows` and `state` are read by compiled code by address and stay where they are. `state` is int64: the number of
    rows, whether what is sent must be booked at once (`prompt`), and an epoch that says whether the numbers armed
    for a source still hold (see `forward_kernel`).
    """

    __slots__ = ("_position", "count", "rows", "state")

    def __init__(self, capacity: int) -> None:
        self.rows: npt.NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.state: npt.NDArray[np.int64] = np.zeros(3, np.int64)
        self.count = 0
        self._position: dict[int, int] = {}

    def __contains__(self, row: int) -> bool:
        return row in self._position

    @property
    def prompt(self) -> bool:
        """Whether Python must hear of each packet as soon as it is sent, not at the next tick."""
        return bool(self.state[1])

    @prompt.setter
    def prompt(self, value: bool) -> None:
        self.state[1] = value

    def revoke(self) -> None:
        """What was armed for the group's source holds no longer."""
        self.state[2] += 1

    def add(self, row: int) -> None:
        """Let `row` hear the group's packets from now on."""
        self.rows[self.count] = row
        self._position[row] = self.count
        self.count += 1
        self.state[0] = self.count

    def discard(self, row: int) -> None:
        """Take `row` out, if it is in."""
        at = self._position.pop(row, None)
        if at is None:
            return
        self.count -= 1
        self.state[0] = self.count
        last = int(self.rows[self.count])
        if last != row:
            self.rows[at] = last
            self._position[last] = at


class FanoutTable:
    """Rows of listeners, at most `capacity`; a removed row is used again."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.columns = {name: np.zeros(capacity, kind) for name, kind in COLUMNS}
        self.addresses = np.zeros((capacity, SOCKADDR), np.uint8)
        self.secrets = seal.secrets_table(capacity)
        self._free = list(range(capacity - 1, -1, -1))
        # The rows' SRTP sessions are C objects that live as long as these references do.
        self._owners: dict[int, Row] = {}

    def __len__(self) -> int:
        return len(self._owners)

    @property
    def full(self) -> bool:
        """Whether another row would not fit."""
        return not self._free

    def add(self, row: Row) -> int:
        """Put `row` in and return its index; raises IndexError when the table is full."""
        index = self._free.pop()
        session = 0
        if isinstance(row.rtp, srtp.AeadSecrets):
            seal.store_secrets(self.secrets[index], row.rtp.key, row.rtp.salt)
        else:
            session = row.rtp.handle
        values = (session, row.rtcp.handle, row.fd, 0, row.ssrc, row.payload_type,
                  row.sequence_offset, row.timestamp_offset, row.capture_extension, 0, 0, 0)  # fmt: skip
        for (name, _), value in zip(COLUMNS, values, strict=True):
            self.columns[name][index] = value
        self._owners[index] = row
        self.set_address(index, row.fd, row.address)
        return index

    def remove(self, index: int) -> None:
        """Free the row; its SRTP sessions and secrets go with it."""
        self.secrets[index] = 0
        del self._owners[index]
        self.columns["session"][index] = 0
        self.columns["rtcp_session"][index] = 0
        self._free.append(index)

    def set_address(self, index: int, fd: int, address: bytes) -> None:
        """Send the row's packets to `address` (a packed `sockaddr`) over socket `fd` from now on."""
        self.addresses[index, : len(address)] = np.frombuffer(address, np.uint8)
        self.columns["address_length"][index] = len(address)
        self.columns["fd"][index] = fd

    def set_payload_type(self, index: int, payload_type: int) -> None:
        """Send what the row is sent from now on as `payload_type`."""
        self.columns["payload_type"][index] = payload_type

    def packets(self, index: int) -> int:
        """Packets sealed for the row."""
        return int(self.columns["packets"][index])

    def errors(self, index: int) -> int:
        """Packets the kernel or the cipher refused for the row."""
        return int(self.columns["errors"][index])


class _Workspace:
    """A shard's own scratch, message headers, vectors and cipher."""

    def __init__(self) -> None:
        self.scratch = np.zeros((kernel.BATCH, kernel.SCRATCH), np.uint8)
        self.queue = np.zeros((kernel.BATCH, kernel.MMSGHDR_WORDS), np.int64)
        self.vectors = np.zeros((kernel.BATCH, 2), np.int64)
        self.rows_queued = np.zeros(kernel.BATCH, np.int32)
        self.nonce = seal.nonce_scratch()
        self.length = np.zeros(1, np.int32)
        self.context = np.zeros(1, np.int64)
        self._cipher = native.AeadContext() if native.EVP and ipsec_mb.CIPHER is None else None
        if self._cipher is not None:
            self.context[0] = self._cipher.address

    def arguments(self) -> tuple[npt.NDArray[np.generic], ...]:
        """The kernel's `work`."""
        return (
            self.scratch, self.queue, self.vectors, self.rows_queued, self.nonce, self.length, self.context,
        )  # fmt: skip

    def close(self) -> None:
        """Free the cipher."""
        self.context[0] = 0
        if self._cipher is not None:
            self._cipher.close()


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a batch: packets handed to the kernel, dropped by it, and not sealed."""

    sent: int
    dropped: int
    failed: int


class FanoutEngine:
    """Seals and sends packets to groups of rows with up to `threads` threads (0: one per core).

    `row_ps` is what a row is taken to cost, in picoseconds, until that is measured: it decides how many threads serve
    a batch (`kernel.shards_for`). The first use compiles the kernels or loads them from the cache on disk; `warm_up`
    does it before anything is on air. `close` ends the threads.
    """

    def __init__(self, table: FanoutTable, threads: int = 0, row_ps: int = kernel.FIRST_ROW_PS) -> None:
        self.table = table
        self.threads = threads or os.cpu_count() or 1
        self._columns = tuple(table.columns.values())
        self._stores = (table.addresses, table.secrets)
        self._rows = np.zeros(table.capacity, np.int32)
        self._one = np.zeros(1, np.int32)
        self._payload = np.zeros(kernel.MAX_PAYLOAD, np.uint8)
        self._packet = np.zeros(5, np.int64)
        self._report = np.zeros(5, np.int64)
        self._job = np.zeros(4 + self.threads, np.int64)
        self._results = np.zeros((self.threads, 3), np.int64)
        self._workspaces = [_Workspace() for _ in range(self.threads)]
        addresses = [srtp.PROTECT_ADDRESS, native.SENDMMSG, native.ERRNO_LOCATION, native.READ, native.WRITE]
        addresses += native.EVP or (0, 0, 0, 0)
        addresses.append(ipsec_mb.CIPHER.encrypt if ipsec_mb.CIPHER else 0)
        self._rtp = np.array(addresses, np.int64)
        self._rtcp = self._rtp.copy()
        self._rtcp[0] = srtp.PROTECT_RTCP_ADDRESS
        self._pool = np.array([1, row_ps], np.int64)
        self.arguments = (
            *self._arguments(0), self._job, self._results, self._rows, self._pool,
        )  # fmt: skip
        """What `forward_kernel` sends with."""
        self._eventfds = [os.eventfd(0) for _ in range(self.threads)]
        self._job[3 : 3 + self.threads] = self._eventfds
        self._workers: list[threading.Thread] = []

    @property
    def row_s(self) -> float:
        """What sealing and sending a row takes a thread, in seconds, as measured on batches so far."""
        return int(self._pool[kernel.ROW_PS]) * 1e-12

    def warm_up(self) -> None:
        """Compile or load the kernels and start the shards' threads; no packet leaves."""
        empty = Packet(0, 0, b"")
        self.send(Group(0), empty)
        self.report(self._rows[:0], 0, 0, b"\0" * 4, 0)
        for shard in range(1, self.threads):
            worker = threading.Thread(
                target=self._serve, args=(shard,), name=f"loa-shard-{shard}", daemon=True
            )
            worker.start()
            self._workers.append(worker)
        self._pool[kernel.THREADS] = 1 + len(self._workers)
        self._job[0] = 0
        self._load(empty)
        # Answered only when every shard has loaded its kernel and waits for work.
        kernel.run_batch(self.threads, self._job, self._results, self._rows, *self._arguments(0))

    def close(self) -> None:
        """End the shards' threads and free their descriptors."""
        self._job[1] = 1
        for fd in self._eventfds[1 : 1 + len(self._workers)]:
            os.eventfd_write(fd, 1)
        for worker in self._workers:
            worker.join()
        self._workers.clear()
        self._pool[kernel.THREADS] = 1
        for fd in self._eventfds:
            os.close(fd)
        self._eventfds.clear()
        for workspace in self._workspaces:
            workspace.close()

    def send(self, group: Group, packet: Packet) -> Sent:
        """Send `packet` to every row of `group`."""
        count = group.count
        shards = kernel.shards_for(count, self._pool)
        began = time.perf_counter()
        if shards == 1:
            outcome = self.send_rows(group.rows[:count], packet)
        else:
            self._rows[:count] = group.rows[:count]
            self._load(packet)
            self._job[0] = count
            outcome = Sent(
                *kernel.run_batch(shards, self._job, self._results, self._rows, *self._arguments(0))
            )
        kernel.learn(count, shards, time.perf_counter() - began, self._pool)
        return outcome

    def send_rows(self, rows: npt.NDArray[np.int32], packet: Packet) -> Sent:
        """Send `packet` to `rows` on the calling thread."""
        self._load(packet)
        return Sent(*kernel.seal_and_send(rows, 0, len(rows), *self._arguments(0)))

    def send_row(self, row: int, packet: Packet, payload_type: int | None = None) -> Sent:
        """Send `packet` to one row, as `payload_type` if that is not the row's own now.

        A retransmission as what it was sent as gives the very bytes of the first time.
        """
        self._one[0] = row
        types = self.table.columns["payload_type"]
        usual = int(types[row])
        if payload_type is not None:
            types[row] = payload_type
        try:
            return self.send_rows(self._one, packet)
        finally:
            types[row] = usual

    def report(
        self, rows: npt.NDArray[np.int32], ntp: int, timestamp: int, template: bytes, bye_ssrc_at: int
    ) -> Sent:
        """Send a sender report followed by `template` to `rows`.

        `ntp` (Q32.32) and the channel `timestamp` name the same instant. The row's SSRC is written into the
        template at octet 4 (SDES chunk) and, unless 0, at `bye_ssrc_at`.
        """
        self._payload[: len(template)] = np.frombuffer(template, np.uint8)
        self._report[:] = (_signed(ntp), timestamp, len(template), 4, bye_ssrc_at)
        return Sent(
            *kernel.report_and_send(
                rows,
                0,
                len(rows),
                self._columns,
                self._stores,
                self._payload,
                self._report,
                self._workspaces[0].arguments(),
                self._rtcp,
            )
        )

    def _load(self, packet: Packet) -> None:
        size = len(packet.payload)
        self._payload[:size] = np.frombuffer(packet.payload, np.uint8)
        self._packet[:] = (size, packet.marker, packet.sequence, packet.timestamp, _signed(packet.capture))

    def _arguments(self, shard: int) -> tuple[object, ...]:
        work = self._workspaces[shard].arguments()
        return (self._columns, self._stores, self._payload, self._packet, work, self._rtp)

    def _serve(self, shard: int) -> None:
        kernel.run_shard(shard, self._job, self._results, self._rows, *self._arguments(shard))


def row_secrets(keys: srtp.Keys, ssrc: int) -> srtp.Sender | srtp.AeadSecrets:
    """What a row needs to seal RTP: the bare secrets where we can call a cipher, else a libsrtp session."""
    if (ipsec_mb.CIPHER or native.EVP) and keys.profile is srtp.Profile.AEAD_AES_128_GCM:
        return srtp.aead_secrets(keys)
    return srtp.Sender(keys, ssrc)


def _signed(value: int) -> int:
    """A 64-bit NTP time as the int64 of the same bits."""
    return value - (1 << 64) if value >= 1 << 63 else value
