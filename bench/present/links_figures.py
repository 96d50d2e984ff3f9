"""The figures of `loa bench links` in a report."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

_Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """What more there is stays."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Returned(_Part):
    """How many links were up in the end, and when each came, seconds from the beginning."""

    up: _Count
    seconds: dict[str, float]


class LinksFigures(_Part):
    """`up` by occasion: first, again (all at once), restarted (after a crash of the relay)."""

    links: _Count
    up: dict[str, Returned]
    kb_per_link: float
    idle_cpu_us_per_link_s: float
    sound: dict[str, dict[str, Any]]
