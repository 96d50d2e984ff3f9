"""A source that is closed leaves no thread and lets nobody wait; a program that ends while one plays ends well."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from loamedia import feeding
from loamedia.player import Player
from loamedia.spec import parse_spec
from tests.support.bounds import left_behind, threads, within
from tests.support.media_files import tone_file, write_end
from tests.support.web_radio import Asked, web_radio

PROGRAM = """
import itertools, sys
import numpy as np
from loamedia import feeding, player
from loamedia.spec import parse_spec
block = np.zeros((2, 240_000), np.float32)
feeding.decode = lambda *_, **__: itertools.repeat(block)
player._RING_S = dict.fromkeys(player._RING_S, 100.0)
source = player.Player(parse_spec(sys.argv[1]))
source.pull(48_000)
"""
"""So much room that the thread goes into soxr and comes out of it for as long as the program takes to end."""


def test_a_program_may_end_while_a_live_source_plays(tmp_path: Path) -> None:
    """The thread is in soxr then, which takes the interpreter's lock again where nothing may be thrown."""
    sound = tone_file(tmp_path / "a.mp3", 20.0).read_bytes()

    def respond(asked: Asked) -> None:
        asked.answer("200 OK", {"Content-Type": "audio/mpeg", "icy-name": "x"})
        while True:
            asked.send(sound)

    with web_radio(respond) as radio:
        command = [sys.executable, "-c", PROGRAM, radio.url("/live")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def before_clearing(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What is to happen just before a thread of a source, or who waits for one, forgets its news the next time."""
    waiting: list[Callable[[], None]] = []

    class Event(threading.Event):
        def clear(self) -> None:
            if waiting:
                waiting.pop()()
            super().clear()

    monkeypatch.setattr(feeding, "threading", SimpleNamespace(Event=Event, Thread=threading.Thread))
    return waiting


def test_closing_just_before_the_ring_is_full_ends_the_thread(
    tmp_path: Path, before_clearing: list[Callable[[], None]]
) -> None:
    before = threads()
    opened = threading.Event()

    def close() -> None:
        assert opened.wait(5)
        player.close()

    before_clearing.append(close)
    player = Player(parse_spec(str(tone_file(tmp_path / "a.wav", 20.0))))
    opened.set()
    assert left_behind(before) == []


def test_closing_just_before_somebody_waits_for_sound_ends_the_wait(
    tmp_path: Path, before_clearing: list[Callable[[], None]]
) -> None:
    before = threads()
    player = Player(parse_spec(str(tone_file(tmp_path / "a.wav", 0.5))))
    assert left_behind(before) == [], "all of it is in the ring"
    before_clearing.append(player.close)
    with within(5.0, "it waits for ever"):
        player.pull(1 << 20)


def test_closing_just_before_somebody_waits_for_the_opening_ends_the_wait(
    tmp_path: Path, before_clearing: list[Callable[[], None]]
) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    player = Player(parse_spec(str(pipe)))
    writer = write_end(pipe)
    before_clearing.append(player.close)
    try:
        with within(5.0, "it waits for ever"):
            player.wait_opened()
    finally:
        os.close(writer)  # lets FFmpeg go
