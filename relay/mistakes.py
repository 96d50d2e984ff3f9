"""What is wrong with a configuration, one line for each mistake, beginning with the key's path."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from loacodecs.errors import ConfigurationError


class Mistake(NamedTuple):
    """One thing wrong with a configuration: the key's path (`media.threads`) and a sentence."""

    path: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence}" if self.path else self.sentence


class InvalidConfiguration(ConfigurationError):  # noqa: N818 - it is one of the ConfigurationErrors
    """All mistakes found in a configuration; its text has one line for each."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


_SENTENCES = {
    "missing": "is required",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be a text in quotes",
    "path_type": "must be a path in quotes",
    "tuple_type": "must be a list in square brackets",
    "model_type": "must be a table",
    "dict_type": "must be a table",
}


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean NAME?)` when one of `known` is close to `word`, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def mistakes_in(error: ValidationError, model: type[BaseModel]) -> list[Mistake]:
    """The mistakes pydantic found while it built `model`, with paths as the TOML file has them."""
    return [_mistake(item["loc"], item["type"], item["msg"], model) for item in error.errors()]


def _mistake(location: tuple[int | str, ...], kind: str, message: str, model: type[BaseModel]) -> Mistake:
    keys = [key for key in location if key != "[key]"]
    if keys[:2] == ["channels", "named"]:  # [channels.NAME] tables, see relay.config.load
        del keys[1]
    path = ".".join(f"[{key}]" if isinstance(key, int) else key for key in keys).replace(".[", "[")
    if kind == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        return Mistake(path, f"unknown key{suggestion(str(keys[-1]), known)}")
    if kind == "model_type" and len(keys) == 2 and keys[0] == "channels":
        hint = suggestion(str(keys[1]), ["auto"])
        return Mistake(path, f"unknown key{hint}" if hint else f"must be a table: [channels.{keys[1]}]")
    if kind == "value_error":
        return Mistake(path, message.removeprefix("Value error, "))
    return Mistake(path, _SENTENCES.get(kind, message[:1].lower() + message[1:]))


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys of the table at `location` below `model`."""
    kind: Any = model
    for key in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(key)].annotation
        else:  # an item of a list or of the channels' tables: the last argument is what it holds
            kind = next(arg for arg in reversed(get_args(kind)) if arg is not Ellipsis)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def with_origins(mistakes: list[Mistake], origins: Mapping[str, str]) -> list[Mistake]:
    """`mistakes`, those in keys that an environment variable gave naming it (`origins`: path -> variable)."""
    return [
        Mistake(path, f"{sentence} (set by {origins[path]})") if path in origins else Mistake(path, sentence)
        for path, sentence in mistakes
    ]
