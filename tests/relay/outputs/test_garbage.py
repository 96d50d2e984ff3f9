"""What outputs leave behind when they are over: nothing that only the collector would find.

What is alive is set aside every 20 s, and a circle there is never found: a leak with each file, and each listener.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from loacodecs.ogg import OggOpusWriter
from relay.outputs.stream import OggStream
from tests.support.hand_recorder import Studio
from tests.support.on_air import Programme

pytestmark = pytest.mark.usefixtures("uncollected")


def left() -> int:
    return sum(isinstance(each, OggOpusWriter) for each in gc.get_objects())


def test_a_recording_that_is_finished_leaves_nothing(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.play(1)
    assert left() == 1
    studio.wait(62)
    assert left() == 0
    studio.play(1)
    studio.disk.room = 0
    studio.play(3)
    assert studio.recorder.fault
    assert left() == 0


def test_a_stream_that_nobody_hears_any_more_leaves_nothing() -> None:
    programme, title = Programme(), ["one"]
    stream = OggStream("xa", lambda: title[0], lambda: 7, programme.now)
    stream.prime(programme.take(1), programme.now)
    title[0] = "another"
    for _ in range(4):
        programme.pause(1.0)
        stream.turn(programme.now)
    assert stream.close()
    del stream
    assert left() == 0
