from __future__ import annotations

import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from bench.api_load import (
    BAD_TOKEN,
    CHANNELS,
    CONNECTIONS,
    METRICS,
    MIX,
    NO_SDP,
    OPTIONS,
    ApiLoad,
    Tally,
    request,
)
from tests.support.waiting import until

MILLISECOND = 1_000_000


def test_the_mix_has_every_kind_and_repeats() -> None:
    kinds = [request(number) for number in range(len(MIX))]
    assert {CHANNELS, METRICS, OPTIONS, BAD_TOKEN, NO_SDP} <= set(kinds)
    assert kinds == [request(number + len(MIX)) for number in range(len(MIX))]
    shares = Counter(kind.scope for kind in kinds)
    assert shares["bad"] >= len(MIX) // 5
    assert shares["listen"] > len(MIX) // 2


def test_refusals_that_were_asked_for_are_no_failures_and_others_are() -> None:
    tally = Tally()
    tally.note(BAD_TOKEN, 401, MILLISECOND)
    tally.note(BAD_TOKEN, 429, MILLISECOND)
    tally.note(CHANNELS, 200, 3 * MILLISECOND)
    assert tally.failed == 0
    tally.note(CHANNELS, 500, MILLISECOND)
    tally.note(CHANNELS, 500, MILLISECOND)
    tally.note_failure(METRICS, "refused")
    found = tally.to_json(50.0)
    assert (found["requests"], found["failed"]) == (5, 3)
    assert found["statuses"] == {"200": 1, "401": 1, "429": 1, "500": 2}
    assert len(tally.problems) == 2
    assert "500" in tally.problems[0]
    assert found["by_kind"]["channels"]["requests"] == 3
    assert 3 <= found["latency_ms"]["max"] < 3.1


class Relay(http.server.BaseHTTPRequestHandler):
    """Answers 200 and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_OPTIONS(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


class Strict(Relay):
    """Refuses what it should, and hangs up behind each answer, as a relay does on a connection that was idle."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = (self.headers.get("Content-Type"), body)
        statuses = {
            ("application/json", b"{}"): 415,
            ("application/sdp", b"this is no SDP"): 400,
            ("application/sdp", b"v=0\r\n"): 406 if self.headers["Authorization"] == "Bearer good" else 401,
        }
        self.asked.append((self.command, self.path, ""))
        self.send_response(statuses.get(kind, 200))
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True


class Busy(Relay):
    """Answers nobody until it may."""

    may: threading.Event

    def answer(self) -> None:
        self.asked.append((self.command, self.path, ""))
        assert self.may.wait(20)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def relay(request: pytest.FixtureRequest) -> Iterator[http.server.ThreadingHTTPServer]:
    kind = getattr(request, "param", Relay)
    handler = type("Handler", (kind,), {"asked": [], "may": threading.Event()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_requests_go_out_between_resume_and_pause(relay: http.server.ThreadingHTTPServer) -> None:
    asked: list[tuple[str, str, str]] = relay.RequestHandlerClass.asked  # type: ignore[attr-defined] # of Relay
    load = ApiLoad("127.0.0.1", relay.server_port, "kenh-0", {"listen": "good", "metrics": "seen"}, 500)
    assert not asked
    load.resume()
    until(lambda: len(asked) >= len(MIX))
    load.close()
    assert ("GET", "/metrics", "Bearer seen") in asked
    assert ("OPTIONS", "/kenh-0/whep", "Bearer good") in asked
    found = load.to_json()
    assert found["requests"] >= len(MIX)
    assert found["statuses"] == {"200": found["requests"]}
    assert found["failed"] > 0  # this relay lets in whom it should refuse


@pytest.mark.parametrize("relay", [Strict], indirect=True)
def test_a_connection_that_was_closed_while_it_was_idle_is_no_failure(
    relay: http.server.ThreadingHTTPServer,
) -> None:
    asked: list[tuple[str, str, str]] = relay.RequestHandlerClass.asked  # type: ignore[attr-defined] # of Relay
    load = ApiLoad("127.0.0.1", relay.server_port, "kenh-0", {"listen": "good", "metrics": "good"}, 500)
    load.resume()
    until(lambda: len(asked) >= 2 * len(MIX))
    load.close()
    assert load.tally.problems == []
    assert load.to_json()["requests"] == len(asked)


@pytest.mark.parametrize("relay", [Busy], indirect=True)
def test_nothing_is_asked_in_a_pause_however_much_had_no_turn(
    relay: http.server.ThreadingHTTPServer,
) -> None:
    handler: Any = relay.RequestHandlerClass
    load = ApiLoad("127.0.0.1", relay.server_port, "kenh-0", {"listen": "good", "metrics": "seen"}, 2000)
    load.resume()
    until(lambda: len(handler.asked) >= CONNECTIONS)

    def given_up() -> bool:
        load.pause()
        if load.tally.failed == 0:
            load.resume()
        return load.tally.failed > 0

    until(given_up)
    handler.may.set()
    load.close()
    assert "had no turn" in load.tally.problems[0]
    assert len(handler.asked) <= CONNECTIONS + 1, "one may have been on its way to the queue"
