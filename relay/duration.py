"""Lengths of time as people write them: "500ms", "10s", "1h30m"."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Seconds in `text`: numbers with a unit of ms, s, m, h or d, as in "250ms" or "1h30m".

    Raises ValueError with a sentence when the text is anything else, a number without unit included.
    """
    compact = "".join(text.split()).lower()
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text!r} is not a duration; write a number and a unit such as 500ms, 10s or 1h30m")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back as `seconds`, to the millisecond."""
    if seconds >= 1 and seconds == int(seconds):
        for unit in ("d", "h", "m"):
            if seconds % _SECONDS[unit] == 0:
                return f"{int(seconds / _SECONDS[unit])}{unit}"
        return f"{int(seconds)}s"
    return f"{round(seconds * 1000)}ms"
