"""The figures of `loa bench mixer` in a report."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Count = Annotated[int, Field(ge=1)]
_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    """What more there is stays."""

    model_config = ConfigDict(extra="allow", frozen=True)


class TickJitter(_Part):
    """By how many milliseconds ticks began later than their schedule said."""

    p50: _NotNegative
    p99: _NotNegative


class Codec(_Part):
    """CPU microseconds for a block by stage (decode, mix, encode) and their `total`."""

    us_per_block: dict[str, _NotNegative]
    realtime_factor: _Positive


class MixerFigures(_Part):
    """CPU of one thread in microseconds for a block of 20 ms: `total` and every operator.

    `realtime_factor` is 20 ms divided by what a block takes, codecs included where they were asked for. The ratios are
    the CPU of FFmpeg's `amix`, or of GStreamer's `audiomixer`, divided by ours; None where it is not installed. What a
    block of 20 ms cost them, by the way they were fed, and what ours cost in the same rounds, is in `…_us_per_block`.
    """

    inputs: _Count
    buses: _Count
    us_per_block: dict[str, _NotNegative]
    realtime_factor: _Positive
    allocations_per_tick: _NotNegative
    tick_jitter_ms: TickJitter
    amix_ratio_sum: _NotNegative | None
    amix_ratio_full: _NotNegative | None
    amix_us_per_block: dict[str, _NotNegative] | None = None
    audiomixer_ratio_sum: _NotNegative | None = None
    audiomixer_ratio_full: _NotNegative | None = None
    audiomixer_us_per_block: dict[str, _NotNegative] | None = None
    missing: dict[str, str]
    codec: Codec | None = None
