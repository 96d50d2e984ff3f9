from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from loaedge.receiver.notify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(tmp_path: Path, abstract: bool) -> None:
    name = f"@loa-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name[1:]}" if abstract else name)
        manager.settimeout(5)
        notifier = Notifier(
            {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": str(os.getpid())}
        )
        assert notifier.watchdog_s == 5.0
        notifier.ready()
        notifier.status("live;\n all is well")
        notifier.status("live;\n all is well")
        notifier.alive()
        notifier.stopping()
        told = [manager.recv(1000).decode() for _ in range(4)]
        assert told == ["READY=1", "STATUS=live; all is well", "WATCHDOG=1", "STOPPING=1"]


def test_a_status_that_found_no_room_is_told_again(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "5000000"})
        for _ in range(2000):  # more than any queue of the kernel holds
            notifier.alive()
        notifier.status("live")
        told = _drained(manager)
        assert set(told) == {"WATCHDOG=1"}
        notifier.status("live")
        notifier.status("live")
        assert _drained(manager) == ["STATUS=live"]


def _drained(manager: socket.socket) -> list[str]:
    told = []
    with contextlib.suppress(BlockingIOError):
        while True:
            told.append(manager.recv(1000).decode())
    return told


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "/nowhere/at/all"},
    ],
)
def test_without_a_manager_nothing_happens(environment: dict[str, str]) -> None:
    notifier = Notifier(environment)
    assert notifier.watchdog_s is None
    notifier.ready()
    notifier.status("live")
    notifier.alive()
