"""Janus's HTTP API as the sessions need it. There the server offers and the client answers.

All viewers are handles of one Janus session. Per viewer: `attach`, `watch`, then Janus's offer comes as an event of
the long poll (which keeps the session alive, too), and `start` brings the answer. The sessions of this bench are made
to offer (`bench.session`); so the answer to Janus is composed here from what the session's own offer says, and Janus's
offer is handed back as if it were the answer: with `a=setup:passive`, since we answered that we are active.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import secrets
import socket
import threading
from collections.abc import Iterator
from typing import Any

from bench.compare.janus_server import MOUNTPOINT
from bench.errors import BenchError
from bench.signalling import Answer, Answers, Offer
from loacodecs import sdp
from loacodecs.errors import LoaError

CONNECTIONS = 4
REQUEST_TIMEOUT_S = 30.0
# Janus answers a long poll after 30 s at the latest
POLL_TIMEOUT_S = 45.0
_ROOT = "/janus"


class JanusSignalling:
    """In place of `bench.signalling.Signalling`."""

    def __init__(self, port: int) -> None:
        """Create the session. Raises BenchError when Janus refuses."""
        self._port = port
        self._answers = Answers()
        # An offer of ours to begin with, or Janus's offer to a handle
        self._work: queue.SimpleQueue[Offer | tuple[int, str] | None] = queue.SimpleQueue()
        self._offers: dict[int, Offer] = {}
        self._closing = False
        connection = self._connect(REQUEST_TIMEOUT_S)
        with contextlib.closing(connection):
            self._session = f"{_ROOT}/{_request(connection, _ROOT, {'janus': 'create'})['data']['id']}"
        self._poll_connection = self._connect(POLL_TIMEOUT_S)
        self._threads = [
            threading.Thread(target=self._serve, name=f"bench-janus-{index}", daemon=True)
            for index in range(CONNECTIONS)
        ]
        self._threads.append(threading.Thread(target=self._poll, name="bench-janus-events", daemon=True))
        for thread in self._threads:
            thread.start()

    def fileno(self) -> int:
        """Readable while `take` has something."""
        return self._answers.fileno()

    def post(self, offer: Offer) -> None:
        """Let a viewer come in."""
        self._work.put(offer)

    def take(self) -> Iterator[Answer]:
        """What has come of it since the last call."""
        return self._answers.take()

    def close(self) -> None:
        """Stop the threads; viewers not yet in are dropped."""
        self._closing = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._work.get_nowait()
        for _ in range(CONNECTIONS):
            self._work.put(None)
        *workers, events = self._threads
        while events.is_alive():
            # the long poll would go on for up to 30 s; it may also be about to begin
            if (polling := self._poll_connection.sock) is not None:
                with contextlib.suppress(OSError):
                    polling.shutdown(socket.SHUT_RDWR)
            events.join(0.05)
        for thread in workers:
            thread.join()
        self._answers.close()

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout_s)

    def _serve(self) -> None:
        connection = self._connect(REQUEST_TIMEOUT_S)
        while (work := self._work.get()) is not None:
            offer = work if isinstance(work, Offer) else self._offers.pop(work[0])
            try:
                if isinstance(work, Offer):
                    self._watch(connection, work)
                else:
                    self._start(connection, work[0], offer, work[1])
            except LoaError as error:
                self._answers.put(Answer(offer.key, None, f"janus: {error}"))
        connection.close()

    def _watch(self, connection: http.client.HTTPConnection, offer: Offer) -> None:
        plugin = {"janus": "attach", "plugin": "janus.plugin.streaming"}
        handle = int(_request(connection, self._session, plugin)["data"]["id"])
        self._offers[handle] = offer
        body = {"janus": "message", "body": {"request": "watch", "id": MOUNTPOINT}}
        _request(connection, f"{self._session}/{handle}", body)

    def _start(
        self, connection: http.client.HTTPConnection, handle: int, offer: Offer, janus_offer: str
    ) -> None:
        body = {
            "janus": "message",
            "body": {"request": "start"},
            "jsep": {"type": "answer", "sdp": answer_to(janus_offer, offer.sdp)},
        }
        _request(connection, f"{self._session}/{handle}", body)
        self._answers.put(Answer(offer.key, janus_offer.replace("a=setup:actpass", "a=setup:passive")))

    def _poll(self) -> None:
        while not self._closing:
            try:
                events = _exchange(self._poll_connection, "GET", f"{self._session}?maxev=10")
            except BenchError:
                self._poll_connection.close()
                if self._closing:
                    return
                threading.Event().wait(0.1)
                continue
            for event in events if isinstance(events, list) else [events]:
                self._heed(event)

    def _heed(self, event: dict[str, Any]) -> None:
        handle = int(event.get("sender", 0))
        if handle not in self._offers:
            return
        problem = event.get("plugindata", {}).get("data", {}).get("error")
        if jsep := event.get("jsep"):
            self._work.put((handle, str(jsep["sdp"])))
        elif problem:
            self._answers.put(Answer(self._offers.pop(handle).key, None, f"janus: {problem}"))


def answer_to(janus_offer: str, own_offer: str) -> str:
    """The answer to `janus_offer` of a session whose credentials and addresses stand in `own_offer`.

    Raises LoaError when Janus's offer cannot be read.
    """
    ours = sdp.parse_offer(own_offer)
    algorithm, value = ours.fingerprints[0]
    return sdp.make_answer(
        sdp.parse_offer(janus_offer),
        direction="recvonly",
        ice_ufrag=ours.ice_ufrag,
        ice_pwd=ours.ice_pwd,
        fingerprint=f"{algorithm} {value}",
        candidates=[candidate.address for candidate in ours.candidates],
        ice_lite=False,
        setup="active",
        session_id=secrets.randbits(62),
    )


def _request(connection: http.client.HTTPConnection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST one request of the API. Raises BenchError on everything but success."""
    answer = _exchange(connection, "POST", path, json.dumps(body | {"transaction": secrets.token_hex(6)}))
    if not isinstance(answer, dict) or answer.get("janus") not in ("success", "ack"):
        raise BenchError(f"{body['janus']}: {str(answer)[:200]}")
    return answer


def _exchange(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> Any:
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        connection.close()
        raise BenchError(f"{method} {path}: {error or type(error).__name__}") from error
