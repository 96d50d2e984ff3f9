"""Paths from TOML files. Every mistake is one ConfigurationError that begins with the key's full name.

    name = "hill"
    [both]                       # or [up] and [down], which go before [both] key by key
    duplicate = 0.001
    loss = { mean = 0.02, burst = 3 }
    delay = { base = "60ms", jitter = "50ms", distribution = "pareto", correlation = 0.8, reorder = false }
    bottleneck = { rate = 256_000, queue = 32_768 }
    stalls = { every = "10m", duration = "3s", action = "hold" }

The keys are the fields of the dataclasses of the same names.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from loacodecs.errors import ConfigurationError

from .checks import refuse
from .delay import Seconds
from .model import LinkConfig, PathConfig

_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT_OF_SECONDS: Final = get_args(Seconds)[1]
_T = TypeVar("_T")


def load(file: Path) -> PathConfig:
    """The path a file describes. Raises ConfigurationError, with the file's name before the key."""
    try:
        return parse(file.read_text(encoding="utf-8"), default_name=file.stem)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: is not UTF-8 text") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error


def parse(text: str, default_name: str = "custom") -> PathConfig:
    """The path that TOML text describes. Raises ConfigurationError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"is not TOML: {error}") from error
    _refuse_unknown(table, ("name", "both", "up", "down"), "")
    name = table.get("name", default_name)
    if not isinstance(name, str):
        refuse("name", "is not text")
    both = _table(table.get("both", {}), "both")
    directions = {
        direction: _both_or_own(both, _table(table.get(direction, {}), direction), direction)
        for direction in ("up", "down")
    }
    return PathConfig(directions["up"], directions["down"], name)


def _both_or_own(both: Mapping[str, Any], own: Mapping[str, Any], direction: str) -> LinkConfig:
    """Mistakes under [both] are named there, whichever direction met them first."""
    shared = {key: value for key, value in both.items() if key not in own}
    values = _fields(LinkConfig, shared, "both") | _fields(LinkConfig, own, direction)
    return _construct(LinkConfig, values, direction if "duplicate" in own else "both")


def _build(kind: type[_T], table: Mapping[str, Any], path: str) -> _T:
    return _construct(kind, _fields(kind, table, path), path)


def _construct(kind: type[_T], values: Mapping[str, Any], path: str) -> _T:
    try:
        return kind(**values)
    except ConfigurationError as error:  # begins with the field's own name
        raise ConfigurationError(f"{path}.{error}") from error


def _fields(kind: type[Any], table: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The arguments of a dataclass that a table gives."""
    hints = get_type_hints(kind, include_extras=True)
    _refuse_unknown(table, [field.name for field in dataclasses.fields(kind)], f"{path}.")
    return {key: _value(value, hints[key], f"{path}.{key}") for key, value in table.items()}


def _value(value: Any, hint: Any, path: str) -> Any:
    """`value` as the type `hint` asks for; refuses what is of another."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):  # X | None; TOML has no null, so what is there is an X
        return _value(value, next(kind for kind in arguments if kind is not types.NoneType), path)
    if origin is Annotated and arguments[1] == _UNIT_OF_SECONDS:
        return _seconds(value, path)
    if origin is Literal:
        if value not in arguments:
            refuse(path, f"{value!r} is not one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        return _sequence(value, arguments, path)
    if dataclasses.is_dataclass(hint):
        return _build(cast("type[Any]", hint), _table(value, path), path)
    accepted = (int, float) if hint is float else (hint,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        expected = {float: "a number", int: "a whole number", bool: "true or false"}.get(hint, "text")
        refuse(path, f"{value!r} is not {expected}")
    return hint(value)


def _sequence(value: Any, arguments: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        refuse(path, f"{value!r} is not a list")
    if arguments[-1] is Ellipsis:
        return tuple(_value(item, arguments[0], f"{path}[{index}]") for index, item in enumerate(value))
    if len(value) != len(arguments):
        refuse(path, f"{value!r} does not have {len(arguments)} members")
    return tuple(_value(item, kind, path) for item, kind in zip(value, arguments, strict=True))


def _seconds(value: Any, path: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h)", value) if isinstance(value, str) else None
    if match is None:
        refuse(path, f'{value!r} is not a duration; write "60ms", "3s", "10m" or a number of seconds')
    return float(match[1]) * _UNITS[match[2]]


def _table(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        refuse(path, f"{value!r} is not a table")
    return value


def _refuse_unknown(table: Mapping[str, Any], known: list[str] | tuple[str, ...], prefix: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            refuse(f"{prefix}{key}", f"is not a setting; {hint}")
