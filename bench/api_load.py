"""HTTP and token traffic beside the audio: what pages, monitoring and people with old tokens ask of a relay.

Requests leave at a fixed rate whatever became of those before them, and latency counts from when a request was due,
so a relay that stalls is charged for every request that had to wait.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.histogram import BINS, Counts, bin_of, milliseconds

DEFAULT_RATE = 50.0
CONNECTIONS = 4
TIMEOUT_S = 10.0
_PROBLEMS_MAX = 3


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request. `path` has the first channel's name for {channel}; `scope` is of its token, "" for none and
    "bad" for one that nobody signed; `answers` are the statuses that are right.
    """

    name: str
    method: str
    path: str
    scope: str
    answers: Sequence[int]
    body: str = ""
    media_type: str = "application/sdp"


CHANNELS = Request("channels", "GET", "/api/v1/channels", "listen", (200,))
METRICS = Request("metrics", "GET", "/metrics", "metrics", (200,))
OPTIONS = Request("options", "OPTIONS", "/{channel}/whep", "listen", (200,))
# who keeps presenting bad tokens is told to wait
BAD_TOKEN = Request("bad token", "POST", "/{channel}/whep", "bad", (401, 429), "v=0\r\n")
NO_SDP = Request("no SDP", "POST", "/{channel}/whep", "listen", (400,), "this is no SDP")
NO_AUDIO = Request("no audio", "POST", "/{channel}/whep", "listen", (406,), "v=0\r\n")
NO_TYPE = Request("wrong type", "POST", "/{channel}/whep", "listen", (415,), "{}", "application/json")

MIX: Sequence[Request] = (
    *(CHANNELS, OPTIONS, BAD_TOKEN, CHANNELS, NO_SDP),
    *(METRICS, OPTIONS, BAD_TOKEN, CHANNELS, NO_AUDIO),
    *(CHANNELS, OPTIONS, BAD_TOKEN, CHANNELS, NO_TYPE),
    *(METRICS, OPTIONS, BAD_TOKEN, CHANNELS, NO_SDP),
)


def request(number: int) -> Request:
    """The kind of request `number`, counted from 0."""
    return MIX[number % len(MIX)]


class Tally:
    """How requests went."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latency: dict[str, Counts] = {}
        self._statuses: Counter[str] = Counter()
        self.failed = 0
        self.problems: list[str] = []

    def note(self, kind: Request, status: int, latency_ns: int) -> None:
        """Count an answer."""
        with self._lock:
            counts = self._latency.setdefault(kind.name, np.zeros(BINS, np.int64))
            counts[bin_of(latency_ns)] += 1
            self._statuses[str(status)] += 1
            if status not in kind.answers:
                self._fail(f"{kind.method} {kind.path} ({kind.name}) was answered with {status}")

    def note_failure(self, kind: Request, why: str) -> None:
        """Count a request without answer."""
        with self._lock:
            self._fail(f"{kind.method} {kind.path} ({kind.name}): {why}")

    def _fail(self, problem: str) -> None:
        self.failed += 1
        if problem not in self.problems and len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(problem)

    def to_json(self, rate: float) -> dict[str, Any]:
        """What the report says of a load of `rate` requests per second."""
        shares = (0.5, 0.99, 1.0)
        every = sum(self._latency.values(), np.zeros(BINS, np.int64))
        return {
            "rate": rate,
            "requests": int(every.sum()),
            "failed": self.failed,
            "latency_ms": milliseconds(every, shares),
            "statuses": dict(sorted(self._statuses.items())),
            "by_kind": {
                name: {"requests": int(counts.sum())} | milliseconds(counts, shares)
                for name, counts in sorted(self._latency.items())
            },
        }


class ApiLoad:
    """Asks from `resume` to `pause`, until `close`."""

    def __init__(self, host: str, port: int, channel: str, tokens: Mapping[str, str], rate: float) -> None:
        """`tokens` by scope; `rate` in requests per second."""
        self.tally = Tally()
        self._address = host, port
        self._channel = channel
        self._tokens = dict(tokens) | {"bad": "bm8.Ym9keQ.c2lnbmVk"}
        self._rate = rate
        self._playing = threading.Event()
        self._stop = threading.Event()
        self._due: queue.SimpleQueue[tuple[Request, int] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CONNECTIONS)]
        self._pacer = threading.Thread(target=self._pace, name="bench-api-pacer", daemon=True)
        for thread in (*self._threads, self._pacer):
            thread.start()

    def resume(self) -> None:
        """Ask from now on."""
        self._playing.set()

    def pause(self) -> None:
        """Ask no more for a while; what had no turn yet will have none, and failed."""
        self._playing.clear()
        for kind in self._without_a_turn():
            self.tally.note_failure(kind, f"had no turn; {self._rate:g} a second are too many")

    def close(self) -> None:
        """Stop the threads; requests not yet begun are dropped."""
        self._stop.set()
        self._playing.set()
        self._pacer.join()
        self._without_a_turn()
        for _ in self._threads:
            self._due.put(None)
        for thread in self._threads:
            thread.join()

    def to_json(self) -> dict[str, Any]:
        """What the report says."""
        return self.tally.to_json(self._rate)

    def _without_a_turn(self) -> list[Request]:
        """The requests that are due and nobody has begun; nobody will."""
        found: list[Request] = []
        with contextlib.suppress(queue.Empty):
            while (due := self._due.get_nowait()) is not None:
                found.append(due[0])
        return found

    def _pace(self) -> None:
        number, next_at = 0, time.monotonic()
        while True:
            if not self._playing.is_set():
                self._playing.wait()
                next_at = time.monotonic()
            if self._stop.wait(max(0.0, next_at - time.monotonic())):
                return
            self._due.put((request(number), time.monotonic_ns()))
            number += 1
            next_at += 1 / self._rate

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            while (due := self._due.get()) is not None:
                kind, at_ns = due
                try:
                    status = self._answer(connection, kind)
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    self.tally.note_failure(kind, str(error) or type(error).__name__)
                else:
                    self.tally.note(kind, status, time.monotonic_ns() - at_ns)

    def _answer(self, connection: http.client.HTTPConnection, kind: Request) -> int:
        headers = {"Content-Type": kind.media_type} if kind.body else {}
        if kind.scope:
            headers["Authorization"] = f"Bearer {self._tokens[kind.scope]}"
        path = kind.path.format(channel=self._channel)
        try:
            return _exchange(connection, kind, path, headers)
        except ConnectionError:
            # a keep-alive connection that the relay closed while it was idle is not an answer (RFC 9112 §9.3.1)
            connection.close()
            return _exchange(connection, kind, path, headers)


def _exchange(
    connection: http.client.HTTPConnection, kind: Request, path: str, headers: Mapping[str, str]
) -> int:
    connection.request(kind.method, path, kind.body or None, headers)
    response = connection.getresponse()
    response.read()
    return response.status
