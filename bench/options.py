"""Values of options that several scenarios have: lengths of time, and files that must be writable in the end."""

from __future__ import annotations

import os
from pathlib import Path

import click


class Seconds(click.ParamType[float]):
    """A length of time: a number of seconds, or with a unit as in "90s", "5m" or "1h30m"."""

    name = "time"

    def __init__(self, low: float, high: float) -> None:
        self._low = low
        self._high = high

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; fails with a sentence for people."""
        from relay.duration import format_duration, parse_duration

        try:
            seconds = float(str(value))
        except ValueError:
            try:
                seconds = parse_duration(str(value))
            except ValueError:
                self.fail(f"{value!r} is not a duration; write seconds, or 90s, 5m or 1h", param, ctx)
        if not self._low <= seconds <= self._high:
            self.fail(f"must be {format_duration(self._low)} to {format_duration(self._high)}", param, ctx)
        return seconds

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What help shows."""
        return "TIME"


def require_writable(path: Path) -> None:
    """Make the folder of `path`, and see that it can be written: before the run, for afterwards its report is lost.

    Raises click.ClickException.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"{path}: {(error.strerror or str(error)).lower()}; choose another file"
        ) from None
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise click.ClickException(f"{path} cannot be written; choose another file")
