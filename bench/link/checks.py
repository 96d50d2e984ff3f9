"""Refusing impossible settings: every message begins with the key it is about."""

from __future__ import annotations

import math
from typing import NoReturn

from loacodecs.errors import ConfigurationError


def refuse(key: str, sentence: str) -> NoReturn:
    """Raise ConfigurationError for the setting `key`."""
    raise ConfigurationError(f"{key}: {sentence}")


def within(key: str, value: float, low: float, high: float = math.inf) -> None:
    """Refuse a value that is no number from `low` to `high`, both included."""
    if not low <= value <= high or math.isinf(value):
        bounds = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        refuse(key, f"{value:g} is not {bounds}")
