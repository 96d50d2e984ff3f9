"""Which hours are quiet."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from loacodecs.errors import ConfigurationError
from loaedge.local.quiet import QuietHours

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-26T{text}").replace(tzinfo=HANOI)


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        ("20:59:59.999999", False),
        ("21:00", True),
        ("23:59:59", True),
        ("00:00", True),
        ("03:15", True),
        ("04:59:59.999999", True),
        ("05:00", False),
        ("12:00", False),
    ],
)
def test_from_nine_to_five(moment: str, quiet: bool) -> None:
    hours = QuietHours()
    assert hours.quiet_at(at(moment)) is quiet
    assert hours.forbids("normal", at(moment)) is quiet
    assert hours.forbids("priority", at(moment)) is quiet
    assert not hours.forbids("emergency", at(moment))


def test_hours_within_a_day() -> None:
    hours = QuietHours.parse("12:00 - 13:30")
    assert hours == QuietHours(time(12), time(13, 30))
    assert [hours.quiet_at(at(t)) for t in ("11:59", "12:00", "13:29", "13:30", "00:00")] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_equal_times_are_never_quiet() -> None:
    hours = QuietHours.parse("00:00-00:00")
    assert hours.never
    assert not hours.forbids("normal", at("03:00"))
    assert not hours.forbids("normal", None)


def test_unknown_time_might_be_night() -> None:
    assert QuietHours().forbids("normal", None)
    assert not QuietHours().forbids("emergency", None)


@pytest.mark.parametrize("text", ["", "21:00", "21-05", "21:00-25:00"])
def test_hours_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError):
        QuietHours.parse(text)
