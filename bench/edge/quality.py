"""Intelligibility of what is played over a lossy path: STOI for each kind of repair, on a hand clock.

One receiver's playout (`loaedge.playout`, as in the receiver itself) is fed by a relay of a few lines over the
impairment model. Nothing waits, so that minutes take seconds, and the same seed gives the same figures. STOI (Taal et
al., 2011) foretells the share of words understood, 0 to 1, by the speech before it was encoded.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from pystoi import stoi

from bench.edge.programme import FRAME, Encoding, Mono, encode, lookahead
from bench.link.loss import Loss
from bench.link.model import PathConfig
from loacodecs import red, rtcp, rtp
from loacodecs.opus import SAMPLE_RATE
from loaedge.playout import Playout, PlayoutSettings

LOSSES: Final = (0.0, 0.01, 0.02, 0.05, 0.10, 0.20)
HEADERS: Final = 28 + 12 + 16
"""IPv4, UDP, RTP, SRTP tag."""
_EPOCH: Final = 1_700_000_000.0
_PAYLOAD, _RED, _CAPTURE = 111, 63, 3
_HISTORY: Final = 256
_CAPTURE_EVERY: Final = 50

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Repair:
    """A way to mend losses; without any there is only concealment."""

    name: str
    fec: bool = False
    red: int = 0
    nack: bool = False


REPAIRS: Final = (
    Repair("PLC alone"),
    Repair("FEC", fec=True),
    Repair("RED-1", red=1),
    Repair("RED-2", red=2),
    Repair("NACK", nack=True),
)


class _ExactClock:
    """The relay's clock, known exactly."""

    def relay_time(self, local: float) -> float | None:
        return _EPOCH + local

    def local_time(self, relay: float) -> float | None:
        return relay - _EPOCH

    def confidence_s(self, local: float) -> float | None:
        return 0.0


class _Trial:
    """One playout, one path. Local time 0 is when the first packet leaves the relay."""

    def __init__(self, repair: Repair, path: PathConfig, seed: str, delay_s: float) -> None:
        self.octets = 0
        self._repair = repair
        self._delay_s = delay_s
        self._up, self._down = path.links(seed)(0, 0.0)
        self._playout = Playout(_ExactClock(), PlayoutSettings(delay_s))
        self._source = self._playout.open(
            "a",
            payload_type=_PAYLOAD,
            red_payload_type=_RED,
            nack=repair.nack,
            ssrc=1,
            cname="bench",
            random=random.Random(seed).randbytes,  # noqa: S311 - to be repeated, not to be kept secret
            capture_extension=_CAPTURE,
        )
        self._history: dict[int, bytes] = {}
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._woken = float("inf")

    def play(self, packets: Sequence[bytes]) -> Mono:
        """What is heard: sample 0 is that of the first packet."""
        for index in range(len(packets)):
            self._at(index * FRAME / SAMPLE_RATE, functools.partial(self._send, packets, index))
        heard = []
        for block in range(len(packets)):
            due = self._delay_s + block * FRAME / SAMPLE_RATE
            while self._events and self._events[0][0] <= due - FRAME / SAMPLE_RATE:
                moment, _, act = heapq.heappop(self._events)
                act(moment)
            heard.append(self._playout.render(FRAME, due)[:, 0])
        return np.concatenate(heard)

    def _send(self, packets: Sequence[bytes], index: int, now: float) -> None:
        payload, kind = packets[index], _PAYLOAD
        if self._repair.red:
            first = max(0, index - self._repair.red)
            older = [
                red.Block(_PAYLOAD, (index - each) * FRAME, packets[each]) for each in range(first, index)
            ]
            payload, kind = red.build([*older, red.Block(_PAYLOAD, 0, payload)]), _RED
        profile, extension = 0, b""
        if index % _CAPTURE_EVERY == 0:
            stamp = rtp.pack_capture_time(rtp.ntp_from_unix(_EPOCH + now))
            profile, extension = rtp.pack_extension([(_CAPTURE, stamp)])
        packet = rtp.RtpPacket(kind, False, index, index * FRAME, 7, payload, profile, extension).to_bytes()
        self._history[index] = packet
        self._history.pop(index - _HISTORY, None)
        self._deliver(packet, now)

    def _deliver(self, packet: bytes, now: float) -> None:
        self.octets += len(packet) + HEADERS - 12
        for moment in self._down.fate(now, len(packet)):
            self._at(moment, functools.partial(self._arrive, packet))

    def _arrive(self, packet: bytes, now: float) -> None:
        self._source.on_rtp(packet, now)
        self._pump(now)

    def _pump(self, now: float) -> None:
        if self._woken <= now:
            self._woken = float("inf")
        while (data := self._source.poll_rtcp(now)) is not None:
            self.octets += len(data) + HEADERS - 12
            for moment in self._up.fate(now, len(data)):
                self._at(moment, functools.partial(self._asked, data))
        deadline = self._source.next_deadline()
        if deadline is not None and deadline < self._woken:
            self._woken = max(deadline, now + 1e-4)
            self._at(self._woken, self._pump)

    def _asked(self, data: bytes, now: float) -> None:
        for packet in rtcp.parse(data):
            if isinstance(packet, rtcp.Nack):
                for sequence in packet.lost:
                    if sequence in self._history:
                        self._deliver(self._history[sequence], now)

    def _at(self, moment: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), act))


def measure(
    spoken: Mono, path: PathConfig, *, delay_s: float, bitrate: int, seed: str, say: Say
) -> dict[str, Any]:
    """STOI and kbit/s on the wire by repair, over `LOSSES`. Bursts, delay and jitter are the path's own."""
    found: dict[str, Any] = {
        "delay_ms": round(delay_s * 1000),
        "seconds": round(len(spoken) / SAMPLE_RATE, 1),
        "loss_percent": [100 * loss for loss in LOSSES],
        "stoi": {},
        "kbit_per_s": {},
    }
    for repair in REPAIRS:
        say(f"speech quality with {repair.name}")
        scores, rates = [], []
        for loss in LOSSES:
            score, rate = one(spoken, repair, lossy(path, loss), delay_s=delay_s, bitrate=bitrate, seed=seed)
            scores.append(round(score, 4))
            rates.append(round(rate / 1000, 2))
        found["stoi"][repair.name] = scores
        found["kbit_per_s"][repair.name] = rates
    return found


def one(
    spoken: Mono, repair: Repair, path: PathConfig, *, delay_s: float, bitrate: int, seed: str
) -> tuple[float, float]:
    """STOI, and bit/s of IP packets in both directions."""
    expected = round(100 * path.down.loss.mean) if repair.fec else 0
    packets = encode(spoken, Encoding(bitrate, repair.fec, expected))
    trial = _Trial(repair, path, seed, delay_s)
    heard = trial.play(packets)
    late = lookahead()
    clean = spoken[: len(heard) - late]
    return float(stoi(clean, heard[late:], SAMPLE_RATE)), 8 * trial.octets * SAMPLE_RATE / len(heard)


def lossy(path: PathConfig, loss: float) -> PathConfig:
    """The path with another share of losses, in bursts as long as its own; requests are lost alike."""
    changed = Loss(loss, burst=path.down.loss.burst if loss else None)
    return PathConfig(replace(path.up, loss=changed), replace(path.down, loss=changed), path.name)
