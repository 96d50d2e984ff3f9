"""Much at once when all is there, little at the last moment when something is missing."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from loaedge.outputs.commit import ASK_S, STEP, LateCommit
from loaedge.outputs.output import DeviceSettings, Pcm, all_ready
from loaedge.outputs.paced import null_output

BLOCK = 4800
LATE = LateCommit(BLOCK, 0.2)


def test_what_is_there_is_rendered_at_once_and_whole() -> None:
    assert LATE.frames(BLOCK, 0.1, 5.0, all_ready) == BLOCK
    assert LATE.frames(2 * BLOCK, 0.01, 5.0, all_ready) == BLOCK


def test_without_room_for_a_block_nobody_is_asked() -> None:
    def never(_frames: int, _heard_at: float) -> int:
        raise AssertionError("asked")

    assert LATE.frames(BLOCK - 480, 0.11, 5.0, never) == 0
    assert LATE.rest_s(BLOCK - 480, 0.11) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("ready", "buffered_s", "frames"),
    [
        (0, 0.1, 0),  # a hole at once: there is time to wait
        (0, 0.031, 0),
        (0, 0.03, STEP),  # there is none left
        (0, -0.01, STEP),
        (1000, 0.1, 0),  # little is there: one large block may do later
        (1000, 0.03, 1000),
        (100, 0.03, STEP),
        (2400, 0.1, 2400),  # what is there is worth a wake-up
        (4000, 0.03, 4000),
    ],
)
def test_what_is_missing_is_waited_for(ready: int, buffered_s: float, frames: int) -> None:
    asked: list[tuple[int, float]] = []

    def answer(most: int, heard_at: float) -> int:
        asked.append((most, heard_at))
        return min(most, ready)

    assert LATE.frames(BLOCK, buffered_s, 5.0, answer) == frames
    assert asked == [(BLOCK, 5.0)]


def test_it_is_looked_again_soon_and_never_after_the_last_moment() -> None:
    assert LATE.rest_s(BLOCK, 0.1) == ASK_S
    assert LATE.rest_s(BLOCK, 0.034) == pytest.approx(0.004)


def test_a_small_device_keeps_half_of_what_it_holds() -> None:
    assert LateCommit(720, 0.03).commit_s == pytest.approx(0.025)
    assert LATE.commit_s == pytest.approx(0.04)


class HandClock:
    """Time that only waiting moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.now += seconds
        if self.now > 110.0:
            stop.set()


def test_an_output_renders_a_hole_just_before_it_is_heard_and_all_else_early() -> None:
    clock, leads = HandClock(), []

    def ready(frames: int, heard_at: float) -> int:
        """What is heard from 105 to 105.06 does not come at all."""
        if 105.0 <= heard_at < 105.06:
            return 0
        return min(frames, round((105.0 - heard_at) * 48000)) if heard_at < 105.0 else frames

    def render(frames: int, heard_at: float) -> Pcm:
        leads.append((heard_at, heard_at - clock.now, frames))
        return np.zeros((frames, 1), np.float32)

    output = null_output(DeviceSettings(0.2), clock=clock, wait=clock.wait)
    output.play(render, threading.Event(), ready)
    hole = [lead for at, lead, _ in leads if 105.0 - 1e-6 <= at < 105.06]
    assert len(hole) == 6
    assert max(hole) <= output.commit_s
    assert min(hole) > 0.015
    assert output.underruns == 0
    assert min(lead for at, lead, _ in leads if not 104.8 < at < 105.2) == pytest.approx(0.1, abs=0.001)
    assert len(leads) < 115
