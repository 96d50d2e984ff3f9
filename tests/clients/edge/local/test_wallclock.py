"""Whose clock is believed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

import loaedge.local.wallclock as module
from loacodecs.errors import ConfigurationError
from loaedge.local.wallclock import EARLIEST, WallClock, find_zone

NOW = EARLIEST + 30_000_000.0


class Relay:
    """A clock that was exchanged, or not."""

    def __init__(self, offset: float | None) -> None:
        self.offset = offset

    def relay_time(self, local: float) -> float | None:
        return None if self.offset is None else local + self.offset


def test_the_relay_is_believed_before_the_system() -> None:
    wall = WallClock(Relay(NOW), find_zone())
    wall.note_system(NOW + 500, 0.0)
    assert wall.unix(10.0) == NOW + 10
    assert wall.source(10.0) == "relay"


def test_the_system_goes_on_from_where_it_was_noted() -> None:
    wall = WallClock(Relay(None), find_zone())
    wall.note_system(NOW, 100.0)
    assert wall.unix(160.0) == NOW + 60
    assert wall.source(160.0) == "system"


@pytest.mark.parametrize("wrong", [0.0, 1000.0, EARLIEST - 1, -5.0, 5e9, float("inf"), float("nan")])
def test_an_impossible_clock_is_no_clock(wrong: float) -> None:
    wall = WallClock(Relay(wrong), find_zone())
    wall.note_system(wrong, 0.0)
    assert wall.unix(0.0) is None
    assert wall.local_time(0.0) is None
    assert wall.source(0.0) == "unknown"


def test_a_system_clock_from_before_the_last_settings_is_wrong_and_the_relay_mends_it() -> None:
    relay = Relay(None)
    wall = WallClock(relay, find_zone(), floor=NOW)
    wall.note_system(NOW - 60, 0.0)
    assert wall.unix(0.0) is None
    relay.offset = NOW - 3600  # a floor from a relay gone wrong must not last
    assert wall.unix(0.0) == NOW - 3600


def test_a_clock_that_is_set_while_we_run_is_followed() -> None:
    wall = WallClock(None, find_zone())
    wall.note_system(12.0, 0.0)
    assert wall.unix(1.0) is None
    wall.note_system(NOW, 5.0)
    assert wall.unix(6.0) == NOW + 1


def test_without_a_database_the_offset_of_vietnam(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_known(_name: str) -> object:
        raise module.ZoneInfoNotFoundError

    monkeypatch.setattr(module, "ZoneInfo", none_known)
    zone = find_zone("Asia/Ho_Chi_Minh")
    assert datetime(2026, 6, 1, tzinfo=zone).utcoffset() == timedelta(hours=7)


@pytest.mark.parametrize("name", ["Asia/Hochiminh", "", "../etc/passwd", "/etc/localtime", "Asia"])
def test_a_name_that_is_no_zone_is_a_mistake(name: str) -> None:
    with pytest.raises(ConfigurationError):
        find_zone(name)
