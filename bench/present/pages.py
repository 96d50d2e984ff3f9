"""What stands on the page of each scenario: its charts, its tables, its formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import plan_report
from bench.present import charts
from bench.present.schema import Report
from bench.present.theme import Chart

Table = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Page:
    """`charts` are inline SVG; of a table the first row is its heading; `formulas` are (name, how it is reckoned)."""

    title: str
    lead: str
    charts: Sequence[Chart] = ()
    tables: Sequence[tuple[str, Table]] = ()
    formulas: Sequence[tuple[str, str]] = ()
    details: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


RELAY_FORMULAS = (
    (
        "lost",
        "sent - received, where sent = packets each listener should have had, known by number and not by sequence",
    ),
    ("relay CPU per packet", "CPU time of the relay's process, all threads / packets its listeners received"),
    (
        "floor",
        "CPU time of a thread that only calls sendmmsg with datagrams of the same size to the same sockets / packets",
    ),
    (
        "ratio to the floor",
        "median over the parts of the run of relay CPU / mean of the floors right before and after",
    ),
    ("latency", "receiver kernel's arrival time - publisher's clock just before its sendto (an upper bound)"),
    ("jitter", "| time between two arrivals at one receiver - time between the two sends |"),
    ("memory per listener", "(own memory after the steady part - after a warm-up listener) / listeners"),
)
COMPARE_FORMULAS = (
    (
        "ratio",
        "their CPU per packet / ours in the same round; over all rounds Hodges and Lehmann's estimate of the middle",
    ),
    ("CPU per packet", "CPU time of the server's processes, all threads / packets its listeners received"),
    *RELAY_FORMULAS[4:6],
)
# Shown elsewhere on the page, or of no use to people
_NOT_IN_DETAILS = frozenset(
    {"schema", "scenario", "distribution", "segments", "machine", "versions", "parameters", "problems"}
    | {
        "invalid_because",
        "saturated_by",
        "command",
        "started",
        "version",
        "valid",
        "formulas",
        "notes",
        "capacity",
    }
    | {"renditions", "control", "servers", "series", "receivers", "quality"}
)


def page(report: Report) -> Page:
    """The page of a report; scenarios that are not known here show what their distribution and keys tell."""
    return _PAGES.get(str(report["scenario"]), _general)(report)


def _relay(report: Report) -> Page:
    cpu: dict[str, Mapping[str, float]] = {}
    profile = (report.get("profile") or {}).get("us_per_packet")
    cpu["relay"] = profile or {"the relay's process": report["relay_cpu_us_per_packet"]}
    cpu["floor"] = {"bare sendmmsg": report["floor_us_per_packet"]}
    distribution = report.get("distribution") or {}
    found = [*_curves(distribution), charts.stacked("CPU per delivered packet", cpu, unit="µs")]
    segments = [(each["relay_us_per_packet"], each["floor_us_per_packet"]) for each in report["segments"]]
    if segments:
        found.append(charts.pairs("CPU per packet, part by part", segments, ("relay", "floor"), unit="µs"))
    if distribution.get("join_ms"):
        found.append(charts.share_over_value("Time until sound", distribution["join_ms"], unit="ms"))
    parameters = report["parameters"]
    rate = 1000 / parameters.get("frame_ms", 20)
    channels = parameters.get("channels", 1)
    lead = (
        f"{report['listeners']:,} WebRTC listeners of {channels} channel{'s' if channels != 1 else ''} at "
        f"{rate:g} packets a second, {report['datagram_bytes']} bytes each; {report['received']:,} packets received."
    )
    return Page("Relay under load", lead, found, (), RELAY_FORMULAS, _details(report))


def _compare(report: Report) -> Page:
    there = {name: entry for name, entry in report["servers"].items() if "missing" not in entry}
    cpu = {name: float(entry["cpu_us_per_packet"]) for name, entry in there.items()}
    floor = report["floor_us_per_packet"]
    found = [charts.dots("CPU per delivered packet", cpu, floor, "bare sendmmsg", unit="µs")] if cpu else []
    for key in ("latency_ms", "jitter_ms"):
        curves = {name: (entry.get("distribution") or {}).get(key) or [] for name, entry in there.items()}
        if any(curves.values()):
            found.append(charts.quantiles(_TITLES[key], curves))
    rows: list[Sequence[str]] = [("server", "listeners", "µs per packet", "latency p50 ms", "p99 ms", "lost")]
    for name, entry in report["servers"].items():
        if "missing" in entry:
            rows.append((name, "not installed:", str(entry["missing"]), "", "", ""))
        else:
            latency = entry["latency_ms"]
            figures = (f"{entry['cpu_us_per_packet']:.2f}", _text(latency["p50"]), _text(latency["p99"]))
            rows.append((name, f"{entry['listeners']:,}", *figures, f"{entry['lost']:,}"))
    lead = "The same load on each server in one run, turn by turn, so that all had the same machine at the same time."
    return Page("Relays compared", lead, found, [("Servers", rows)], COMPARE_FORMULAS, _details(report))


def _plan(report: Report) -> Page:
    assumed, source = report["assumptions"], report["source"]
    ip = f"ip{assumed['ip']}"
    data = {each["name"]: each["month"][ip]["with_sound_mb"] / 1000 for each in report["renditions"]}
    title = f"Data of one receiver, {assumed['hours']:g} h of sound a month, IPv{assumed['ip']}"
    found = [
        charts.limited(title, data, 1.0, "1 GB", unit="GB a month"),
        charts.stacked("A packet on the wire", _packets(report), unit="bytes"),
    ]
    lead = (
        f"Reckoned from {source['file']}: {source['joined']:,} listeners at {source['relay_cpu_us_per_packet']:.2f} µs "
        f"a packet, measured {source['started']}. Nothing on this page is measured itself."
    )
    tables = [
        ("Capacity", plan_report.capacity_rows(report)),
        ("Mbit/s per hop", plan_report.hop_rows(report)),
        ("Data of one receiver", plan_report.month_rows(report)),
        ("What ends first on one relay", plan_report.limit_rows(report)),
        ("Control traffic of a session", plan_report.control_rows(report)),
    ]
    formulas = [(each["name"], each["formula"]) for each in report["formulas"]]
    return Page("Capacity plan", lead, found, tables, formulas, _details(report))


def _packets(report: Report) -> dict[str, dict[str, float]]:
    ip = 40 if report["assumptions"]["ip"] == 6 else 20
    overhead = {"RTP": 12.0, "SRTP tag": 16.0, "UDP": 8.0, "IP": float(ip)}
    return {each["name"]: {"Opus": float(each["payload_bytes"]), **overhead} for each in report["renditions"]}


EDGE_FORMULAS = (
    (
        "delay",
        "local time at which a sample of the recording was heard - time at which its packet was at the relay; by "
        "cross-correlation with phase transform in windows of 0.2 s",
    ),
    (
        "concealed",
        "frames of 20 ms whose difference from the clean stream's sound has more than a quarter of its energy / "
        "frames, stalls and the second after each left out",
    ),
    ("recovered", "1 - concealed / share of the media packets that the path lost"),
    ("skew", "| delay of one receiver - delay of another | in the same window, of every two"),
    ("stall recovery", "from the end of a stall until ten frames in a row are right again"),
    ("data", "bytes of IP packets of all sessions and control links, both directions / receivers / seconds"),
    ("CPU", "CPU time of a receiver's process, all threads / seconds"),
)


def _edge(report: Report) -> Page:
    series = report.get("series") or {}
    interval = series.get("interval_s", 1.0)
    found = []
    for prefix, unit, title in (
        ("delay_error_", "ms", "Deviation from the chosen delay"),
        ("concealed_", "%", "Concealed frames"),
    ):
        rows = {
            f"receiver {name.removeprefix(prefix).split('_')[0]}": values
            for name, values in series.items()
            if name.startswith(prefix)
        }
        longest = max((len(values) for values in rows.values()), default=0)
        if longest:
            times = [index * interval for index in range(longest)]
            found.append(charts.curves(title, times, rows, axis="seconds", unit=unit))
    if (quality := report.get("quality")) is not None:
        loss = quality["loss_percent"]
        title = "Intelligibility of speech over loss, by kind of repair"
        found.append(charts.curves(title, loss, quality["stoi"], axis="% of packets lost", unit="STOI"))
        title = "What repair weighs"
        weights = quality["kbit_per_s"]
        found.append(charts.curves(title, loss, weights, axis="% of packets lost", unit="kbit/s"))
    parameters = report["parameters"]
    lead = (
        f"{report['edges']} receivers behind {parameters.get('link')}, {report['delay_ms']['target']:g} ms after "
        f"capture, judged by what they played for {report.get('seconds', 0):g} s."
    )
    table: list[Sequence[str]] = [
        ("receiver", "concealed %", "delay error p95 ms", "CPU %", "MB", "own count, concealed %")
    ]
    for number, one in enumerate(report["receivers"], 1):
        counters = one.get("counters") or {}
        figures = (
            _hundredfold(one.get("concealed_ratio")),
            _text((one.get("delay_error_ms") or {}).get("p95")),
            *(_text(one.get(key)) for key in ("cpu_percent", "mb")),
            _hundredfold(counters.get("concealed_ratio")),
        )
        table.append((str(number), *figures))
    return Page("Edge receivers", lead, found, [("Receivers", table)], EDGE_FORMULAS, _details(report))


def _hundredfold(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.3f}"


def _general(report: Report) -> Page:
    distribution = report.get("distribution") or {}
    found = _curves(distribution)
    if distribution.get("join_ms"):
        found.append(charts.share_over_value("Time until sound", distribution["join_ms"], unit="ms"))
    series = report.get("series") or {}
    for name, values in series.items():
        if name not in ("start_s", "interval_s") and isinstance(values, Sequence):
            times = series.get("start_s") or [
                index * series.get("interval_s", 1.0) for index in range(len(values))
            ]
            found.append(charts.lines(name.replace("_", " "), times, values, unit=name.rpartition("_")[2]))
    return Page(f"loa bench {report['scenario']}", "", found, (), (), _details(report))


_TITLES = {"latency_ms": "Latency", "jitter_ms": "Jitter"}


def _curves(distribution: Mapping[str, Any]) -> list[Chart]:
    """Each percentile curve beside its course over time."""
    found = []
    timeline = distribution.get("timeline")
    for key in ("latency_ms", "jitter_ms"):
        if distribution.get(key):
            found.append(charts.quantiles(f"{_TITLES[key]}, percentiles", {_TITLES[key]: distribution[key]}))
        if timeline and timeline.get(key):
            found.append(charts.over_time(f"{_TITLES[key]} over time", timeline, key))
    return found


def _details(report: Report) -> dict[str, dict[str, str]]:
    """Everything else the report tells, in groups: plain keys first, then one group for each table of its own."""
    groups: dict[str, dict[str, str]] = {"Figures": {}}
    for key, value in report.items():
        if key in _NOT_IN_DETAILS:
            continue
        if isinstance(value, Mapping) and value and all(isinstance(each, Mapping) for each in value.values()):
            groups |= {f"{_words(key)}: {_words(name)}": plain_rows(each) for name, each in value.items()}
        elif isinstance(value, Mapping):
            groups[_words(key)] = plain_rows(value)
        else:
            groups["Figures"][_words(key)] = _text(value)
    return {name: rows for name, rows in groups.items() if rows}


def plain_rows(table: Mapping[str, Any]) -> dict[str, str]:
    """A table of the report as rows of plain text, tables within it included."""
    return dict(_flat(table))


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{_words(key)} ")
        else:
            rows.append((f"{prefix}{_words(key)}", _text(value)))
    return rows


def _words(key: str) -> str:
    return key.replace("_", " ")


def _text(value: Any) -> str:
    """A plain value as people read it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.6g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(each) for each in value[:20]) + (" ..." if len(value) > 20 else "") or "none"
    return str(value)


_PAGES: Mapping[str, Callable[[Report], Page]] = {
    "relay": _relay,
    "compare": _compare,
    "edge": _edge,
    "plan": _plan,
}
