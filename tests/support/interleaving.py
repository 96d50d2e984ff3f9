"""Two threads at every point where they can take turns, without threads: one is stopped, the other goes on.

CPython lets another thread go on between two bytecodes (only at some of them, which are its own business), never within
one. So whatever one thread does as a whole may come between any two bytecodes of another.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_TURNS_MAX = 20_000


def interrupted(look: Callable[[], T], meanwhile: Callable[[], None], at: int) -> tuple[T, bool]:
    """What `look` gives when `meanwhile` is done just before its bytecode number `at`; whether it had so many."""
    left, reached, before = at, False, sys.gettrace()

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left, reached
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            left -= 1
            if left < 0 and not reached:
                reached = True
                sys.settrace(None)  # what the other does is not stopped
                meanwhile()
        return None if reached else trace

    sys.settrace(trace)
    try:
        return look(), reached
    finally:
        sys.settrace(before)


def at_every_turn(make: Callable[[], tuple[Callable[[], T], Callable[[], None]]]) -> Iterator[T]:
    """What looking gives, for each point at which the other thread can have its turn, and for none.

    `make` makes what both work on, and gives what the one and what the other does.
    """
    for at in itertools.count():
        assert at < _TURNS_MAX, "it takes too long to be looked at from every side"
        found, reached = interrupted(*make(), at)
        yield found
        if not reached:
            return
