"""The figures of `loa bench soak` in a report."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """What more there is stays."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Trend(_Part):
    """A figure's slope per hour with its interval, and what it means; `allowed_over_run` is in the figure's unit."""

    verdict: Literal["flat", "rising", "falling", "unclear"]
    median: float | None
    per_hour: float | None
    low: float | None
    high: float | None
    confidence: float
    allowed_over_run: float


class SoakFigures(_Part):
    """`flat` is false when a figure rises; `series` has the samples, one value an interval."""

    listeners: _Count
    joined: _Count
    sent: _Count
    lost: int
    flat: bool
    not_flat_because: list[str]
    slopes: dict[str, Trend]
    series: dict[str, float | list[float | None]]
