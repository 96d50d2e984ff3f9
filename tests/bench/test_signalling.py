"""Offers over keep-alive connections, against a small HTTP server."""

from __future__ import annotations

import http.server
import select
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from bench.signalling import CONNECTIONS, Answer, Offer, Signalling


class Relay(http.server.BaseHTTPRequestHandler):
    """Answers 201 with the offer it got, 404 for another channel, and hangs up silently when told."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[object]] = set()
    hang_up: ClassVar[bool] = False

    def do_POST(self) -> None:
        self.connections.add(self.client_address)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        right = (
            self.headers["Authorization"] == "Bearer t" and self.headers["Content-Type"] == "application/sdp"
        )
        answer = b"answer to " + body if right else b"no"
        self.send_response(201 if self.path == "/a/whep" else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        # as a server whose keep-alive time is up: closes without having said so
        self.close_connection = type(self).hang_up

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def signalling() -> Iterator[Signalling]:
    Relay.connections.clear()
    Relay.hang_up = False
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    server.block_on_close = False
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    signalling = Signalling(server.server_port)
    yield signalling
    signalling.close()
    server.shutdown()
    thread.join()
    server.server_close()


def answers(signalling: Signalling, count: int) -> list[Answer]:
    found: list[Answer] = []
    while len(found) < count:
        ready, _, _ = select.select([signalling], [], [], 5)
        assert ready, "no answer came"
        found.extend(signalling.take())
    return found


def test_every_offer_gets_its_own_answer_over_few_connections(signalling: Signalling) -> None:
    for key in range(40):
        signalling.post(Offer(key, "/a/whep", "t", f"offer {key}"))
    found = answers(signalling, 40)
    assert {answer.key: answer.sdp for answer in found} == {
        key: f"answer to offer {key}" for key in range(40)
    }
    assert len(Relay.connections) <= CONNECTIONS


def test_a_refusal_is_one_sentence(signalling: Signalling) -> None:
    signalling.post(Offer(1, "/b/whep", "t", "x"))
    (answer,) = answers(signalling, 1)
    assert answer.sdp is None
    assert answer.problem == "POST /b/whep: 404 answer to x"


def test_an_offer_is_posted_again_when_an_idle_connection_was_closed(signalling: Signalling) -> None:
    Relay.hang_up = True
    for round_number in range(3):
        for key in range(CONNECTIONS):
            signalling.post(Offer(key, "/a/whep", "t", str(round_number)))
        assert all(answer.sdp for answer in answers(signalling, CONNECTIONS))


def test_a_relay_that_is_not_there_is_told() -> None:
    signalling = Signalling(1)
    try:
        signalling.post(Offer(1, "/a/whep", "t", "x"))
        (answer,) = answers(signalling, 1)
        assert "refused" in answer.problem
    finally:
        signalling.close()
