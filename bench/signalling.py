"""WHIP and WHEP offers over a few keep-alive HTTP connections, each in a thread of its own.

Answers come back through a queue; `fileno` is readable when there is one, so that one loop can wait for these
and for datagrams.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

CONNECTIONS = 8
REQUEST_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What to post: `key` is the caller's, and comes back in the answer."""

    key: int
    path: str
    token: str
    sdp: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an offer: an SDP text, or one sentence of what went wrong."""

    key: int
    sdp: str | None
    problem: str = ""


class Answers:
    """What the threads of a server's HTTP side have for the one loop that also waits for datagrams."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Readable while `take` has something."""
        return self._wake

    def put(self, answer: Answer) -> None:
        """Give one to the loop, from any thread."""
        self._queue.put(answer)
        os.eventfd_write(self._wake, 1)

    def take(self) -> Iterator[Answer]:
        """The answers that have come since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._queue.get_nowait()

    def close(self) -> None:
        """No thread may put one any more."""
        os.close(self._wake)


class Signalling:
    """The HTTP side of all sessions."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._address = host, port
        self._offers: queue.SimpleQueue[Offer | None] = queue.SimpleQueue()
        self._answers = Answers()
        self._threads = [
            threading.Thread(target=self._serve, name=f"bench-http-{index}", daemon=True)
            for index in range(CONNECTIONS)
        ]
        for thread in self._threads:
            thread.start()

    def fileno(self) -> int:
        """Readable while `take` has something."""
        return self._answers.fileno()

    def post(self, offer: Offer) -> None:
        """Queue an offer."""
        self._offers.put(offer)

    def take(self) -> Iterator[Answer]:
        """The answers that have come since the last call."""
        return self._answers.take()

    def close(self) -> None:
        """Stop the threads; offers not yet posted are dropped."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._offers.get_nowait()
        for _ in self._threads:
            self._offers.put(None)
        for thread in self._threads:
            thread.join()
        self._answers.close()

    def _serve(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=REQUEST_TIMEOUT_S)
        while (offer := self._offers.get()) is not None:
            self._answers.put(_exchange(connection, offer))
        connection.close()


def _exchange(connection: http.client.HTTPConnection, offer: Offer) -> Answer:
    headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {offer.token}"}
    for last_try in (False, True):
        try:
            connection.request("POST", offer.path, offer.sdp, headers)
            response = connection.getresponse()
            body = response.read().decode(errors="replace")
            break
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            # a keep-alive connection that the relay closed while it was idle is not an answer (RFC 9112
            # §9.3.1)
            if last_try or not isinstance(error, ConnectionError):
                return Answer(offer.key, None, f"POST {offer.path}: {error or type(error).__name__}")
    if response.status != 201:
        return Answer(offer.key, None, f"POST {offer.path}: {response.status} {body.strip()[:200]}")
    return Answer(offer.key, body)
