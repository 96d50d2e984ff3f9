"""Durations as text."""

from __future__ import annotations

import pytest

from relay.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("1.5s", 1.5),
        ("2m", 120),
        ("8h", 28_800),
        ("1h30m", 5400),
        ("7d", 604_800),
        (" 10 S ", 10),
        ("0s", 0),
    ],
)
def test_text_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "10x", "-1s", "1s2", "10 seconds", "1e3s", "\u0661s", "nan"])
def test_anything_else_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="500ms, 10s or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [0.5, 0.02, 1, 10, 60, 90, 3600, 5400, 86_400, 1.5])
def test_formatting_reads_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)
