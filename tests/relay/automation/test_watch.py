"""A source is silent late enough for a pause, and back soon enough for a speaker."""

from __future__ import annotations

from collections.abc import Iterator

from relay.automation.settings import WatchSettings
from relay.automation.watch import SourceWatch, Verdict


def looks(watch: SourceWatch, start: float, seconds: float, level: float) -> Iterator[tuple[float, Verdict]]:
    """Looked at ten times a second: when, and the verdict."""
    for number in range(round(seconds * 10) + 1):
        now = start + number / 10
        yield round(now, 1), watch.look(now, level)


def changes(found: Iterator[tuple[float, Verdict]]) -> dict[Verdict, float]:
    """When each verdict was first given."""
    firsts: dict[Verdict, float] = {}
    for now, verdict in found:
        firsts.setdefault(verdict, now)
    return firsts


def test_warned_after_ten_seconds_silent_after_twenty_back_after_five() -> None:
    watch = SourceWatch()
    assert changes(looks(watch, 0, 21, -46)) == {
        Verdict.HEARD: 0.0,
        Verdict.WARNED: 10.0,
        Verdict.SILENT: 20.0,
    }
    assert changes(looks(watch, 21, 7, -44)) == {Verdict.SILENT: 21.0, Verdict.HEARD: 26.0}


def test_sound_takes_a_warning_back_at_once() -> None:
    watch = SourceWatch(WatchSettings(warn_s=1, switch_s=2))
    assert changes(looks(watch, 0, 1.5, -90))[Verdict.WARNED] == 1.0
    assert watch.quiet_s == 1.5
    assert watch.look(1.6, -20) is Verdict.HEARD
    assert watch.quiet_s == 0


def test_what_was_gone_has_to_be_heard_for_a_while() -> None:
    watch = SourceWatch()
    watch.look(0, -20)
    watch.lose()
    assert changes(looks(watch, 10, 6, -20)) == {Verdict.SILENT: 10.0, Verdict.HEARD: 15.0}


def test_time_between_two_looks_is_told_by_the_clock_alone() -> None:
    watch = SourceWatch(WatchSettings(warn_s=1, switch_s=2))
    for now in (0.0, 0.033, 0.5, 0.51, 1.2, 1.999):
        watch.look(now, -90)
    assert watch.verdict is Verdict.WARNED
    assert watch.look(2.0, -90) is Verdict.SILENT


def test_a_process_that_stood_still_accuses_nobody() -> None:
    watch = SourceWatch()
    watch.look(0, -20)
    assert watch.look(3600, -90) is Verdict.HEARD
