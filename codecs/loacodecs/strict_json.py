"""Dataclasses as strict JSON objects: every field says its key and what may stand there.

    @dataclass(frozen=True, slots=True)
    class Sample:
        level: float | None = wire("l", maybe(within(-200, 50)), digits=1, default=None)

`to_object` and `from_object` check the same things, so that what one side may send the other side takes. Unknown
keys are ignored: a newer peer may say more. Everything else that is not as announced is a MalformedError: a missing
or wrong-typed field, a key that comes twice, NaN and infinities, numbers and texts out of bounds, nesting without end.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from dataclasses import MISSING, field, fields
from typing import Any, Final, NoReturn, TypeVar

from .errors import MalformedError

Check = Callable[[Any], Any]
"""Takes a JSON value, gives the value of the field; raises ValueError with what was expected."""

TOKEN: Final = re.compile(r"[A-Za-z0-9_.:-]+")
"""Identifiers that peers make up: nothing that needs an escape anywhere."""

_T = TypeVar("_T")


def wire(key: str, check: Check, *, digits: int | None = None, **default: Any) -> Any:
    """A dataclass field that travels under `key`. With `default=` it may be missing, and is left out when it has
    that value; `digits` rounds a number on its way out."""
    return field(metadata={"key": key, "check": check, "digits": digits}, **default)


def text(maximum: int, *, minimum: int = 0, pattern: re.Pattern[str] | None = None) -> Check:
    """A printable text of so many characters, which `pattern` matches whole."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not minimum <= len(value) <= maximum or not value.isprintable():
            raise ValueError(f"a printable text of {minimum} to {maximum} characters")
        if pattern is not None and value and not pattern.fullmatch(value):
            raise ValueError(f"a text like {pattern.pattern}")
        return value

    return check


def token(maximum: int) -> Check:
    """An identifier of 1 to `maximum` letters, digits and `_ . : -`."""
    return text(maximum, minimum=1, pattern=TOKEN)


def within(low: float, high: float) -> Check:
    """A finite number within bounds, as float."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return check


def whole(low: int, high: int) -> Check:
    """A whole number within bounds."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def one_of(*words: str) -> Check:
    """One of these words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return value

    return check


def flag(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def maybe(check: Check) -> Check:
    """What `check` takes, or null."""
    return lambda value: None if value is None else check(value)


def several(maximum: int, check: Check) -> Check:
    """A list of at most `maximum` values, as tuple."""

    def checked(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) > maximum:
            raise ValueError(f"a list of at most {maximum}")
        return tuple(check(item) for item in value)

    return checked


def octets(length: int) -> Check:
    """base64url without padding of exactly so many octets (RFC 4648 §5); the field keeps the text."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or len(from_base64url(value)) != length:
            raise ValueError(f"{length} octets as base64url without padding")
        return value

    return check


def to_base64url(data: bytes) -> str:
    """Without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """The octets of the one text that stands for them; raises ValueError for every other text."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("base64url without padding") from None
    if to_base64url(data) != text:
        raise ValueError("base64url without padding")
    return data


def load_object(document: str, limit: int) -> dict[str, Any]:
    """The JSON object in `document`, at most `limit` octets of UTF-8; raises MalformedError."""
    if len(document) > limit or len(document.encode("utf-8", "surrogatepass")) > limit:
        raise MalformedError(f"the message is larger than {limit} bytes")
    try:
        value = json.loads(document, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError):  # a number of 5,000 digits is a ValueError, too
        raise MalformedError("the message is not JSON as it is used here") from None
    if not isinstance(value, dict):
        raise MalformedError("the message is not a JSON object")
    return value


def dump_object(value: dict[str, Any]) -> str:
    """Compact JSON; raises MalformedError for values that JSON does not have."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        raise MalformedError("the message holds something that JSON does not have") from None


def from_object(kind: type[_T], source: dict[str, Any]) -> _T:
    """The dataclass `kind` from a JSON object; raises MalformedError naming the key."""
    values: dict[str, Any] = {}
    for item in fields(kind):  # type: ignore[arg-type]  # any dataclass, which typing cannot say
        key = item.metadata["key"]
        if key in source:
            values[item.name] = _checked(key, item.metadata["check"], source[key])
        elif item.default is MISSING:
            raise MalformedError(f"{key} is missing")
    return kind(**values)


def to_object(message: Any) -> dict[str, Any]:
    """The JSON object of a dataclass, its defaults left out; raises MalformedError naming the key."""
    result: dict[str, Any] = {}
    for item in fields(message):
        value, digits = getattr(message, item.name), item.metadata["digits"]
        if item.default is not MISSING and value == item.default:
            continue
        value = _checked(item.metadata["key"], item.metadata["check"], value)
        if digits is not None and isinstance(value, float):
            value = round(value, digits)
        result[item.metadata["key"]] = list(value) if isinstance(value, tuple) else value
    return result


def _checked(key: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"{key} must be {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that comes twice means one thing to one reader and another to the next."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key comes twice")
    return result


def finite(value: object) -> bool:
    """Whether `value` is a number that JSON has."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
