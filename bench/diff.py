"""`loa bench diff`: did it get better or worse, or can that not be told?

Each side is a report or several repeats. Per metric the change and its interval come from `bench.noise`; a
change is called worse or better only when it is larger than what matters *and* its interval excludes zero, the same
only when the whole interval lies within what matters. All else cannot be told, and says so. Ratios taken within one
run travel between machines, so they alone decide the exit code; times are compared on equal machines only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from bench.errors import BenchError
from bench.metrics import METRICS, Metric
from bench.noise import Change, change
from bench.present import machine, schema
from bench.present.schema import Report

# Parameters in which runs may differ and still be compared
_FREE_PARAMETERS = frozenset({"duration", "rounds", "servers"})


class Verdict(StrEnum):
    """What a change of one metric means."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = "cannot tell"
    OTHER_MACHINE = "other machine"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of both sides: every run's value, the change, what it means."""

    metric: Metric
    old: Sequence[float]
    new: Sequence[float]
    change: Change
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Diff:
    """The comparison of two groups of runs. `notes` are what a reader must know to weigh it."""

    scenario: str
    rows: Sequence[Row]
    machine_differences: Sequence[str]
    notes: Sequence[str]

    @property
    def worse(self) -> Sequence[Row]:
        """The gating metrics that got worse beyond noise."""
        return [row for row in self.rows if row.metric.gates and row.verdict is Verdict.WORSE]

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return {
            "schema": schema.SCHEMA,
            "scenario": "diff",
            "compared": self.scenario,
            "worse": bool(self.worse),
            "machine_differences": list(self.machine_differences),
            "notes": list(self.notes),
            "metrics": [
                {
                    "path": row.metric.path,
                    "title": row.metric.title,
                    "unit": row.metric.unit,
                    "gates": row.metric.gates,
                    "old": list(row.old),
                    "new": list(row.new),
                    "old_median": median(row.old),
                    "new_median": median(row.new),
                    "change": asdict(row.change),
                    "margin": row.metric.margin(row.old),
                    "verdict": str(row.verdict),
                }
                for row in self.rows
            ],
        }

    def table(self) -> str:
        """The comparison for people; gating metrics are marked with a star."""
        lines = [("", "old", "new", "change", "interval", "")]
        for row in self.rows:
            star = "*" if row.metric.gates else " "
            title = f"{star} {row.metric.title}" + (f", {row.metric.unit}" if row.metric.unit else "")
            lines.append((title, _number(median(row.old)), _number(median(row.new)), *_spoken(row)))
        widths = [max(len(line[column]) for line in lines) for column in range(6)]
        aligned = [
            f"{line[0]:<{widths[0]}}  "
            + "  ".join(f"{cell:>{width}}" for cell, width in zip(line[1:5], widths[1:5], strict=True))
            + f"  {line[5]}"
            for line in lines
        ]
        return "\n".join(
            [*(line.rstrip() for line in aligned), *(f"note: {note}" for note in self.notes), self._end()]
        )

    def _end(self) -> str:
        if self.worse:
            return "WORSE: " + ", ".join(row.metric.title for row in self.worse)
        gates = [row for row in self.rows if row.metric.gates]
        unknown = [row.metric.title for row in gates if row.verdict is Verdict.UNKNOWN]
        return "no ratio got worse beyond noise" + (f"; cannot tell: {', '.join(unknown)}" if unknown else "")


def load(place: Path) -> list[dict[str, Any]]:
    """The report of a file, or all of a folder. Raises BenchError, one line, when one is unreadable or none there."""
    if not place.is_dir():
        return [schema.read(place)]
    reports = [schema.read(path) for path in sorted(place.glob("*.json"))]
    if not reports:
        raise BenchError(f"{place}: no report (*.json) in this folder")
    return reports


def compare(old: Sequence[Report], new: Sequence[Report]) -> Diff:
    """Compare two groups of runs. Raises BenchError when their loads differ or one side has no valid run."""
    _require_one_load([*old, *new])
    notes: list[str] = []
    fit_old, fit_new = _fit(old, "old", notes), _fit(new, "new", notes)
    scenario = str(fit_old[0]["scenario"])
    differences = _machine_differences([*fit_old, *fit_new])
    if differences:
        notes.append(f"different machines, times are shown but not compared: {'; '.join(differences)}")
    if not _interleaved(fit_old, fit_new):
        notes.append("the runs were not interleaved, so a drift of the machine looks like a change")
    if min(len(fit_old), len(fit_new)) < 3:
        notes.append("fewer than three valid runs on a side: intervals are assumed (~), not measured")
    rows = [
        row
        for metric in METRICS[scenario]
        if (row := _row(metric, fit_old, fit_new, same_machine=not differences)) is not None
    ]
    return Diff(scenario, rows, differences, notes)


def regressions(old: Sequence[Report], new: Sequence[Report], *, allowed: float) -> list[str]:
    """One sentence for each ratio whose median became worse by more than `allowed` (0.5 is half as much again).

    This is the coarse gate of `make test`: one short run on a busy machine against a kept baseline.
    """
    _require_one_load([*old, *new])
    found = []
    for metric in METRICS[str(old[0]["scenario"])]:
        before, after = _values(metric, old), _values(metric, new)
        if not metric.gates or not before or not after:
            continue
        was, now = median(before), median(after)
        factor = was / now if metric.higher_is_better else now / was
        if factor > 1 + allowed:
            found.append(
                f"{metric.title}: {now:.2f}, and {was:.2f} in the baseline ({allowed:.0%} worse is allowed)"
            )
    return found


def _row(metric: Metric, old: Sequence[Report], new: Sequence[Report], *, same_machine: bool) -> Row | None:
    before, after = _values(metric, old), _values(metric, new)
    if not before or not after:
        return None
    found = change(before, after, metric.noise(before))
    verdict = judge(metric, found, before) if metric.gates or same_machine else Verdict.OTHER_MACHINE
    return Row(metric, before, after, found, verdict)


def judge(metric: Metric, found: Change, old: Sequence[float]) -> Verdict:
    """What a change from the values `old` means."""
    margin = metric.margin(old)
    sign = -1 if metric.higher_is_better else 1
    if (found.low > 0 and found.estimate > margin) or (found.high < 0 and found.estimate < -margin):
        return Verdict.WORSE if found.estimate * sign > 0 else Verdict.BETTER
    return Verdict.SAME if found.low >= -margin and found.high <= margin else Verdict.UNKNOWN


def _values(metric: Metric, reports: Iterable[Report]) -> list[float]:
    return [value for report in reports if (value := metric.of(report)) is not None]


def _fit(reports: Sequence[Report], side: str, notes: list[str]) -> Sequence[Report]:
    fit = [report for report in reports if report["valid"]]
    notes += [
        f"left out an {side} run of {report['started']}: {'; '.join(report['invalid_because'])}"
        for report in reports
        if not report["valid"]
    ]
    if disturbed := [report["problems"][0] for report in fit if report["problems"]]:
        notes.append(f"{len(disturbed)} of {len(fit)} {side} runs had problems, the first: {disturbed[0]}")
    if not fit:
        raise BenchError(
            f"no valid run on the {side} side: {'; '.join(reports[0]['invalid_because'])}; measure again"
        )
    return fit


def _machine_differences(reports: Sequence[Report]) -> list[str]:
    """In what the first machine differs from the first other one; a folder may hold runs of several."""
    found = (machine.differences(reports[0]["machine"], report["machine"]) for report in reports)
    return next(filter(None, found), [])


def _require_one_load(reports: Sequence[Report]) -> None:
    first = reports[0]
    if first["scenario"] not in METRICS:
        raise BenchError(
            f"reports of `{first['scenario']}` hold nothing to compare; known are {', '.join(METRICS)}"
        )
    for report in reports[1:]:
        if report["scenario"] != first["scenario"]:
            raise BenchError(
                f"a report of `{first['scenario']}` cannot be compared with one of `{report['scenario']}`"
            )
        if differing := _unequal(first["parameters"], report["parameters"]):
            raise BenchError(
                f"the runs had different loads ({', '.join(differing)}); measure both with the same"
            )


def _unequal(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    # a parameter that one side does not know was off there, as a newer version's is
    return [
        f"{key} {one.get(key)} and {other.get(key)}"
        for key in sorted({*one, *other} - _FREE_PARAMETERS)
        if _differ(one.get(key), other.get(key)) and (one.get(key) or other.get(key))
    ]


def _differ(one: Any, other: Any) -> bool:
    """A table, as that of listeners by server, differs in what both have: a server may be missing in one run."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return any(one[key] != other[key] for key in one.keys() & other.keys())
    return bool(one != other)


def _interleaved(old: Sequence[Report], new: Sequence[Report]) -> bool:
    """Whether the sides took turns; one run a side cannot."""
    if len(old) == len(new) == 1:
        return True
    times = sorted(
        [(report["started"], "old") for report in old] + [(report["started"], "new") for report in new]
    )
    return len(list(groupby(side for _, side in times))) > 2


def _spoken(row: Row) -> tuple[str, str, str]:
    """Change, interval and verdict as a table says them: in percent where the old median is not zero."""
    base = median(row.old)
    sure = "~" if row.change.confidence is None else f"{row.change.confidence:.0%}"
    figures = (row.change.estimate, row.change.low, row.change.high)
    if base:
        estimate, low, high = (f"{figure / base:+.1%}" for figure in figures)
    else:
        estimate, low, high = (f"{figure:+.3g}" for figure in figures)
    return estimate, f"{low} .. {high} {sure}", str(row.verdict)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
