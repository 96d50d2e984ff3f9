"""Sound goes on whatever the device does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from loacodecs.backoff import Backoff
from loaedge.outputs.output import Output, OutputError, Pcm, Ready, Render, all_ready
from loaedge.outputs.player import MOST_STUCK, Player
from tests.support.waiting import until

Act = Callable[[Render, threading.Event], None]


class Device:
    """An output that does what the test says."""

    def __init__(self, act: Act, name: str = "fake") -> None:
        self.name = name
        self.latency_s = 0.1
        self.commit_s = 0.04
        self.underruns = 1
        self._act = act

    def play(self, render: Render, stop: threading.Event, ready: Ready = all_ready) -> None:
        self._act(render, stop)


def sounds(render: Render, stop: threading.Event) -> None:
    while not stop.wait(0.005):
        render(48, 0.0)


def is_pulled(render: Render, stop: threading.Event) -> None:
    render(48, 0.0)
    raise OutputError("the device was pulled")


def silence(frames: int, heard_at: float) -> Pcm:
    return np.zeros((frames, 1), np.float32)


def opener(*acts: Act) -> Callable[[], Output]:
    """Opens devices that act so in turn; the last one again and again."""
    turns = list(acts)
    return lambda: Device(turns.pop(0) if len(turns) > 1 else turns[0])


@pytest.fixture
def play() -> Iterator[Callable[..., Player]]:
    players: list[Player] = []

    def start(open_device: Callable[[], Output], render: Render = silence, *, hang_s: float = 0.2) -> Player:
        backoff = Backoff(lambda count: bytes(count), first_s=0.01, limit_s=0.02)
        players.append(Player(open_device, render, hang_s=hang_s, backoff=backoff))
        players[-1].start()
        return players[-1]

    yield start
    for player in players:
        player.stop()


def test_it_plays_and_says_so(play: Callable[..., Player]) -> None:
    player = play(opener(sounds))
    until(lambda: player.state.running)
    assert player.state.device == "fake"
    assert player.state.latency_ms == 100
    assert player.state.lost == 0
    player.stop()
    assert not player.state.running


def test_a_device_that_is_pulled_is_opened_again(play: Callable[..., Player]) -> None:
    player = play(opener(is_pulled, is_pulled, sounds))
    until(lambda: player.state.running and player.state.lost == 2)
    assert player.state.underruns == 3
    until(lambda: player.state.problem == "")


def test_a_device_that_is_not_there_is_waited_for(play: Callable[..., Player]) -> None:
    missing = threading.Event()
    missing.set()

    def open_device() -> Output:
        if missing.is_set():
            raise OutputError("no such device")
        return Device(sounds)

    player = play(open_device)
    until(lambda: player.state.problem == "no such device")
    assert not player.state.running
    missing.clear()
    until(lambda: player.state.running)
    assert player.state.lost == 0


def test_a_device_that_hangs_is_left_behind_and_gets_no_more_sound(play: Callable[..., Player]) -> None:
    release, refused = threading.Event(), threading.Event()

    def hangs(render: Render, stop: threading.Event) -> None:
        render(48, 0.0)
        release.wait(10)
        try:
            render(48, 0.0)
        except OutputError:
            refused.set()

    player = play(opener(hangs, sounds))
    until(lambda: player.state.running and player.state.lost == 1)
    release.set()
    assert refused.wait(5)


def test_a_driver_that_always_hangs_does_not_eat_threads(play: Callable[..., Player]) -> None:
    release = threading.Event()
    opened = []

    def open_device() -> Output:
        opened.append(1)
        release.wait(10)
        raise OutputError("gone")

    player = play(open_device, hang_s=0.02)
    until(lambda: len(opened) == MOST_STUCK)
    until(lambda: "hangs" in player.state.problem)
    assert not release.wait(0.3)
    assert len(opened) == MOST_STUCK
    release.set()
    until(lambda: len(opened) > MOST_STUCK)


def test_an_output_that_simply_ends_is_opened_again(play: Callable[..., Player]) -> None:
    player = play(opener(lambda render, stop: None, sounds))
    until(lambda: player.state.running)


def test_a_fault_in_the_programme_does_not_end_the_player(
    play: Callable[..., Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda hooked: faults.append(hooked.exc_type))
    calls = []

    def render(frames: int, heard_at: float) -> Pcm:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return silence(frames, heard_at)

    player = play(opener(sounds), render)
    until(lambda: player.state.running)
    assert faults == [ZeroDivisionError]


def test_stop_returns_although_the_device_hangs(play: Callable[..., Player]) -> None:
    release, began = threading.Event(), threading.Event()

    def hangs(render: Render, stop: threading.Event) -> None:
        began.set()
        release.wait(20)

    player = play(opener(hangs), hang_s=30)
    assert began.wait(5)
    player.stop()
    assert not player.state.running
    release.set()


class HandClock:
    """A clock that goes on whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.002
        return self.now


def test_a_device_that_is_long_in_opening_is_waited_for() -> None:
    clock, opened = HandClock(), []

    def open_device() -> Output:
        opened.append(1)
        until(lambda: clock.now > 0.1)  # a sound server that does not answer, and then the next device
        return Device(sounds)

    player = Player(open_device, silence, hang_s=0.04, clock=clock)
    player.start()
    try:
        until(lambda: player.state.running)
        assert len(opened) == 1
        assert player.state.lost == 0
    finally:
        player.stop()


def test_a_machine_that_gives_no_thread_is_asked_again(
    play: Callable[..., Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refusals = threading.Thread.start, [1, 1, 1]

    def start(thread: threading.Thread) -> None:
        if thread.name == "loa-sound" and refusals:
            refusals.pop()
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    player = play(opener(sounds))
    until(lambda: player.state.running)
    assert not refusals
