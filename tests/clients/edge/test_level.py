"""Levels and the line that shows them."""

from __future__ import annotations

import errno
import io
import os

import numpy as np
import pytest

from loaedge.level import FLOOR_DBFS, LevelMeter, StatusLine, audio_level, bar, clock
from tests.support.tones import tone


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_sine_has_its_level() -> None:
    meter = LevelMeter()
    meter.add(tone(1000, 1.0, amplitude=0.5))
    level = meter.take()
    assert level.rms == pytest.approx(-9.03, abs=0.01)
    assert level.peak == pytest.approx(-6.02, abs=0.01)
    assert level.samples == 48000
    assert not level.silent


def test_a_window_begins_anew_and_the_mean_does_not() -> None:
    meter = LevelMeter()
    meter.add(tone(1000, 1.0, amplitude=0.5))
    meter.take()
    meter.add(np.zeros(48000, np.float32))
    assert meter.pending == 48000
    assert meter.take().rms == FLOOR_DBFS
    assert meter.mean == pytest.approx(-9.03 - 3.01, abs=0.01)
    assert meter.take().samples == 0


def test_broken_samples_break_nothing() -> None:
    meter = LevelMeter()
    meter.add(np.array([np.nan, np.inf, -np.inf, 0.0], np.float32))
    assert meter.take().peak == 0.0
    assert audio_level(np.array([np.nan], np.float32)) == 127


@pytest.mark.parametrize(("amplitude", "level"), [(0.0, 127), (1.0, 3), (0.1, 23), (2.0, 0), (1e-9, 127)])
def test_the_level_octet_of_rfc_6464(amplitude: float, level: int) -> None:
    assert audio_level(tone(1000, 0.02, amplitude=amplitude)) == level


def test_the_bar_grows_with_the_level() -> None:
    assert bar(-60, cells=6) == "░░░░░░"
    assert bar(-30, cells=6, unicode=False) == "###..."
    assert bar(6, cells=6) == "██████"


def test_elapsed_time() -> None:
    assert [clock(s) for s in (0, 7.9, 754, 3723)] == ["0:00", "0:07", "12:34", "1:02:03"]


def test_a_terminal_line_is_rewritten_in_place() -> None:
    terminal = Terminal()
    line = StatusLine(terminal, refresh_s=0.1)
    for now in (0.0, 0.1, 0.15, 0.2):
        line.show(f"at {now}", now)
    line.say("an event")
    text = terminal.getvalue()
    assert "at 0.1\x1b" in text
    assert "at 0.15" not in text
    assert "at 0.2\x1b" in text
    assert text.endswith("\r\x1b[Kan event\n")


def test_elsewhere_plain_lines_come_seldom() -> None:
    log = io.StringIO()
    line = StatusLine(log, log_interval_s=10.0)
    for second in range(25):
        line.show(f"second {second}", float(second))
    line.say("an event")
    assert log.getvalue() == "second 10\nsecond 20\nan event\n"


class FullDisk(io.StringIO):
    """A log that takes nothing while `error` is set."""

    error = 0

    def write(self, text: str) -> int:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return super().write(text)


def test_a_log_on_a_full_disk_ends_nothing() -> None:
    log = FullDisk()
    line = StatusLine(log)
    log.error = errno.ENOSPC
    line.say("nobody hears this")
    log.error = 0
    line.say("again")
    assert log.getvalue() == "again\n"
    log.error = errno.EPIPE
    with pytest.raises(BrokenPipeError):
        line.say("to nobody")
