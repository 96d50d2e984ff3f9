"""A server as a child process: ready, dead, deaf."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator

import pytest

from bench.compare.child import Child, free_port
from bench.errors import BenchError
from tests.support.waiting import until

SERVE = """
import http.server, signal, sys
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("I am here", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child("janitor")
    yield child
    child.close()


def start(child: Child, program: str, *arguments: str) -> None:
    port = free_port(socket.SOCK_STREAM)
    child.start([sys.executable, "-c", program, str(port), *arguments], port)


def test_it_is_ready_when_it_answers_and_gone_when_closed(child: Child) -> None:
    start(child, SERVE)
    child.require_alive()
    assert child.cpu_ns() > 0
    assert child.last_warnings()[0] == "I am here"
    process, folder = child.pid, child.folder
    child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert not folder.exists()


def test_one_that_does_not_come_up_is_quoted(child: Child) -> None:
    with pytest.raises(BenchError, match="janitor ended with code 3: no such mop"):
        start(child, "import sys; print('no such mop', flush=True); sys.exit(3)")


def test_one_that_dies_later_is_noticed(child: Child) -> None:
    start(child, SERVE)
    os.kill(child.pid, signal.SIGKILL)

    def noticed() -> bool:
        try:
            child.require_alive()
        except BenchError as error:
            return "ended with code -9" in str(error)
        return False

    until(noticed)


def test_one_that_ignores_sigterm_is_killed(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.compare.child.STOP_TIMEOUT_S", 0.2)
    start(child, SERVE, "deaf")
    process = child.pid
    child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
