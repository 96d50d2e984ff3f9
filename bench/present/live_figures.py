"""The figures of `loa bench live` in a report."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Count = Annotated[int, Field(ge=0)]
_NotNegative = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    """What more there is stays."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Shares(_Part):
    """Milliseconds that half of all, 99 of a hundred, and none exceeded."""

    p50: _NotNegative
    p99: _NotNegative
    max: _NotNegative


class LiveFigures(_Part):
    """`tick_jitter_ms`: by how much ticks began late, from the relay's histogram (`max` is the edge of its bucket).

    `latency_ms`: from the packet in which a click came in to that in which it is heard; `latency_even_ms`: of those
    before which the publishers' packets had left on time for six seconds, 0 if there were none. `blocks_missing`: those
    blocks of 20 ms that were concealed since packets of publishers were lost or late.
    """

    ticks: _Count
    ticks_missed: _Count
    overruns: _Count
    tick_jitter_ms: Shares
    tick_ms_mean: _NotNegative
    latency_ms: Shares
    latency_even_ms: Shares
    packets: _Count
    lost: _Count
    blocks_missing: _Count
    blocks_dropped: _Count
    relay_cores: _NotNegative
