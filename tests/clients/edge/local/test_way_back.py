"""When what plays locally gives way again: to live sound with pauses, or to silence. Hand clock throughout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loaedge.local.director import Fallback
from loaedge.local.timetable import Entry, parse_days, parse_time
from tests.support.hand_receiver import RATE, HandReceiver, write_wav

LIVE, LOCAL = 0.5, 0.25


@pytest.fixture
def playing(tmp_path: Path) -> HandReceiver:
    """A receiver whose link is down and whose fallback plays, again and again, without a pause."""
    path = write_wav(tmp_path / "filler.wav", 5.0, LOCAL)
    receiver = HandReceiver("2026-11-26T12:00:00", fallback=Fallback(path, always=True, repeat=True))
    receiver.link(False)
    assert receiver.run(30.0)[-1] == np.float32(LOCAL)
    return receiver


def speak(receiver: HandReceiver, sentence_s: float, pause_s: float) -> None:
    receiver.live.on = True
    receiver.run(sentence_s)
    receiver.live.on = False
    receiver.run(pause_s)


def test_live_sound_with_pauses_comes_through(playing: HandReceiver) -> None:
    """A sender of digital silence, or none (DTX), between sentences is not sounding meanwhile."""
    playing.link(True)
    for _ in range(2):
        speak(playing, 6.0, 1.5)
    playing.live.on = True
    assert np.all(playing.run(6.0)[RATE:] == np.float32(LIVE))


def test_live_sound_whose_relay_does_not_answer_any_more_is_not_gone_back_to(playing: HandReceiver) -> None:
    """Or else there would be silence until the link is found to be down."""
    playing.link(True)
    playing.live.on = True
    playing.run(4.0)
    playing.live.on = False
    playing.link(True, unanswered=playing.now)
    assert np.all(playing.run(12.0) == np.float32(LOCAL))


def test_the_fallback_ends_with_the_outage_though_nothing_is_on_air(playing: HandReceiver) -> None:
    playing.link(True)
    playing.run(20.0)
    assert playing.selector.sounding.source == "silence"
    playing.leap(86_400.0)  # nor does it go on after the night
    assert not np.any(playing.run(10.0))


def test_the_fallback_outlasts_a_short_appearance_of_the_link(playing: HandReceiver) -> None:
    for _ in range(4):
        playing.link(True)
        assert np.all(playing.run(3.0) == np.float32(LOCAL))
        playing.link(False)
        assert np.all(playing.run(3.0) == np.float32(LOCAL))


def test_a_bulletin_of_the_timetable_is_played_to_its_end_though_the_link_is_back(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "news.wav", 40.0, LOCAL)
    entry = Entry("news", parse_days("daily"), parse_time("12:00"), path)
    receiver = HandReceiver("2026-11-26T12:00:00", (entry,))
    receiver.link(False)
    receiver.run(8.0)
    receiver.link(True)
    assert np.count_nonzero(receiver.run(40.0)) > 36 * RATE


@pytest.mark.parametrize(("limit_s", "goes_on"), [(None, True), (3600.0, False)])
def test_an_endless_fallback_goes_on_after_a_bulletin(
    tmp_path: Path, limit_s: float | None, goes_on: bool
) -> None:
    """One with a limit has had its time."""
    filler, path = (
        write_wav(tmp_path / "filler.wav", 5.0, 0.125),
        write_wav(tmp_path / "news.wav", 10.0, LOCAL),
    )
    entry = Entry("news", parse_days("daily"), parse_time("12:01"), path)
    fallback = Fallback(filler, always=True, repeat=True, limit_s=limit_s)
    receiver = HandReceiver("2026-11-26T12:00:00", (entry,), fallback=fallback)
    receiver.link(False)
    assert receiver.run(50.0)[-1] == np.float32(0.125)
    assert receiver.run(15.0)[-1] == np.float32(LOCAL)
    assert (receiver.run(30.0)[-1] == np.float32(0.125)) == goes_on
