"""The tests' own bounds: whatever a test waits for, and whatever it leaves running, it fails by a sentence."""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from tests.support.bounds import left_behind, threads, within


def a_lock() -> None:
    lock = threading.Lock()
    with lock:
        lock.acquire()


def a_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    threading.enumerate()[-1].join()


def a_queue() -> None:
    queue.SimpleQueue[int]().get()


def a_process() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
        finally:
            child.kill()


def a_socket() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        own.recv(1)


def a_loop() -> None:
    async def wait_for_nothing() -> None:
        await asyncio.Event().wait()

    asyncio.run(wait_for_nothing())


@pytest.mark.parametrize("wait", [a_lock, a_thread, a_queue, a_process, a_socket, a_loop])
def test_every_wait_ends_by_a_sentence(wait: Callable[[], None]) -> None:
    with (
        pytest.raises(pytest.fail.Exception, match="the bell does not ring"),
        within(0.02, "the bell does not ring"),
    ):
        wait()


def test_the_outer_bound_holds_after_an_inner_one() -> None:
    def inner_and_on() -> None:
        with pytest.raises(pytest.fail.Exception, match="inner"), within(0.01, "inner"):
            a_queue()
        a_queue()

    with pytest.raises(pytest.fail.Exception, match="outer"), within(0.05, "outer"):
        inner_and_on()


def test_a_bound_that_was_kept_rings_no_more() -> None:
    with within(0.01, "inner"):
        pass
    assert threading.Event().wait(0.03) is False


@pytest.mark.parametrize("name", ["loa-file", "own"])
def test_a_thread_that_lives_on_is_named(name: str) -> None:
    before = threads()
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name=name, daemon=name.startswith("loa-"))
    thread.start()
    assert left_behind(before, 0.01) == [name]
    end.set()
    thread.join()
    assert left_behind(before, 0.01) == []


def test_threads_of_libraries_may_stay() -> None:
    before = threads()
    reader, writer = os.pipe()
    thread = threading.Thread(target=os.read, args=(reader, 1), daemon=True)
    thread.start()
    assert left_behind(before, 0.01) == []
    os.close(writer)
    thread.join()
    os.close(reader)
