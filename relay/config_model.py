"""What every part's configuration models are made of; each part keeps its own in a module that `relay.config` joins."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from relay.duration import parse_duration


def _duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError(f'a duration needs a unit; write it as a text such as "{value}s"')
    return value


def items(value: object) -> object:
    """A text where a list belongs is a list of one, or of several with commas (as environments have it)."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


#: Seconds, written in the configuration as "500ms", "10s", "1h30m".
Duration = Annotated[float, BeforeValidator(_duration)]


class ConfigModel(BaseModel):
    """A table of the configuration: frozen, and a key that it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)
