"""Publishers that speak Opus by the clock: noise that never sounds the same, and a click now and then to time.

One thread sends for all of them. Source i has its phase i / N of a packet's time and up to CLICKERS of them click by
turns, so that the clicks fall on every phase to the mixer's tick, and each is heard before the next one comes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.publisher import Source
from bench.socket_names import socket_name
from loacodecs.opus import OpusDecoder, OpusEncoder
from loacodecs.rtp import RtpPacket

FRAME: Final = 960
FRAME_NS: Final = 20_000_000
LOOP: Final = 200
"""Packets of a source before it begins anew: 4 s."""
CLICKERS: Final = 12
"""Sources that click at most: a third of a second apart, longer than a click is waited for."""
CLICK: Final = 0.5
NOISE: Final = 0.001
CLICK_SAMPLES: Final = 8
EVEN_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Loop:
    """What a source says: its packets, and where the click is heard in them: which packet, and samples into it.

    `click_packet` is None where the source only speaks.
    """

    packets: Sequence[bytes]
    click_packet: int | None
    click_sample: int


def click_at(number: int, of: int) -> int | None:
    """The sample of its loop at which source `number` of so many clicks; None for one that does not."""
    clickers = min(of, CLICKERS)
    turn = -(-number * clickers // of)
    if turn * of // clickers != number:
        return None
    # well behind the beginning, which follows upon the end
    return LOOP * FRAME * turn // clickers + FRAME * 15 // 2


def loop(number: int, of: int) -> Loop:
    """What source `number` of so many says; the clicks of all are as far apart as can be."""
    pcm = np.random.default_rng(number).normal(0, NOISE, (LOOP * FRAME, 1)).astype(np.float32)
    at = click_at(number, of)
    if at is not None:
        pcm[at : at + CLICK_SAMPLES] = CLICK
    encoder = OpusEncoder(1, "audio", 64_000)
    packets = [encoder.encode(pcm[i * FRAME : (i + 1) * FRAME]) for i in range(LOOP)]
    if at is None:
        return Loop(packets, None, 0)
    decoder = OpusDecoder(1)
    place = loudest(np.concatenate([decoder.decode(packet) for packet in packets])[:, 0])
    return Loop(packets, place // FRAME, place % FRAME)


def loudest(sound: NDArray[np.float32]) -> int:
    """The place of the loudest sample."""
    return int(np.argmax(np.abs(sound)))


class Speakers:
    """The thread; `clicks` are the times (unix ns) at which clicks were sent, as if their packets had no length."""

    def __init__(
        self, sources: Sequence[Source], loops: Sequence[Loop], descriptors: Sequence[socket.socket]
    ) -> None:
        self.clicks: list[int] = []
        self.late_ns: list[int] = []
        """By how much packets left after their time."""
        self.uneven: list[int] = []
        """When they did so by more than EVEN_NS (unix ns): that is jitter, which the relay answers with delay."""
        self._sources = sources
        self._loops = loops
        self._sockets = descriptors
        self._remote = [socket_name(source.remote) for source in sources]
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="bench-speakers", daemon=True)

    def start(self) -> None:
        """Begin to speak."""
        self._thread.start()

    def close(self) -> None:
        """Fall silent."""
        self._stopping = True
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(PermissionError):  # what is late here is jitter for the relay
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
        count = len(self._sources)
        start = time.monotonic_ns() + FRAME_NS
        turn = 0
        while not self._stopping:
            number, index = turn // count, turn % count
            due = start + number * FRAME_NS + index * FRAME_NS // count
            time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
            late = time.monotonic_ns() - due
            self.late_ns.append(late)
            if late > EVEN_NS:
                self.uneven.append(time.time_ns())
            self._send(index, number)
            turn += 1

    def _send(self, index: int, number: int) -> None:
        source, said = self._sources[index], self._loops[index]
        packet = RtpPacket(
            source.payload_type, False, number + 1 & 0xFFFF, number * FRAME & 0xFFFF_FFFF, source.ssrc,
            said.packets[number % LOOP],
        )  # fmt: skip
        assert source.sender is not None
        sealed = source.sender.protect(packet.to_bytes())
        if number % LOOP == said.click_packet:
            self.clicks.append(time.time_ns() + said.click_sample * 1_000_000_000 // 48_000)
        self._sockets[index].sendto(sealed, source.remote)
