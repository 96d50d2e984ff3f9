"""The publishers' pacer: K channels, one packet each every 20 (40, 60) ms, from a compiled loop of its own.

It seals with libsrtp and sends on the publishers' sockets; their WHIP sessions (ICE, DTLS, consent, sender
reports) live in `bench.sessions`. The wall clock is read after sealing, immediately before `sendto`, and
written to the send log. Channels are staggered evenly over the packet time unless `aligned`, which makes
all of them leave at once.

A pause is silence as DTX makes it: packet numbers and timestamps go on, nothing is sent, RTP sequence
numbers stay gapless. The floor is measured in such pauses.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.compiled import (
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    call_protect,
    clock,
    compiled,
    sendto,
    sleep_until,
)
from bench.histogram import BINS, bin_of, percentile
from bench.sendlog import DEPTH, HEADER_BYTES, TOC_BY_FRAME_MS, WINDOWS, SendLog
from bench.socket_names import socket_name
from loacodecs import srtp
from loacodecs.address import Address

Ints = npt.NDArray[np.int64]

SAMPLE_RATE = 48_000
FIRST_SEQUENCE = 1000  # in the lower half of its range, RFC 3711 §3.3.1
_RTP_HEADER_BYTES = 12
_PLAIN = 0  # in place of an srtp_t: send what was written, unprotected

# Cells of `control`
_STOP, _PAUSED, _FAILED, _START = range(4)


@dataclass(frozen=True, slots=True)
class Source:
    """One publisher as the pacer needs it: a connected WHIP session, or plain RTP where `sender` is None."""

    descriptor: int
    remote: Address
    sender: srtp.Sender | None
    ssrc: int
    payload_type: int


@compiled
def _put(packet: npt.NDArray[np.uint8], position: int, value: int, size: int) -> None:
    for offset in range(size):
        packet[position + offset] = (value >> (8 * (size - 1 - offset))) & 0xFF


@compiled
def _write_packet(
    packet: npt.NDArray[np.uint8], publisher: int, counter: int, sequence: int, timing: Ints
) -> None:
    """RTP sequence and timestamp into the prepared header, and the payload of `sendlog.payload`.

    All of the payload each time: libsrtp has encrypted the last one in place.
    """
    _put(packet, 2, sequence, 2)
    _put(packet, 4, counter * timing[1], 4)
    packet[_RTP_HEADER_BYTES] = timing[3]
    _put(packet, _RTP_HEADER_BYTES + 1, publisher, 4)
    _put(packet, _RTP_HEADER_BYTES + 5, counter, 8)
    for position in range(HEADER_BYTES, timing[2]):
        packet[_RTP_HEADER_BYTES + position] = (counter * 7 + publisher * 31 + position) & 0xFF


@compiled
def _note(log: SendLog, publisher: int, counter: int, now: int) -> None:
    log.sent_at[publisher, counter % DEPTH] = now
    log.published[publisher] = counter + 1
    for window in range(WINDOWS):
        if log.windows[window, 0] <= now < log.windows[window, 1]:
            log.expected[window, publisher] += 1


@compiled
def _pace(
    log: SendLog,
    control: Ints,
    sent: Ints,
    lag: Ints,
    protect: int,
    sources: Ints,
    names: npt.NDArray[np.uint8],
    packets: npt.NDArray[np.uint8],
    timing: Ints,
) -> None:
    """Send until `control[_STOP]`; `sent` (channels,) counts.

    sources (channels, 3): descriptor, srtp_t or _PLAIN, phase in ns; names (channels, 16 or 28) struct sockaddr_in
    or _in6; packets (channels, …) with the RTP header prepared; timing: interval ns, samples per packet, payload
    bytes.
    """
    scratch = np.zeros(2, np.int64)
    length = np.zeros(1, np.int32)
    channels = sources.shape[0]
    sequence = np.full(channels, FIRST_SEQUENCE, np.int64)
    start = clock(CLOCK_MONOTONIC, scratch) + timing[0]
    control[_START] = start
    turn = 0
    while control[_STOP] == 0:
        channel = turn % channels
        counter = turn // channels
        turn += 1
        planned = start + counter * timing[0] + sources[channel, 2]
        sleep_until(planned, scratch)
        if control[_PAUSED] != 0:
            log.sent_at[channel, counter % DEPTH] = 0
            log.published[channel] = counter + 1
            continue
        lag[bin_of(clock(CLOCK_MONOTONIC, scratch) - planned)] += 1
        packet = packets[channel]
        _write_packet(packet, channel, counter, sequence[channel], timing)
        sequence[channel] = (sequence[channel] + 1) & 0xFFFF
        length[0] = _RTP_HEADER_BYTES + timing[2]
        session = sources[channel, 1]
        if session != _PLAIN and call_protect(protect, session, packet.ctypes.data, length.ctypes.data) != 0:
            control[_FAILED] += 1
            continue
        _note(log, channel, counter, clock(CLOCK_REALTIME, scratch))
        name = names[channel].ctypes.data
        if sendto(sources[channel, 0], packet.ctypes.data, length[0], 0, name, names.shape[1]) < 0:
            control[_FAILED] += 1
        else:
            sent[channel] += 1


def phases(channels: int, frame_ms: int, *, aligned: bool) -> list[int]:
    """When in a packet time each channel sends, nanoseconds."""
    return [0 if aligned else index * frame_ms * 1_000_000 // channels for index in range(channels)]


class Publishers:
    """The pacer's thread."""

    def __init__(
        self, sources: Sequence[Source], log: SendLog, *, payload_bytes: int, frame_ms: int, aligned: bool
    ) -> None:
        self.phase_ns = phases(len(sources), frame_ms, aligned=aligned)
        self.samples_per_packet = SAMPLE_RATE * frame_ms // 1000
        self._control = np.zeros(4, np.int64)
        self._sent = np.zeros(len(sources), np.int64)
        self._lag = np.zeros(BINS, np.int64)
        self._log = log
        self._sources = list(sources)  # keeps the SRTP sessions alive
        self._plan = np.array(
            [
                (s.descriptor, s.sender.handle if s.sender else _PLAIN, self.phase_ns[i])
                for i, s in enumerate(sources)
            ],
            np.int64,
        )
        self._names = np.array([list(socket_name(s.remote)) for s in sources], np.uint8)
        self._packets = np.zeros(
            (len(sources), _RTP_HEADER_BYTES + payload_bytes + srtp.MAX_OVERHEAD + 16), np.uint8
        )
        for index, source in enumerate(sources):
            header = bytes([0x80, source.payload_type]) + bytes(6) + source.ssrc.to_bytes(4, "big")
            self._packets[index, : len(header)] = np.frombuffer(header, np.uint8)
        self._timing = np.array(
            [frame_ms * 1_000_000, self.samples_per_packet, payload_bytes, TOC_BY_FRAME_MS[frame_ms]],
            np.int64,
        )
        self._thread = threading.Thread(target=self._run, name="bench-publishers", daemon=True)

    def start(self) -> None:
        """Begin to send; compiles first, so that the first packets are on time."""
        self._control[_STOP] = 1
        self._run()
        self._control[_STOP] = 0
        self._thread.start()

    def pause(self) -> None:
        """Fall silent from the next packet on."""
        self._control[_PAUSED] = 1

    def resume(self) -> None:
        """Sound again."""
        self._control[_PAUSED] = 0

    def close(self) -> None:
        """Stop the thread."""
        self._control[_STOP] = 1
        if self._thread.is_alive():
            self._thread.join()

    def packets(self, publisher: int) -> int:
        """How many packets of a publisher were handed to the kernel."""
        return int(self._sent[publisher])

    @property
    def failed(self) -> int:
        """Packets that libsrtp or the kernel refused."""
        return int(self._control[_FAILED])

    def rtp_timestamp(self, publisher: int, now_ns: int) -> int:
        """The media clock of a publisher at CLOCK_MONOTONIC `now_ns`, for a sender report."""
        elapsed = now_ns - int(self._control[_START]) - self.phase_ns[publisher]
        return elapsed * SAMPLE_RATE // 1_000_000_000 & 0xFFFFFFFF

    def forget_lag(self) -> None:
        """Begin to count lateness anew."""
        self._lag[:] = 0

    def lag_ms(self, share: float) -> float:
        """By how much `share` of the packets at most left after their time, milliseconds."""
        return (percentile(self._lag, share) or 0) / 1e6

    def _run(self) -> None:
        _pace(
            self._log,
            self._control,
            self._sent,
            self._lag,
            srtp.PROTECT_ADDRESS,
            self._plan,
            self._names,
            self._packets,
            self._timing,
        )
