from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.commands import diff
from bench.diff import Diff, Verdict, compare, load, regressions
from bench.errors import BenchError
from tests.support.reports import MACHINE, compare_report, envelope, relay_report

FLOOR = 4.5


def runs(
    ratios: Sequence[float], *, first_minute: int = 0, every: int = 2, **more: Any
) -> list[dict[str, Any]]:
    """Repeats with these ratios to the floor, begun every so many minutes."""
    return [
        relay_report(
            ratio_to_floor=ratio,
            relay_cpu_us_per_packet=ratio * FLOOR,
            started=f"2026-11-23T03:{first_minute + every * number:02}:00Z",
            **more,
        )
        for number, ratio in enumerate(ratios)
    ]


def interleaved(
    old: Sequence[float], new: Sequence[float]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return runs(old), runs(new, first_minute=1)


def verdict(found: Diff, path: str = "ratio_to_floor") -> Verdict:
    return next(row.verdict for row in found.rows if row.metric.path == path)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # a clear step beyond 5 %, every new run above every old one
        ([1.30, 1.31, 1.32], [1.45, 1.46, 1.47], Verdict.WORSE),
        ([1.45, 1.46, 1.47], [1.30, 1.31, 1.32], Verdict.BETTER),
        # sure, but too small to matter
        ([1.30, 1.31, 1.32], [1.31, 1.32, 1.33], Verdict.SAME),
        # large, but inside the noise
        ([1.10, 1.30, 1.60], [1.25, 1.45, 1.70], Verdict.UNKNOWN),
        # one run a side: 10 % noise is assumed
        ([1.30], [1.40], Verdict.UNKNOWN),
        ([1.30], [1.30], Verdict.UNKNOWN),
        ([1.30], [1.50], Verdict.WORSE),
    ],
)
def test_verdicts_know_the_noise(old: list[float], new: list[float], expected: Verdict) -> None:
    assert verdict(compare(*interleaved(old, new))) is expected


def test_a_higher_ratio_to_janus_is_better() -> None:
    old = [compare_report(ratio={"janus": value}) for value in (5.0, 5.1, 5.2)]
    new = [compare_report(ratio={"janus": value}) for value in (6.0, 6.1, 6.2)]
    found = compare(old, new)
    assert verdict(found, "ratio.janus") is Verdict.BETTER
    assert verdict(compare(new, old), "ratio.janus") is Verdict.WORSE
    assert "ratio.aiortc_encode" not in [row.metric.path for row in found.rows]


def test_times_gate_nothing_even_when_they_are_much_worse() -> None:
    slow = {"p50": 9.0, "p95": 20.0, "p99": 30.0, "max": 60.0}
    found = compare(runs([1.3, 1.31, 1.32]), runs([1.3, 1.31, 1.32], first_minute=1, latency_ms=slow))
    assert verdict(found, "latency_ms.p99") is Verdict.WORSE
    assert not found.worse


def test_another_machine_is_named_and_only_ratios_are_judged() -> None:
    other = {**MACHINE, "cpu": "Another CPU", "cores": 64}
    slow = {"p50": 9.0, "p95": 20.0, "p99": 30.0, "max": 60.0}
    found = compare(
        runs([1.3, 1.3, 1.3]), runs([1.6, 1.6, 1.6], first_minute=1, machine=other, latency_ms=slow)
    )
    assert verdict(found) is Verdict.WORSE
    assert verdict(found, "latency_ms.p99") is Verdict.OTHER_MACHINE
    assert verdict(found, "relay_cpu_us_per_packet") is Verdict.OTHER_MACHINE
    assert "different machines" in found.table()
    assert "cores 2 and 64" in found.table()


def test_one_run_of_another_machine_among_many_is_enough_to_judge_no_times() -> None:
    slow = {"p50": 9.0, "p95": 9.0, "p99": 30.0, "max": 60.0}
    new = runs([1.3, 1.3, 1.3], first_minute=1, latency_ms=slow)
    new[2]["machine"] = {**MACHINE, "cpu": "Another CPU"}
    found = compare(runs([1.3, 1.3, 1.3]), new)
    assert verdict(found, "latency_ms.p99") is Verdict.OTHER_MACHINE
    assert "cpu Test CPU and Another CPU" in found.table()


def test_loss_that_was_not_there_before_is_worse() -> None:
    lossy = [relay_report(lost=lost, received=3_000_000 - lost) for lost in (900, 1000, 1100)]
    found = compare([relay_report()] * 3, lossy)
    assert verdict(found, "lost") is Verdict.WORSE
    assert "+0.000333" in found.table()


def test_invalid_runs_are_left_out_and_named() -> None:
    bad = relay_report(ratio_to_floor=9.0, valid=False, invalid_because=["its pacer slept"])
    found = compare([*runs([1.3, 1.31, 1.32]), bad], runs([1.3, 1.31, 1.32], first_minute=1))
    assert not found.worse
    assert max(found.rows[0].old) == 1.32
    assert any("left out an old run" in note and "its pacer slept" in note for note in found.notes)


def test_disturbed_runs_are_told_once_a_side() -> None:
    disturbed = {"problems": ["other processes used 0.50 cores meanwhile"]}
    old, new = runs([1.3, 1.31, 1.32], **disturbed), runs([1.3, 1.31, 1.32], first_minute=1)
    (note,) = compare(old, new).notes
    assert note == "3 of 3 old runs had problems, the first: other processes used 0.50 cores meanwhile"


def test_nothing_valid_is_an_error() -> None:
    bad = relay_report(valid=False, invalid_because=["its pacer slept"])
    with pytest.raises(BenchError, match="no valid run on the new side: its pacer slept"):
        compare([relay_report()], [bad])


def test_runs_one_after_the_other_are_remarked_and_those_in_turns_are_not() -> None:
    old, new = interleaved([1.3, 1.31, 1.32], [1.3, 1.31, 1.32])
    assert not any("interleaved" in note for note in compare(old, new).notes)
    later = runs([1.3, 1.31, 1.32], first_minute=30)
    assert any("interleaved" in note for note in compare(old, later).notes)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (relay_report(), compare_report(), "cannot be compared with one of `compare`"),
        (
            relay_report(),
            relay_report(parameters={"listeners": 50, "duration": 60.0}),
            "listeners 1000 and 50",
        ),
        (envelope("join"), envelope("join"), "nothing to compare"),
    ],
)
def test_what_cannot_be_compared_is_refused(old: dict[str, Any], new: dict[str, Any], words: str) -> None:
    with pytest.raises(BenchError, match=words):
        compare([old], [new])


def test_a_parameter_that_an_older_version_did_not_know_was_off() -> None:
    old = relay_report()
    compare([old], [relay_report(parameters={**old["parameters"], "ipv6": False, "duration": 10.0})])
    with pytest.raises(BenchError, match="ipv6 None and True"):
        compare([old], [relay_report(parameters={**old["parameters"], "ipv6": True})])


def test_a_server_that_only_one_run_had_is_no_other_load() -> None:
    all_there = {"listeners": {"loa": 200, "janus": 200, "aiortc_encode": 16}, "servers": ["loa", "janus"]}
    old = compare_report(parameters=all_there)
    compare([old], [compare_report(parameters={"listeners": {"loa": 200, "janus": 200}, "servers": ["loa"]})])
    with pytest.raises(BenchError, match="different loads"):
        compare([old], [compare_report(parameters={"listeners": {"loa": 100, "janus": 100}})])


def folder(place: Path, reports: Sequence[dict[str, Any]]) -> Path:
    place.mkdir()
    for number, report in enumerate(reports):
        (place / f"{number}.json").write_text(json.dumps(report))
    return place


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(diff, [str(argument) for argument in arguments])


def test_the_command_ends_with_1_when_a_ratio_got_worse(tmp_path: Path) -> None:
    old, new = interleaved([1.30, 1.31, 1.32], [1.45, 1.46, 1.47])
    before, after = folder(tmp_path / "old", old), folder(tmp_path / "new", new)
    result = invoke(before, after, "--json", tmp_path / "diff.json")
    assert result.exit_code == 1
    assert "WORSE: ratio to the floor" in result.stdout
    written = json.loads((tmp_path / "diff.json").read_text())
    assert written["worse"] is True
    ratio = next(metric for metric in written["metrics"] if metric["path"] == "ratio_to_floor")
    assert (ratio["verdict"], ratio["gates"], ratio["old_median"]) == ("worse", True, 1.31)
    assert ratio["change"]["confidence"] == pytest.approx(0.9)
    result = invoke(after, before)
    assert result.exit_code == 0
    assert "no ratio got worse beyond noise" in result.stdout


def test_files_and_folders_may_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(relay_report()))
    assert len(load(tmp_path / "one.json")) == len(load(tmp_path)) == 1
    assert invoke(tmp_path / "one.json", tmp_path).exit_code == 0


@pytest.mark.parametrize(
    "text", ["", "{}", '{"schema": "loa.bench/2"}', json.dumps({**relay_report(), "sent": "x"})]
)
def test_an_unreadable_report_is_one_line_and_2(tmp_path: Path, text: str) -> None:
    (tmp_path / "good.json").write_text(json.dumps(relay_report()))
    (tmp_path / "bad.json").write_text(text)
    result = invoke(tmp_path / "good.json", tmp_path / "bad.json")
    assert result.exit_code == 2
    assert "bad.json" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(relay_report()))
    (tmp_path / "empty").mkdir()
    result = invoke(tmp_path / "good.json", tmp_path / "empty")
    assert result.exit_code == 2
    assert "no report" in result.stderr
    assert invoke(tmp_path / "good.json", tmp_path / "none").exit_code == 2


def test_the_coarse_gate_forgives_noise_and_tells_what_got_worse() -> None:
    baseline = runs([1.9, 2.0, 2.1])
    assert regressions(baseline, runs([2.9]), allowed=0.5) == []
    (sentence,) = regressions(baseline, runs([3.1]), allowed=0.5)
    assert "3.10, and 2.00 in the baseline" in sentence
    old = [compare_report(ratio={"janus": 6.0})]
    assert regressions(old, [compare_report(ratio={"janus": 4.1})], allowed=0.5) == []
    assert len(regressions(old, [compare_report(ratio={"janus": 3.9})], allowed=0.5)) == 1
