"""The media loop: media before work, work in small portions, and no mistake ends it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from loacodecs.errors import ConfigurationError
from relay.app import build
from relay.config import Config
from relay.net.fanout import FanoutEngine, FanoutTable
from relay.net.forward import SourceTable
from relay.net.port import open_port, open_ports
from relay.net.reactor import IDLE_TICK_S, Reactor
from relay.net.upkeep import Upkeep, UpkeepTable
from relay.net.watch import Batch, Watch


class Recorder:
    """A handler that notes what it is given and wakes who waits for it."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.todo: list[Callable[[], None]] = []
        self.wanted_s: float | None = None
        self._changed = threading.Condition()

    def note(self, event: object) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[list[object]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.events), timeout=5), self.events[-5:]

    def settle(self) -> None:
        pass

    def pending(self) -> bool:
        return False

    def deadline(self) -> float | None:
        return None if self.wanted_s is None else time.monotonic() + self.wanted_s

    def on_batch(self, batch: Batch) -> None:
        for index in range(len(batch.fates)):
            data, _, _ = batch.receiver.datagram(index)
            self.note(data)
            if data == b"fault":
                raise RuntimeError("a mistake in a handler")

    def work(self, now: float) -> bool:
        if not self.todo:
            return False
        self.todo.pop(0)()
        return True

    def on_tick(self, now: float) -> None:
        self.note("tick")


class Loop:
    def __init__(self, idle_s: float = IDLE_TICK_S) -> None:
        self.handler = Recorder()
        self.engine = FanoutEngine(FanoutTable(1), 1)
        watch = Watch(self.engine, Upkeep(UpkeepTable(1)), SourceTable(1))
        watch.warm_up()
        self.reactor = Reactor(self.handler, watch, idle_s=idle_s)
        self.port = open_port("127.0.0.1", 0, receive_buffer=1 << 20, send_buffer=1 << 20)
        self.reactor.add_port(self.port)
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, data: bytes) -> None:
        self.sender.sendto(data, self.port.address)

    def __enter__(self) -> Loop:
        self.reactor.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.reactor.stop()
        self.engine.close()
        self.sender.close()


def test_datagrams_and_ticks_reach_the_handler() -> None:
    with Loop() as loop:
        loop.send(b"hello")
        loop.handler.wait_for(lambda events: b"hello" in events and events.count("tick") >= 3)
        assert loop.reactor.alive
    assert not loop.reactor.alive


def test_a_tick_comes_as_soon_as_the_handler_wants_it() -> None:
    with Loop() as loop:
        loop.handler.wanted_s = 0.01
        # In the 5 s that are waited for there are 25 ticks otherwise.
        loop.handler.wait_for(lambda events: events.count("tick") >= 60)


def test_what_was_forwarded_is_booked_before_a_short_media_timeout_is_over() -> None:
    """With 300 ms a channel with sound went off air and came back every half second."""
    with Loop(idle_s=0.01) as loop:
        loop.handler.wait_for(lambda events: events.count("tick") >= 60)
    for timeout_ms, idle_s in ((300, 0.15), (2_000, 0.5)):
        media = {"listen": ["127.0.0.1:0"], "media_timeout": f"{timeout_ms}ms", "listeners_max": 1}
        relay = build(Config.model_validate({"media": media}))
        relay.reactor.stop()
        relay.engine.close()
        assert relay.reactor.idle_s == idle_s


def test_a_call_runs_in_the_media_thread_and_brings_its_result_or_its_error() -> None:
    with Loop() as loop:
        assert loop.reactor.call(lambda: threading.current_thread().name).result(5) == "loa-media"

        def fail() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            loop.reactor.call(fail).result(5)


def test_a_mistake_in_a_handler_is_counted_and_the_loop_goes_on() -> None:
    with Loop() as loop:
        loop.send(b"fault")
        loop.handler.wait_for(lambda events: b"fault" in events)
        loop.send(b"after")
        loop.handler.wait_for(lambda events: b"after" in events)
        assert loop.reactor.faults == 1


def test_media_does_not_wait_behind_a_pile_of_work() -> None:
    loop = Loop()
    slow = 200

    def work() -> None:
        busy_until = time.perf_counter() + 0.0005
        while time.perf_counter() < busy_until:
            pass
        loop.handler.note("work")

    loop.handler.todo = [work] * slow
    loop.handler.todo.insert(3, lambda: loop.send(b"sound"))
    with loop:
        loop.handler.wait_for(lambda events: b"sound" in events)
        done = loop.handler.events[: loop.handler.events.index(b"sound")].count("work")
        # The work budget is 1 ms: a handful of pieces at most before the socket is looked at again.
        assert done < 20
        loop.handler.wait_for(lambda events: events.count("work") == slow)


def test_a_removed_port_is_closed_and_read_no_more() -> None:
    with Loop() as loop:
        loop.reactor.call(lambda: loop.reactor.remove_port(loop.port)).result(5)
        assert loop.port.socket.fileno() == -1


def test_a_taken_port_is_one_clear_line() -> None:
    first = open_port("127.0.0.1", 0, receive_buffer=1 << 16, send_buffer=1 << 16)
    try:
        with pytest.raises(ConfigurationError, match=r"media\.listen: UDP port 127\.0\.0\.1:\d+ is in use"):
            open_port("127.0.0.1", first.address[1], receive_buffer=1 << 16, send_buffer=1 << 16)
        with pytest.raises(ConfigurationError, match="not an address of this machine"):
            open_port("192.0.2.1", 0, receive_buffer=1 << 16, send_buffer=1 << 16)
    finally:
        first.close()


def test_a_command_is_decided_on_what_came_before_it() -> None:
    loop = Loop()
    control = open_ports("127.0.0.1", 0, receive_buffer=1 << 20, send_buffer=1 << 20)
    for port in control:
        loop.reactor.add_port(port)
    with loop:
        loop.handler.wait_for(lambda events: "tick" in events)
        for _ in range(20):
            loop.handler.events.clear()
            loop.sender.sendto(b"\x16goodbye", control[0].address)
            seen = loop.reactor.call(lambda: list(loop.handler.events)).result(5)
            assert b"\x16goodbye" in seen
