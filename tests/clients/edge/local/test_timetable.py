"""What is due when, also on the days when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from loacodecs.errors import ConfigurationError
from loaedge.local.timetable import Entry, Timetable, parse_days, parse_time

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
BERLIN = ZoneInfo("Europe/Berlin")
DAILY = parse_days("daily")


def entry(at: str = "05:30", days: str = "daily", name: str = "news", **more: object) -> Entry:
    return Entry(name, parse_days(days), parse_time(at), Path("news.opus"), **more)  # type: ignore[arg-type]


def names(table: Timetable, moment: datetime) -> list[str]:
    return [item.entry.name for item in table.due(moment)]


def test_an_entry_is_due_from_its_time_until_it_is_too_late() -> None:
    table = Timetable([entry(late_s=600)], HANOI)
    at = datetime(2026, 11, 26, 5, 30, tzinfo=HANOI)
    assert names(table, at - timedelta(milliseconds=1)) == []
    assert names(table, at) == ["news"]
    assert names(table, at + timedelta(seconds=599.9)) == ["news"]
    assert names(table, at + timedelta(seconds=600)) == []


def test_the_moment_may_come_in_any_zone() -> None:
    table = Timetable([entry()], HANOI)
    assert names(table, datetime(2026, 11, 25, 22, 30, tzinfo=UTC)) == ["news"]


def test_the_weekday_is_that_of_the_receiver() -> None:
    table = Timetable([entry("06:00", "thu")], HANOI)
    assert names(table, datetime(2026, 11, 26, 6, 1, tzinfo=HANOI)) == [
        "news"
    ]  # a Thursday; Wednesday in UTC
    assert names(table, datetime(2026, 11, 27, 6, 1, tzinfo=HANOI)) == []


def test_a_late_evening_entry_is_still_due_after_midnight() -> None:
    table = Timetable([entry("23:55", "thu")], HANOI)
    due = table.due(datetime(2026, 11, 27, 0, 1, tzinfo=HANOI))
    assert [item.day for item in due] == [date(2026, 11, 26)]


def test_the_highest_class_comes_first_then_the_latest() -> None:
    table = Timetable(
        [
            entry("05:30", name="a"),
            entry("05:31", name="b"),
            entry("05:29", name="flood", kind="emergency"),
            entry("05:30", name="p", kind="priority"),
        ],
        HANOI,
    )
    assert names(table, datetime(2026, 11, 26, 5, 32, tzinfo=HANOI)) == ["flood", "p", "b", "a"]


def test_nothing_is_due_while_the_time_is_unknown() -> None:
    assert Timetable([entry()], HANOI).due(None) == ()


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Timetable([entry()], HANOI).due(datetime(2026, 11, 26, 5, 30))


@pytest.mark.parametrize(("at", "first"), [("02:30", "03:30"), ("01:59", "01:59"), ("03:00", "03:00")])
def test_a_skipped_time_falls_behind_the_gap(at: str, first: str) -> None:
    table = Timetable([entry(at, late_s=60)], BERLIN)
    begins = starts_within(table, datetime(2026, 3, 28, 23, tzinfo=UTC), hours=5)
    assert [moment.astimezone(BERLIN).strftime("%H:%M") for moment in begins] == [first]


@pytest.mark.parametrize("at", ["02:30", "02:00", "03:00", "01:59"])
def test_a_time_that_comes_twice_counts_once(at: str) -> None:
    table = Timetable([entry(at, late_s=60)], BERLIN)
    begins = starts_within(table, datetime(2026, 10, 24, 22, 30, tzinfo=UTC), hours=5)
    assert len(begins) == 1
    assert begins[0].astimezone(BERLIN).fold == 0


def starts_within(table: Timetable, begin: datetime, hours: int) -> list[datetime]:
    """The minutes at which something new is due."""
    found = []
    for minute in range(hours * 60):
        moment = begin + timedelta(minutes=minute)
        found += [moment for item in table.due(moment) if item.starts == moment]
    return found


def test_every_day_of_a_year_has_one_start_in_a_zone_that_changes_its_clocks() -> None:
    table = Timetable([entry("02:30", late_s=60)], BERLIN)
    day = datetime(2026, 1, 1, tzinfo=UTC)
    starts = {item.starts for n in range(365 * 24 * 2) for item in table.due(day + timedelta(minutes=30 * n))}
    assert len(starts) == 365


def test_next_start_and_nearness() -> None:
    table = Timetable([entry("05:30", "mon")], HANOI)
    now = datetime(2026, 11, 26, 12, 0, tzinfo=HANOI)
    start = table.next_start(now)
    assert start == datetime(2026, 11, 30, 5, 30, tzinfo=HANOI)
    assert not table.near(start - timedelta(seconds=31), 30)
    assert table.near(start - timedelta(seconds=30), 30)
    assert table.near(start + timedelta(seconds=30), 30)
    assert Timetable([], HANOI).next_start(now) is None


def test_days_and_times_as_people_write_them() -> None:
    assert parse_days("mon-fri") == {0, 1, 2, 3, 4}
    assert parse_days("Sat-Mon") == {5, 6, 0}
    assert parse_days(["sun", "wed"]) == {6, 2}
    assert parse_time("5:05") == time(5, 5)


@pytest.mark.parametrize("text", ["24:00", "5", "05:60", "05:30:10", "", "-1:00"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_time(text)


@pytest.mark.parametrize("text", ["", "monday", "mon-", "mon-funday", "-"])
def test_days_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_days(text)


@pytest.mark.parametrize(
    "more",
    [{"kind": "urgent"}, {"limit_s": 0.0}, {"volume_db": float("nan")}, {"late_s": 1.0}, {"name": ""}],
)
def test_entries_that_make_no_sense(more: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        entry(**more)  # type: ignore[arg-type]


def test_names_tell_entries_apart() -> None:
    with pytest.raises(ConfigurationError, match="two programmes"):
        Timetable([entry(), entry("06:00")], HANOI)
