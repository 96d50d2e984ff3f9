"""What holds for every test: bounds, nothing left running, how processes share the machine, an undisturbed parser."""

from __future__ import annotations

import ast
import contextlib
import fcntl
import functools
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.bounds import left_behind, threads, within

HERE = Path(__file__).parent
#: Where most of the time passes in waiting for sound. They begin, so that no process is left alone with one at the end.
FIRST = ("interop", "clients/edge/receiver", "browser", "bench", "clients/edge/outputs")
#: What a test may take in seconds with what it begins, then to end that; less than faulthandler_timeout in all.
TEST_S, TEARDOWN_S = 190.0, 40.0
#: How long the other processes may keep the machine: each its longest test.
ROOM_S = 600.0
KEPT = pytest.StashKey[str]()
DEADLINE = pytest.StashKey[float]()
#: From these on, Python counts the depth of every parse apart (python/cpython#113035).
REPAIRED = (3, 12, 2) if sys.version_info >= (3, 12) else (3, 11, 8)


def pytest_configure() -> None:
    # How long an example takes is a matter of what else the machine does.
    hypothesis.settings.register_profile("loa", deadline=None)
    hypothesis.settings.load_profile("loa")
    if sys.version_info < REPAIRED:
        ast.parse = undisturbed(ast.parse)


def undisturbed(parse: Callable[..., ast.AST]) -> Callable[..., ast.AST]:
    """`parse`, one at a time and without garbage collection, whose finalizers may parse or let another thread parse.

    Python would lose count of the depth. pytest parses sources to show where a test failed, and ends the whole run
    by "AST constructor recursion depth mismatch".
    """
    alone = threading.RLock()

    @functools.wraps(parse)
    def one_at_a_time(*args: Any, **kwargs: Any) -> ast.AST:
        with alone:
            collecting = gc.isenabled()
            gc.disable()
            try:
                return parse(*args, **kwargs)
            finally:
                if collecting:
                    gc.enable()

    return one_at_a_time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(HERE).as_posix()
        return next((number for number, folder in enumerate(FIRST) if place.startswith(folder)), len(FIRST))

    items.sort(key=rank)


# First, so that the time for a test begins when it has its place.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Share the machine with the other processes of `pytest -n`; a test that is marked `alone` has all of it."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    alone = item.get_closest_marker("alone") is not None
    sentence = f"other processes kept the machine from {item.nodeid} for {ROOM_S:.0f} s"
    with contextlib.ExitStack() as room:
        try:
            # Whoever waits for all of the machine holds the door, so that nobody comes in meanwhile.
            with within(ROOM_S, sentence), locked(HERE, fcntl.LOCK_EX):
                room.enter_context(locked(Path(__file__), fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        except pytest.fail.Exception:
            item.stash[KEPT] = sentence
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    if KEPT in item.stash:
        pytest.fail(item.stash[KEPT])
    item.stash[DEADLINE] = time.monotonic() + TEST_S
    with within(TEST_S, f"{item.nodeid} was not ready to begin after {TEST_S:.0f} s"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    left = max(1.0, item.stash[DEADLINE] - time.monotonic())
    with within(left, f"{item.nodeid} was not through after {TEST_S:.0f} s"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with within(TEARDOWN_S, f"what {item.nodeid} began had not ended {TEARDOWN_S:.0f} s after it"):
        return (yield)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """First to begin and last to end of what a test has for itself; what its module shares is looked at below."""
    before = threads()
    yield
    assert not left_behind(before), f"threads live on: {left_behind(before, 0)}"


@pytest.fixture(autouse=True, scope="module")
def no_thread_left_by_the_module() -> Iterator[None]:
    before = threads()
    yield
    assert not left_behind(before), f"threads live on: {left_behind(before, 0)}"


@contextlib.contextmanager
def locked(path: Path, operation: int) -> Iterator[None]:
    """`path`, which is there anyway, as the lock of flock(2); waits for it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that a test has forked may live on
        os.close(descriptor)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Without garbage collection, as what is set aside on air: what is in a circle stays for ever."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
