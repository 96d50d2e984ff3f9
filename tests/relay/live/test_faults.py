"""The log says which input is at fault, once, and that it is well again."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from relay.live.faults import FaultLog
from tests.support.mixing import MixWorld


class Line:
    """A feed that says what is wrong with it."""

    title = "line"
    reason = ""
    nan = False

    def read(self, out: NDArray[np.float32]) -> bool:
        out[:] = np.nan if self.nan else 0.1
        return not self.reason


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The sentences since the last call."""
    lines = [record.getMessage() for record in caplog.records if record.name == "loa.live"]
    caplog.clear()
    return lines


async def test_a_fault_is_told_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with MixWorld() as world:
        line = Line()
        world.mixed.add_input("studio", line)
        faults = FaultLog(world.studio.channels, lambda: world.now)
        faults.look()
        assert told(caplog) == []
        for seconds in (20.0, 0.5, 18.3):
            line.reason = f"http://tinh/live does not answer; trying again in {seconds} s"
            faults.look()
            world.now += 1
        assert told(caplog) == ["input studio: http://tinh/live does not answer"]
        line.reason = ""
        faults.look()
        assert told(caplog) == [], "not so soon: it may come and go"
        world.now += 60
        faults.look()
        assert told(caplog) == ["input studio is well again"]
        world.mixed.remove_input("studio")
        faults.look()
        assert told(caplog) == []


async def test_samples_that_are_no_sound_are_a_fault_for_as_long_as_they_come() -> None:
    with MixWorld() as world:
        line = Line()
        world.mixed.add_input("studio", line)
        line.nan = True
        world.ticks(5)
        assert "no sound" in world.mixed.state().inputs[0].fault
        line.nan = False
        for _ in range(3):
            world.ticks(5)
            world.now += 60
            state = world.mixed.state()
        assert state.inputs[0].fault == ""
        assert state.inputs[0].cleaned == 5 * 960
