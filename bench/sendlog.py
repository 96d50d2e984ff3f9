"""When each packet of each publisher left: what the pacer writes and the receivers read, in shared arrays.

A publisher's packets are numbered from 0. The pacer notes the wall clock just before it hands packet
`counter` of publisher `p` to the kernel, `sent_at[p, counter % DEPTH]`, and then raises `published[p]`. The
receivers look the time up to get a latency. The log is a ring: DEPTH packets are 5 minutes at 20 ms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DEPTH = 1 << 14
WINDOWS = 4
NEVER = np.iinfo(np.int64).max

TOC_BY_FRAME_MS = {
    # RFC 6716 §3.1: one frame of this length, mono, code 0
    20: 31 << 3,  # CELT full band
    40: 10 << 3,  # SILK wide band
    60: 11 << 3,  # SILK wide band
}
PAYLOAD_BYTES_MAX = 1200
HEADER_BYTES = 13  # TOC, publisher (4), counter (8)


_COUNTING = bytes(range(256)) * (PAYLOAD_BYTES_MAX // 256 + 2)


class SendLog(NamedTuple):
    """The shared arrays, all int64 with times in CLOCK_REALTIME nanoseconds.

    sent_at (publishers, DEPTH); published (publishers,): packets sent so far;
    windows (WINDOWS, 2): a packet sent in [begin, end) belongs to that window of the measurement;
    expected (WINDOWS, publishers): packets sent in each window, which every listener of that publisher
    should get.
    """

    sent_at: npt.NDArray[np.int64]
    published: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    expected: npt.NDArray[np.int64]

    @classmethod
    def for_publishers(cls, publishers: int) -> SendLog:
        """An empty log whose windows lie in the far future."""
        return cls(
            np.zeros((publishers, DEPTH), np.int64),
            np.zeros(publishers, np.int64),
            np.full((WINDOWS, 2), NEVER, np.int64),
            np.zeros((WINDOWS, publishers), np.int64),
        )

    def restart(self) -> None:
        """Forget all packets, for publishers that count from 0 again; to be called while nobody sends or listens."""
        self.published[:] = 0
        self.sent_at[:] = 0

    def open_window(self, window: int, begin_ns: int, end_ns: int) -> None:
        """Measure the packets sent in [begin, end); to be called before `begin`, or while nobody sends."""
        self.windows[window, 1] = end_ns
        self.windows[window, 0] = begin_ns

    def close_window(self, window: int, end_ns: int) -> None:
        """Bring forward the end of an open window; to be called before `end`, or while nobody sends."""
        self.windows[window, 1] = end_ns


def payload(publisher: int, counter: int, size: int, frame_ms: int) -> bytes:
    """What packet `counter` of `publisher` carries: a well-formed Opus TOC, who and which, and a known
    pattern.

    The pacer builds the same bytes in compiled code; the sample of opened streams is compared against these.
    """
    head = bytes([TOC_BY_FRAME_MS[frame_ms]]) + publisher.to_bytes(4, "big") + counter.to_bytes(8, "big")
    start = (counter * 7 + publisher * 31 + HEADER_BYTES) & 0xFF
    return head + _COUNTING[start : start + size - HEADER_BYTES]


def identify(data: bytes) -> tuple[int, int] | None:
    """(publisher, counter) of a payload, None if it is too short to carry them."""
    if len(data) < HEADER_BYTES:
        return None
    return int.from_bytes(data[1:5], "big"), int.from_bytes(data[5:13], "big")
