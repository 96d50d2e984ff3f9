"""The figures of `loa bench edge` in a report."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

_Milliseconds = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]
_Ratio = Annotated[float, Field(ge=0, le=1)]
_Series = Annotated[list[float | None], Field(max_length=600)]


class _Part(BaseModel):
    """What more there is stays."""

    model_config = ConfigDict(extra="allow", frozen=True)


class EdgeDelay(_Part):
    """From capture to the horn, milliseconds; `max_error` is the largest deviation from `target`."""

    target: _Milliseconds
    p50: float | None
    p99: float | None
    max_error: _Milliseconds | None


class Skew(_Part):
    """How far any two receivers were apart, milliseconds."""

    p50: _Milliseconds | None
    p95: _Milliseconds | None
    max: _Milliseconds | None


class Quality(_Part):
    """STOI and kbit/s on the wire by kind of repair, a value for each of `loss_percent`."""

    loss_percent: list[float]
    stoi: dict[str, list[float]]
    kbit_per_s: dict[str, list[float]]


class EdgeFigures(_Part):
    """Ratios are shares of frames of 20 ms; None where nothing was to be measured."""

    edges: _Count
    concealed_ratio: _Ratio | None
    recovered_ratio: _Ratio | None
    delay_ms: EdgeDelay
    skew_ms: Skew
    stall_recovery_s: float | None
    kill: dict[str, float] | None
    data_bytes_per_s: float
    idle_bits_per_s: float | None
    edge_cpu_percent: float
    edge_mb: float
    receivers: list[dict[str, Any]]
    series: dict[str, float | _Series] = {}
    quality: Quality | None = None
