"""What the path in front of the proxy does, read off the RTP packets that come through it.

SRTP leaves the RTP header readable (RFC 3711 §3.1): sequence numbers tell what is missing, and arrival time minus RTP
timestamp tells the delay up to a constant. The constant is taken so that the quickest packet of the last minute took
`base` seconds; nobody can know more from one end, and a minute is short enough for the drift of two clocks.

A packet that comes more than 10 ms after its successor counts as lost: it is a retransmission, since listeners ask
again no sooner. Paths that reorder by more than that look worse than they are.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from loacodecs.demux import Kind, kind
from loacodecs.rtp import SequenceUnwrapper, timestamp_delta

from .trace import Direction, Row

REORDER_S: Final = 0.010
WINDOW_S: Final = 60.0
STREAMS_MAX: Final = 4096
_JUMP: Final = 1000
_CLOCK_RATE: Final = 48_000


class PathObserver:
    """Feed it every datagram; it calls `row` for each RTP packet once its fate is known."""

    def __init__(self, row: Row, base: float = 0.0) -> None:
        """`base` is the delay of the quickest packets, in seconds: half a `ping`, if nothing better is known."""
        self._row = row
        self._base = base
        self._streams: OrderedDict[tuple[int, Direction], _Stream] = OrderedDict()

    def on_datagram(self, at: float, client: int, direction: Direction, data: bytes) -> None:
        """Take a datagram that arrived at `at` seconds; never raises."""
        if kind(data) is not Kind.RTP:
            return
        key = (client, direction)
        ssrc = int.from_bytes(data[8:12], "big")
        stream = self._streams.get(key)
        if stream is None or stream.ssrc != ssrc:
            stream = self._streams[key] = _Stream(ssrc, self._base)
            if len(self._streams) > STREAMS_MAX:
                self._streams.popitem(last=False)
        sequence, timestamp = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:8], "big")
        for sent, size, delays in stream.take(at, sequence, timestamp, len(data)):
            self._row(sent, client, direction, size, delays)


@dataclass(slots=True)
class _Arrived:
    at: float
    media: float
    size: int


class _Stream:
    """One SSRC: puts packets in order, decides which are lost."""

    def __init__(self, ssrc: int, base: float) -> None:
        self.ssrc = ssrc
        self._base = base
        self._reset()

    def _reset(self) -> None:
        self._unwrapper = SequenceUnwrapper()
        self._highest: int | None = None
        self._next = 0
        self._arrived: dict[int, _Arrived] = {}
        self._missing: dict[int, float] = {}  # when each was noticed
        self._timestamp = (0, 0)  # the latest one as sent, and without wrapping
        self._quickest: deque[tuple[float, float]] = deque()  # (arrival, arrival - media), both rising
        self._last_sent = float("-inf")
        self._last_size = 0

    def take(
        self, at: float, sequence: int, timestamp: int, size: int
    ) -> list[tuple[float, int, tuple[float, ...]]]:
        """Take a packet; gives (time sent, size, delays) of those whose fate is now known."""
        extended = self._unwrapper.unwrap(sequence)
        if self._highest is not None and abs(extended - self._highest) > _JUMP:
            self._reset()  # a sender that started afresh
            extended = self._unwrapper.unwrap(sequence)
        if self._highest is None:
            self._timestamp = (timestamp, timestamp)
            self._next = extended
            self._highest = extended - 1
        media = self._media(timestamp)
        if extended > self._highest:
            for missing in range(self._highest + 1, extended):
                self._missing[missing] = at
            self._highest = extended
            self._arrived[extended] = _Arrived(at, media, size)
        elif (noticed := self._missing.get(extended)) is not None and at - noticed <= REORDER_S:
            del self._missing[extended]
            self._arrived[extended] = _Arrived(at, media, size)
        return self._decided(at)

    def _media(self, timestamp: int) -> float:
        sent, whole = self._timestamp
        whole += timestamp_delta(timestamp, sent)
        self._timestamp = (timestamp, whole)
        return whole / _CLOCK_RATE

    def _decided(self, at: float) -> list[tuple[float, int, tuple[float, ...]]]:
        rows: list[tuple[float, int, tuple[float, ...]]] = []
        while self._highest is not None and self._next <= self._highest:
            if (arrived := self._arrived.pop(self._next, None)) is not None:
                rows.append(self._timed(arrived))
                self._next += 1
            elif at - self._missing[self._next] > REORDER_S:
                rows.extend(self._lost_run())
            else:
                break
        return rows

    def _timed(self, arrived: _Arrived) -> tuple[float, int, tuple[float, ...]]:
        offset = arrived.at - arrived.media
        quickest = self._quickest
        while quickest and quickest[-1][1] >= offset:
            quickest.pop()
        quickest.append((arrived.at, offset))
        while quickest[0][0] < arrived.at - WINDOW_S:
            quickest.popleft()
        delay = self._base + offset - quickest[0][1]
        self._last_sent = max(self._last_sent, arrived.at - delay)
        self._last_size = arrived.size
        return self._last_sent, arrived.size, (delay,)

    def _lost_run(self) -> Iterator[tuple[float, int, tuple[float, ...]]]:
        """Give up all packets up to the next that came; they were sent evenly between their neighbours."""
        end = self._next
        while end in self._missing:
            del self._missing[end]
            end += 1
        before, after = self._last_sent, self._arrived[end].media + self._quickest[0][1] - self._base
        step = max(0.0, after - before) / (end - self._next + 1)
        for number in range(self._next, end):
            self._last_sent = before + step * (number - self._next + 1)
            yield self._last_sent, self._last_size, ()
        self._next = end
