"""The private network: what is inside, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.compare import namespace
from bench.compare.namespace import ADDRESS, Namespace
from bench.errors import BenchError
from tests.support.waiting import until

needs_root = pytest.mark.skipif(
    namespace.missing() is not None, reason=f"no private network here: {namespace.missing()}"
)


def network() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


@needs_root
def test_inside_is_a_network_of_its_own_and_outside_the_old_one() -> None:
    outside = network()
    with Namespace():
        inside = network()
        assert inside != outside
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(network()))
        thread.start()
        thread.join()
        child = subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True, check=True)
        assert [*found, child.stdout.strip()] == [inside, inside]
    assert network() == outside


@needs_root
def test_both_addresses_reach_each_other_and_nothing_else_is_reached() -> None:
    with Namespace():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with receiver, sender:
            receiver.bind((ADDRESS, 0))
            receiver.settimeout(5)
            for host in (ADDRESS, "127.0.0.1"):
                sender.sendto(host.encode(), receiver.getsockname())
                assert receiver.recv(64) == host.encode()
            with pytest.raises(OSError, match="unreachable"):
                sender.sendto(b"out", ("192.0.2.1", 9))


@needs_root
def test_an_error_inside_leaves_the_private_network() -> None:
    outside = network()
    with pytest.raises(BenchError), Namespace():
        raise BenchError("something")
    assert network() == outside


# The shell lets what runs in the background ignore SIGINT, and that is inherited.
PROGRAM = """
import signal, subprocess, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from bench.compare.namespace import Namespace
from bench.leash import leashed
with Namespace():
    child = subprocess.Popen(leashed(["sleep", "300"]))
    print(child.pid, flush=True)
    threading.Event().wait()
"""


@needs_root
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_run_that_is_ended(ending: signal.Signals) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert run.stdout is not None
    with run.stdout:
        child = int(run.stdout.readline())
        # The leash is put on by a program that then becomes the child.
        until(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n")
        private = str(Path(f"/proc/{child}/ns/net").readlink())
        assert private != network()
        run.send_signal(ending)
        run.wait(10)
    until(lambda: not lives(child))
    assert private not in networks()


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def networks() -> set[str]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.add(str((process / "ns" / "net").readlink()))
    return found


def test_what_is_missing_is_told_as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert namespace.missing() == "sudo loa bench compare"
    with pytest.raises(BenchError, match="sudo"), Namespace():
        pytest.fail("an ordinary user got a network")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nowhere")
    assert namespace.missing() == "apt-get install iproute2"
