"""What an input holds, looked at by one thread while another takes packets in and out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from relay.live.holding import Arrival, Holding

FRAME = b"\xf8\xff\xfe"
"""20 ms of silence (RFC 6716 §3.1)."""


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as Python can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless")
def test_it_may_be_looked_at_while_packets_come_and_go() -> None:
    holding, ended = Holding(), threading.Event()

    def look() -> None:
        while not ended.is_set():
            try:
                assert holding.samples % 960 == 0
            except RuntimeError as error:
                errors.append(error)
                return

    errors: list[RuntimeError] = []
    looking = threading.Thread(target=look)
    looking.start()
    for number in range(20_000):
        holding.put(Arrival(1, number & 0xFFFF, 960 * number, FRAME, number * 0.02))
        if len(holding) > 20:
            holding.take()
    ended.set()
    looking.join(10)
    assert errors == []
    assert holding.samples == 20 * 960
