"""Reading a TOML table with care: every mistake is one line with the key's path, and all are found at once.

The relay uses pydantic for this; a receiver does not, because that would cost it a tenth of its memory.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from loacodecs.errors import ConfigurationError

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)")

T = TypeVar("T")


class InvalidConfiguration(ConfigurationError):  # noqa: N818 (it is one of the ConfigurationErrors)
    """All mistakes of a configuration; `lines` has a sentence for each, beginning with its key."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = tuple(lines)


def parse_duration(text: str) -> float:
    """Seconds in "700ms", "10s", "5m" or "1h". Raises ConfigurationError, also for a number without unit."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise ConfigurationError(f"{text!r} is not a duration; write 700ms, 10s, 5m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


class Table:
    """One table of the file. Take its keys, then `finish`: what nobody took is unknown.

    A value that cannot be is noted among the mistakes, and the default stands in for it.
    """

    def __init__(self, values: Mapping[str, Any], mistakes: list[str], path: str = "") -> None:
        self.mistakes = mistakes
        self._values = values
        self._path = path
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def mistake(self, key: str, sentence: str) -> None:
        """Note a mistake."""
        self.mistakes.append(f"{self._path}{key} {sentence}")

    def finish(self) -> None:
        """Note every key that was not asked for."""
        for key in self._values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1)
                self.mistake(key, "is not known" + (f"; is {near[0]} meant?" if near else ""))

    def text(self, key: str, default: str) -> str:
        """A text."""
        value: str = self._take(key, default, "must be a text in quotes", lambda v: isinstance(v, str))
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value: bool = self._take(key, default, "must be true or false", lambda v: isinstance(v, bool))
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        sentence = f"must be a number from {low:g} to {high:g}"
        return float(self._take(key, default, sentence, lambda v: _is_number(v) and low <= v <= high))

    def choice(self, key: str, default: T, choices: Mapping[str, T]) -> T:
        """One of a few words, given as what it stands for."""
        word = self._take(
            key, None, f"must be one of {', '.join(choices)}", lambda v: isinstance(v, str) and v in choices
        )
        return default if word is None else choices[word]

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text is a list of one."""
        value = self._take(key, [], "must be a list of texts in quotes", _is_texts)
        return (value,) if isinstance(value, str) else tuple(value)

    def duration(self, key: str, default: T, low: float, high: float) -> float | T:
        """Seconds, written as a text with a unit, from `low` to `high` seconds."""
        value: float | T = self.parsed(key, default, lambda text: _between(parse_duration(text), low, high))
        return value

    def path(self, key: str, default: T, folder: Path) -> Path | T:
        """A path; one that is not absolute is taken from `folder`."""
        value: Path | T = self.parsed(key, default, lambda text: folder / _expanded(text))
        return value

    def parsed(self, key: str, default: T, parse: Callable[[str], Any]) -> Any:
        """What `parse` makes of a text; its ConfigurationError is the mistake."""
        value = self._take(key, None, "must be a text in quotes", lambda v: isinstance(v, str) and bool(v))
        if value is None:
            return default
        try:
            return parse(value)
        except ConfigurationError as error:
            self.mistake(key, f"cannot be: {error}")
            return default

    def table(self, key: str) -> Table:
        """A table within; empty when it is not there."""
        value = self._take(key, {}, "must be a table", lambda v: isinstance(v, dict))
        return Table(value, self.mistakes, f"{self._path}{key}.")

    def tables(self, key: str) -> Iterator[Table]:
        """Each of an array of tables."""
        value = self._take(key, [], f"must be written as [[{key}]]", _is_tables)
        for index, entry in enumerate(value):
            yield Table(entry, self.mistakes, f"{self._path}{key}[{index}].")

    def _take(self, key: str, default: Any, sentence: str, is_right: Callable[[Any], bool]) -> Any:
        self._known.append(key)
        if key not in self._values:
            return default
        value = self._values[key]
        if is_right(value):
            return value
        self.mistake(key, sentence)
        return default


def _expanded(text: str) -> Path:
    if "\0" in text:
        raise ConfigurationError("no path has a NUL in it")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigurationError(f"nobody knows the home of {text.partition('/')[0]}") from None


def _between(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ConfigurationError(f"it must lie between {in_words(low)} and {in_words(high)}")
    return value


def in_words(seconds: float) -> str:
    """A duration as it is written in the file."""
    return f"{seconds:g}s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:g}ms"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
