"""A line on the console for each change, and none for what has not changed or is said by others."""

from __future__ import annotations

import logging

import pytest

from loaedge.receiver.console import Console


def test_changes_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    console = Console(lambda: ("no sound: unplugged",))
    console.note("live", ())
    console.note("live", ("no sound: unplugged", "news: news.wav: missing"))
    console.note("live", ("no sound: unplugged", "news: news.wav: missing"))
    console.note("quiet hours", ("no sound: unplugged",))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "state: live"),
        ("WARNING", "needs mending: news: news.wav: missing"),
        ("INFO", "state: quiet hours"),
        ("INFO", "in order again: news: news.wav: missing"),
    ]
