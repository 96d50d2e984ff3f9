"""What one listener of a mixed channel was sent, and when its clicks were heard."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.live.speakers import FRAME
from loacodecs.opus import OpusDecoder
from loacodecs.rtp import SequenceUnwrapper

LEAST: Final = 12.0
"""A click's peak is louder than the noise around it (RMS) by this factor; that of noise alone by four or five."""
APART: Final = FRAME * 4
LATEST_NS: Final = 300_000_000
"""What comes later than this after a click is not that click."""


class Arrived(NamedTuple):
    """A packet: 16-bit sequence, arrival by the kernel (unix ns), Opus payload."""

    sequence: int
    arrival_ns: int
    payload: bytes


CALM_NS: Final = 6_000_000_000
"""So long after something uneven the relay may still hold more than an even source needs."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a click's packet in to its packet out; `sent` and `heard` count clicks.

    `even` are those of `seconds` before which the publishers had sent evenly for CALM_NS: at zero jitter.
    """

    seconds: NDArray[np.float64]
    even: NDArray[np.float64]
    sent: int
    heard: int


def clicks(packets: list[Arrived]) -> list[int]:
    """When clicks were heard (unix ns), as if a packet were heard from its arrival on."""
    unwrapper = SequenceUnwrapper()
    ordered = {unwrapper.unwrap(packet.sequence): packet for packet in packets}
    decoder = OpusDecoder(1)
    found: list[int] = []
    quiet, noise = APART, 0.0
    before: int | None = None
    for sequence in sorted(ordered):
        packet = ordered[sequence]
        for _ in range(0 if before is None else min(sequence - before - 1, 5)):
            decoder.conceal(FRAME)
        before = sequence
        sound = np.abs(decoder.decode(packet.payload)[:, 0])
        place = int(np.argmax(sound))
        if noise and sound[place] >= LEAST * noise:
            if quiet >= APART:
                found.append(packet.arrival_ns + place * 1_000_000_000 // 48_000)
                quiet = 0
        else:
            noise += (float(np.sqrt(np.mean(sound**2))) - noise) / (8 if noise else 1)
        quiet += len(sound)
    return found


def latency(sent: list[int], heard: list[int], uneven: list[int]) -> Latency:
    """Each click that was sent with the first that was heard after it; `uneven` is when a packet left late."""
    found: list[float] = []
    even: list[float] = []
    ahead, late = sorted(heard), sorted(uneven)
    for moment in sorted(sent):
        place = bisect_right(ahead, moment)
        if place == len(ahead) or (after := ahead[place]) - moment >= LATEST_NS:
            continue
        found.append((after - moment) / 1e9)
        if bisect_right(late, moment - CALM_NS) == bisect_left(late, after):
            even.append(found[-1])
    return Latency(np.array(found), np.array(even), len(sent), len(heard))
