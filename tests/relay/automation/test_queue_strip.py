"""The queue on air: what begins is heard whole, and by whom it is set it stays set."""

from __future__ import annotations

import numpy as np
import pytest

from relay.automation_ports import InputChange
from tests.support.hand_mixer import HandSource, endless, tone_source
from tests.support.hand_station import Station, Switch, hertz, two
from tests.support.tones import level_dbfs, tone


def test_what_is_queued_while_the_last_of_the_queue_fades_is_whole() -> None:
    """A queue that was emptied, and is given something else before the list is back."""
    station = two(Switch())
    news = tone_source(1200, 4.0, state="opening")
    station.opens |= {"old": HandSource(generate=endless(1000)), "news": news}
    station.add("old")
    station.run(1)
    station.automation.queue.clear()
    station.automation.queue_changed(station.now, station.now)
    station.run(0.2)
    station.add("news")
    station.run(0.1)
    news.open()
    station.run(0.1)
    assert (station.on_air, news.position) == ("queue", 0)
    heard = station.mixer.hear(1)
    station.run(1)
    assert np.abs(heard).max() > 0.2, "at full from its first sample on"


def test_what_follows_an_item_that_fell_silent_is_whole() -> None:
    """The list took over from the silence; the next item does not begin unheard beneath it."""
    station = two(Switch())
    ends_silent = np.concatenate((tone(1000, 2.0), np.zeros(28 * 48_000, np.float32)))
    news = tone_source(1200, 8.0)
    station.opens |= {"old": HandSource(ends_silent), "news": news}
    station.add("old", "news")
    station.run(29)
    assert station.on_air == "tinh"
    station.run(1.1)
    assert station.on_air == "queue"
    assert news.position_s < 0.11
    assert hertz(station.run(1)[-24_000:]) == pytest.approx(1200, abs=2)
    assert station.verdicts()["queue"] == "heard"


def test_what_was_set_of_the_queue_holds_when_it_was_empty_meanwhile() -> None:
    news = tone_source(1200, 2.0, state="opening")
    station = Station({"old": tone_source(1000, 1.0), "news": news})
    station.add("old")
    station.run(0.2)
    station.automation.change_input("queue", InputChange(gain_db=-6.0, muted=True))
    station.run(4)
    assert "queue" not in station.mixer.inputs
    station.add("news")
    station.run(0.1)
    news.open()
    assert level_dbfs(station.run(1)) < -100, "muted is muted"
    assert station.mixer.inputs["queue"].gains[-1] == -6.0
    station.automation.change_input("queue", InputChange(muted=False))
    assert level_dbfs(station.run(0.5)[-9_600:]) == pytest.approx(-21.05, abs=0.1)


def test_a_queue_that_is_emptied_fades_for_as_long_as_was_asked_for() -> None:
    old = HandSource(generate=endless(1000))
    station = Station({"old": old}, (), {"fade": "4s", "crossfade": "6s"})
    station.add("old")
    station.run(1)
    station.automation.queue.clear()
    station.automation.queue_changed(station.now, station.now)
    station.run(2.5)
    assert level_dbfs(station.mixer.hear(5)) > -35, "on its way, not cut off"
    station.run(2)
    assert "queue" not in station.mixer.inputs
    assert (old.closed, station.automation.idle) == (True, True)
