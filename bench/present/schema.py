"""The reports' JSON, one model per scenario, and the only way in and out of a file.

Every report begins with the same envelope (`Envelope`); the figures of its scenario follow at the top level.
Further keys are welcome everywhere, so that a scenario may tell more without a new version; a key that is named
here keeps its name, unit and meaning as long as the version stays. `python -m bench.present` writes the JSON
Schema files in `schemas/` anew from these models.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.errors import BenchError
from bench.present import machine
from bench.present.edge_figures import EdgeFigures
from bench.present.links_figures import LinksFigures
from bench.present.live_figures import LiveFigures
from bench.present.mixer_figures import MixerFigures
from bench.present.soak_figures import SoakFigures

SCHEMA = "loa.bench/1"
_SCHEMAS = Path(__file__).parent / "schemas"

Report = Mapping[str, Any]

_Milliseconds = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]
_Positive = Annotated[float, Field(gt=0)]
_Series = Annotated[list[float | None], Field(max_length=600)]


class _Open(BaseModel):
    """What more there is stays."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Latency(_Open):
    """Percentiles in milliseconds; None when nothing was counted."""

    p50: _Milliseconds | None
    p99: _Milliseconds | None


class FullLatency(Latency):
    """As `Latency`, with the 95th percentile and the largest value."""

    p95: _Milliseconds | None
    max: _Milliseconds | None


class Timeline(_Open):
    """Percentiles of equal stretches of time, in order; `start_s` counts from the first stretch."""

    interval_s: _Positive
    start_s: _Series
    packets: Annotated[list[int], Field(max_length=600)]
    latency_ms: dict[str, _Series]
    jitter_ms: dict[str, _Series] = {}


class Distribution(_Open):
    """Quantile curves as (share, milliseconds) pairs with growing shares from 0 to 1, and their course over time."""

    latency_ms: Annotated[list[tuple[float, float]], Field(max_length=200)] = []
    jitter_ms: Annotated[list[tuple[float, float]], Field(max_length=200)] = []
    join_ms: Annotated[list[tuple[float, float]], Field(max_length=200)] = []
    timeline: Timeline | None = None


class Machine(_Open):
    """What the run was made on: what decides about its absolute times."""

    cpu: str
    cores: Annotated[int, Field(ge=1)]
    memory_mb: _Count
    kernel: str
    architecture: str


class Envelope(_Open):
    """What every report has. `invalid_because` says in sentences why `valid` is false, and is empty when it is true."""

    schema_: Annotated[Literal["loa.bench/1"], Field(alias="schema")]
    scenario: str
    version: str
    started: AwareDatetime
    command: str
    valid: bool
    invalid_because: list[str]
    problems: list[str]
    parameters: dict[str, Any]
    machine: Machine
    versions: dict[str, str]

    @model_validator(mode="after")
    def _reasons_agree(self) -> Envelope:
        if self.valid == bool(self.invalid_because):
            raise ValueError("`valid` and `invalid_because` contradict each other")
        return self


class Segment(_Open):
    """A stretch of steady playing and the floor around it."""

    packets: _Count
    relay_us_per_packet: Annotated[float, Field(ge=0)]
    floor_us_per_packet: _Positive
    ratio: Annotated[float, Field(ge=0)]


class Profile(_Open):
    """Where the relay's time went, microseconds of CPU per delivered packet by kind of work."""

    us_per_packet: dict[str, Annotated[float, Field(ge=0)]]
    flame_graph: str | None = None


class Relay(Envelope):
    """`loa bench relay`."""

    scenario: Literal["relay"]
    listeners: _Count
    joined: _Count
    join_s: float
    sent: _Count
    received: _Count
    lost: int
    relay_cpu_us_per_packet: Annotated[float, Field(ge=0)]
    floor_us_per_packet: _Positive
    ratio_to_floor: Annotated[float, Field(ge=0)]
    latency_ms: FullLatency
    jitter_ms: Latency
    relay_rss_mb: float
    generator_saturated: bool
    relay_kb_per_listener: float
    relay_upkeep_us_per_listener_s: float
    datagram_bytes: _Count
    relay_threads_us_per_packet: dict[str, float] = {}
    segments: list[Segment]
    distribution: Distribution = Distribution()
    profile: Profile | None = None


class Server(_Open):
    """One relay of a comparison that ran."""

    cpu_us_per_packet: _Positive
    latency_ms: Latency
    listeners: _Count
    lost: int
    distribution: Distribution = Distribution()


class Missing(_Open):
    """One relay of a comparison that is not installed, and the command that installs it."""

    missing: str


class Ratio(_Open):
    """Theirs divided by ours, CPU per packet; None for what is missing."""

    janus: _Positive | None = None
    janus_default: _Positive | None = None
    aiortc_encode: _Positive | None = None
    aiortc_packets: _Positive | None = None


class Compare(Envelope):
    """`loa bench compare`."""

    scenario: Literal["compare"]
    listeners: _Count
    servers: dict[str, Server | Missing]
    floor_us_per_packet: _Positive
    ratio: Ratio


class Step(_Open):
    """One number of listeners of a ramp, and how they fared; no sentence when they fared well."""

    listeners: _Count
    joined: _Count
    sent: _Count
    lost: int
    latency_ms: Latency
    passed: bool
    failed_by: list[str]
    saturated_by: list[str]


class Ramp(Envelope):
    """`loa bench relay --ramp`: `largest` is the most listeners without loss and with latency p99 within its limit."""

    scenario: Literal["ramp"]
    listeners: _Count
    largest: _Count
    limited_by: Literal["relay", "generator", "limit"]
    latency_p99_limit_ms: _Positive
    steps: list[Step]


class Crowd(_Open):
    """Listeners that came at once: seconds until a share of those who wanted to hear sound heard it.

    `joins_per_core_s`: joined listeners per second of the relay's CPU, which sent sound meanwhile.
    """

    listeners: _Count
    joined: _Count
    until_s: dict[Literal["p50", "p99", "all"], float | None]
    joins_per_s: float | None
    joins_per_core_s: float | None


class Restarted(Crowd):
    """After a crash: `down_s` from the kill until ready, `silence_s` from the kill until sound."""

    down_s: float
    silence_s: dict[Literal["p50", "p99", "all"], float | None]


class Reception(_Open):
    """What listeners got in a window."""

    sent: _Count
    lost: int
    latency_ms: Latency
    jitter_ms: Latency


class Join(Envelope):
    """`loa bench join`. `stayed` is of those who played on, `before` and `during` the return of the others."""

    scenario: Literal["join"]
    listeners: _Count
    joined: _Count
    first: Crowd
    back: Crowd | None
    stayed: dict[Literal["before", "during"], Reception]
    restart: Restarted
    after_restart: Reception
    distribution: Distribution = Distribution()


class Soak(Envelope, SoakFigures):
    """`loa bench soak`."""

    scenario: Literal["soak"]
    distribution: Distribution = Distribution()


class Links(Envelope, LinksFigures):
    """`loa bench links`."""

    scenario: Literal["links"]


class Edge(Envelope, EdgeFigures):
    """`loa bench edge`."""

    scenario: Literal["edge"]


class Mixer(Envelope, MixerFigures):
    """`loa bench mixer`."""

    scenario: Literal["mixer"]


class Live(Envelope, LiveFigures):
    """`loa bench live`."""

    scenario: Literal["live"]


class Plan(Envelope):
    """`loa bench plan`."""

    scenario: Literal["plan"]
    source: dict[str, Any]
    assumptions: dict[str, Any]
    renditions: list[dict[str, Any]]
    capacity: list[dict[str, Any]]
    formulas: list[dict[str, str]]


MODELS: Mapping[str, type[Envelope]] = {
    "relay": Relay,
    "ramp": Ramp,
    "compare": Compare,
    "join": Join,
    "soak": Soak,
    "links": Links,
    "edge": Edge,
    "mixer": Mixer,
    "live": Live,
    "plan": Plan,
}


def header(
    scenario: str,
    *,
    started: float,
    parameters: Mapping[str, Any],
    invalid_because: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """The envelope of a report; `started` is unix time in seconds. The figures of the scenario follow it."""
    return {
        "schema": SCHEMA,
        "scenario": scenario,
        "version": version("loa"),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "command": command_line(),
        "valid": not invalid_because,
        "invalid_because": list(invalid_because),
        "problems": list(problems),
        "parameters": dict(parameters),
        "machine": machine.describe(),
        "versions": machine.versions(),
    }


def command_line() -> str:
    """What was typed, ready to be typed again."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def validate(report: Report) -> None:
    """Raises BenchError, one line, when a report is not what its scenario's model says."""
    if report.get("schema") != SCHEMA:
        found = report.get("schema", "no schema at all")
        raise BenchError(
            f"this is {found}, and only {SCHEMA} can be read; measure again with this version of loa"
        )
    name = report.get("scenario")
    if not isinstance(name, str) or name not in MODELS:
        raise BenchError(f"scenario {name!r} is not known; known are {', '.join(MODELS)}")
    try:
        MODELS[name].model_validate(dict(report))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "report"
        raise BenchError(f"{place}: {first['msg']}") from error


def read(path: Path) -> dict[str, Any]:
    """A report from a file. Raises BenchError, one line that names the file, when it is none."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path}: not JSON: {error}") from error
    if not isinstance(report, dict):
        raise BenchError(f"{path}: not a report of loa bench")
    try:
        validate(report)
    except BenchError as error:
        raise BenchError(f"{path}: {error}") from error
    return report


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no figure")


def write(report: Report, path: Path) -> None:
    """Check a report against its model and write it. Raises BenchError when it does not fit, OSError of the file."""
    validate(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def json_schemas() -> dict[Path, str]:
    """The text of every JSON Schema file by its path (JSON Schema 2020-12)."""
    texts = {}
    for name, model in MODELS.items():
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **model.model_json_schema(by_alias=True),
        }
        texts[_SCHEMAS / f"{name}.json"] = json.dumps(schema, indent=2) + "\n"
    return texts
