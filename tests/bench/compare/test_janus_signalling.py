"""Janus's API against a server that speaks it as the documentation says."""

from __future__ import annotations

import http.server
import json
import queue
import select
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bench.compare.janus_signalling import JanusSignalling, answer_to
from bench.errors import BenchError
from bench.signalling import Answer, Offer
from loacodecs import sdp
from loacodecs.certificate import Certificate

CERTIFICATE = Certificate.generate("test")
PATIENCE_S = 5.0
GOODBYE: dict[str, Any] = {}

# As Janus 1.1.2 offers with ice_lite
JANUS_OFFER = f"""v=0
o=- 1795404769415775 1 IN IP4 127.0.0.1
s=Mountpoint 1
t=0 0
a=group:BUNDLE a
a=ice-options:trickle
a=fingerprint:sha-256 {CERTIFICATE.fingerprint.split()[1]}
a=extmap-allow-mixed
a=msid-semantic: WMS *
a=ice-lite
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 127.0.0.1
a=sendonly
a=mid:a
a=rtcp-mux
a=ice-ufrag:qmpE
a=ice-pwd:GwrwnKB2dRfbKOckE3hiPF
a=ice-options:trickle
a=setup:actpass
a=rtpmap:111 opus/48000/2
a=msid:janus janusa
a=ssrc:3675530007 cname:janus
a=candidate:1 1 udp 2015363327 10.77.0.1 44640 typ host
a=end-of-candidates
""".replace("\n", "\r\n")


def own_offer() -> str:
    return sdp.make_offer(
        direction="recvonly",
        ice_ufrag="ours",
        ice_pwd="p" * 24,
        fingerprint=CERTIFICATE.fingerprint,
        candidates=[("10.77.0.1", 4000)],
        session_id=1,
    )


class Janus:
    """One session; viewers whose handle is in `refused` are told so."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.answers: dict[int, str] = {}
        self.refused: set[int] = set()
        self._handles = 0
        self._lock = threading.Lock()
        janus = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE_S

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._reply(janus.asked(self.path, body) | {"transaction": body["transaction"]})

            def do_GET(self) -> None:
                event = janus.events.get()
                if event is GOODBYE:
                    janus.events.put(GOODBYE)  # for the next that polls
                    self.close_connection = True
                else:
                    self._reply([event])

            def _reply(self, body: object) -> None:
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def asked(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["janus"] == "create":
            return {"janus": "success", "data": {"id": 77}}
        assert path.startswith("/janus/77")
        if body["janus"] == "attach":
            assert body["plugin"] == "janus.plugin.streaming"
            with self._lock:
                self._handles += 1
                return {"janus": "success", "data": {"id": self._handles}}
        handle = int(path.rsplit("/", 1)[1])
        if body["body"]["request"] == "watch":
            event: dict[str, Any] = {"janus": "event", "sender": handle}
            if handle in self.refused:
                event["plugindata"] = {"data": {"error_code": 455, "error": "No such mountpoint/stream 1"}}
            else:
                event["jsep"] = {"type": "offer", "sdp": JANUS_OFFER}
            self.events.put(event)
        else:
            assert body["body"]["request"] == "start"
            assert body["jsep"]["type"] == "answer"
            self.answers[handle] = body["jsep"]["sdp"]
        return {"janus": "ack"}

    def close(self) -> None:
        """Ends the polls, too, whoever was there to hear of it, and waits for their threads."""
        self.events.put(GOODBYE)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def janus() -> Iterator[Janus]:
    janus = Janus()
    yield janus
    janus.close()


@pytest.fixture
def signalling(janus: Janus) -> Iterator[JanusSignalling]:
    signalling = JanusSignalling(janus.port)
    yield signalling
    signalling.close()


def answers(signalling: JanusSignalling, count: int) -> dict[int, Answer]:
    found: dict[int, Answer] = {}
    poll = select.poll()
    poll.register(signalling.fileno(), select.POLLIN)
    while len(found) < count:
        assert poll.poll(PATIENCE_S * 1000), "no answer came"
        found |= {answer.key: answer for answer in signalling.take()}
    return found


def test_each_viewer_gets_januss_offer_as_if_it_were_the_answer(
    janus: Janus, signalling: JanusSignalling
) -> None:
    for key in range(6):
        signalling.post(Offer(key, "/janus", "", own_offer()))
    for answer in answers(signalling, 6).values():
        assert answer.sdp is not None
        read = sdp.parse_answer(answer.sdp)
        assert read.setup == "passive"
        assert read.ice_lite
        assert read.candidates[0].address == ("10.77.0.1", 44640)
    assert len(janus.answers) == 6


def test_janus_is_answered_with_what_the_session_offered() -> None:
    answer = sdp.parse_answer(answer_to(JANUS_OFFER, own_offer()))
    assert (answer.ice_ufrag, answer.ice_pwd) == ("ours", "p" * 24)
    assert answer.fingerprints == (("sha-256", CERTIFICATE.fingerprint.split()[1]),)
    assert answer.candidates[0].address == ("10.77.0.1", 4000)
    assert (answer.setup, answer.direction, answer.mid) == ("active", "recvonly", "a")
    assert not answer.ice_lite


def test_a_refused_viewer_is_told_why(janus: Janus, signalling: JanusSignalling) -> None:
    janus.refused.add(1)
    signalling.post(Offer(9, "/janus", "", own_offer()))
    answer = answers(signalling, 1)[9]
    assert answer.sdp is None
    assert answer.problem == "janus: No such mountpoint/stream 1"


def test_an_offer_that_cannot_be_read_is_a_problem_and_not_the_end(
    janus: Janus, signalling: JanusSignalling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "JANUS_OFFER", "nonsense")
    signalling.post(Offer(1, "/janus", "", own_offer()))
    assert "v=0" in answers(signalling, 1)[1].problem


def test_closing_does_not_wait_for_the_long_poll(janus: Janus) -> None:
    signalling = JanusSignalling(janus.port)
    closer = threading.Thread(target=signalling.close)
    closer.start()
    closer.join(PATIENCE_S)
    assert not closer.is_alive()


def test_no_janus_at_all_is_one_sentence(janus: Janus) -> None:
    janus.close()
    with pytest.raises(BenchError, match="POST /janus"):
        JanusSignalling(janus.port)
