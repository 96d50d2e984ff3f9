"""Each scenario, as small as it can be, against the real relay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.fitness import Window
from bench.present import schema
from bench.profile import Tools
from bench.stage import NEWCOMERS, Join, Stage


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """The report, of a valid run or of one whose generator was short of CPU, as may be on the tests' machine."""
    file = tmp_path / "report.json"
    result = CliRunner().invoke(bench, [*arguments, "--json", str(file)])
    assert file.exists(), result.output
    report = schema.read(file)
    assert all("generator was the bottleneck" in text for text in report["invalid_because"])
    assert result.exit_code == (0 if report["valid"] and report.get("flat", True) else 1), result.output
    return report


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["join", "--listeners", "0", "--json", "x"], "--listeners"),
        (["join", "--listeners", "3", "--channels", "4", "--json", "x"], "--channels"),
        (["join", "--listeners", "3", "--stay", "2", "--json", "x"], "--stay"),
        (["soak", "--listeners", "3", "--json", "x"], "--duration"),
        (["soak", "--listeners", "3", "--duration", "1x", "--json", "x"], "--duration"),
        (["soak", "--listeners", "3", "--duration", "1s", "--json", "x"], "--duration"),
        (["relay", "--listeners", "3", "--duration", "1", "--churn", "-1", "--json", "x"], "--churn"),
        (["relay", "--listeners", "3", "--duration", "1", "--api-load", "x", "--json", "x"], "--api-load"),
        (["relay", "--listeners", "3", "--duration", "1", "--ramp", "--churn", "2", "--json", "x"], "--ramp"),
    ],
)
def test_bad_arguments_are_named_and_end_with_2(arguments: list[str], word: str) -> None:
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 2
    assert word in result.stderr


def test_listeners_and_requests_come_and_go_beside_the_measured_ones_over_ipv6(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        *("relay", "--listeners", "10", "--duration", "2", "--frame", "60", "--channels", "2"),
        *("--ipv6", "--churn", "5", "--api-load", "100"),
    )
    assert report["parameters"]["ipv6"] is True
    assert report["joined"] == 10
    assert report["lost"] == 0
    assert report["sample"]["wrong"] == 0
    churn, api = report["churn"], report["api_load"]
    assert churn["joined"] == churn["left"] >= 15 + 8
    assert churn["unheard"] == 0
    assert churn["join_ms"]["p50"] > 0
    assert api["requests"] > 100
    assert api["failed"] == 0, report["problems"]


class Forgetful(Stage):
    """A stage whose relay loses a listener after half the time, and another one while newcomers join."""

    def play(self, duration_s: float, doing: str = "", look: Callable[[float], None] | None = None) -> None:
        if doing.startswith("playing, part 2"):
            self.sessions.leave(self.playing()[0])
        super().play(duration_s, doing, look)

    def join(self, rows: Sequence[int], cohort: int, samples: int, *, stay: bool = False) -> Join:
        if cohort == NEWCOMERS:
            self.sessions.leave(self.playing()[0])
        return super().join(rows, cohort, samples, stay=stay)


def test_what_a_listener_misses_whose_session_is_lost_counts_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.relay_scenario.Stage", Forgetful)
    report = run(tmp_path, "relay", "--listeners", "4", "--duration", "2", "--join-burst", "3")
    assert report["joined"] == 4
    assert report["sent"] >= 4 * 80
    assert 35 <= report["lost"] <= 60
    assert any(text.startswith("1 of 4 listeners lost their session") for text in report["problems"])
    assert report["join_burst"]["lost_during"] > 0
    assert any(text.startswith("1 of 3 listeners lost") for text in report["join_burst"]["problems"])


def test_a_ramp_finds_a_number(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    report = run(tmp_path, "relay", "--listeners", "12", "--duration", "1", "--ramp", "--html", str(page))
    assert report["steps"][0]["listeners"] == 12
    assert report["steps"][0]["joined"] == 12
    assert report["steps"][0]["sent"] > 12 * 40
    assert page.exists()


def test_everybody_comes_back_after_a_crash(tmp_path: Path) -> None:
    report = run(tmp_path, "join", "--listeners", "10", "--duration", "1", "--channels", "2")
    assert [report[name]["joined"] for name in ("first", "back", "restart")] == [10, 5, 10]
    assert report["stayed"]["during"]["sent"] > 0
    assert report["stayed"]["during"]["lost"] == 0
    assert report["after_restart"]["sent"] > 10 * 40
    assert report["after_restart"]["lost"] == 0
    restart = report["restart"]
    assert 0 < restart["down_s"] < restart["silence_s"]["p50"] <= restart["silence_s"]["all"]
    assert 0 < restart["until_s"]["p50"] <= restart["until_s"]["all"]
    assert restart["joins_per_core_s"] > 0
    assert report["sample"]["wrong"] == 0


class Watched(Window):
    """A window that is remembered."""

    all: Final[list[Window]] = []

    def close(self) -> None:
        super().close()
        self.all.append(self)


def test_how_those_fare_who_stay_is_told_of_them_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.join_scenario.Window", Watched)
    report = run(tmp_path, "join", "--listeners", "10", "--duration", "1", "--stay", "0.2")
    assert report["back"]["joined"] == 8
    before, during, after = Watched.all
    assert [each.received for each in Watched.all] == [int(each.latency.sum()) for each in Watched.all]
    assert 0 < during.received < after.received
    assert before.received < after.received


def test_a_soak_watches_every_figure(tmp_path: Path) -> None:
    report = run(tmp_path, "soak", "--listeners", "5", "--duration", "3s")
    series = report["series"]
    assert 10 <= len(series["start_s"]) <= 12
    assert {len(values) for values in series.values() if isinstance(values, list)} == {len(series["start_s"])}
    assert min(series["descriptors"]) > 5
    assert report["slopes"]["descriptors"]["verdict"] == "flat"
    assert report["lost"] == 0


def test_a_profile_tells_where_the_time_went(tmp_path: Path) -> None:
    report = run(tmp_path, "relay", "--listeners", "10", "--duration", "1", "--profile")
    found = report["profile"]
    assert Path(found["flame_graph"]).read_text().lstrip().startswith("<?xml")
    assert sum(found["us_per_packet"].values()) == pytest.approx(report["relay_cpu_us_per_packet"], rel=0.01)
    assert found["us_per_packet"]["kernel"] > 0


def test_a_profiler_that_may_not_look_takes_nothing_from_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "py-spy"
    program.write_text(
        "#!/bin/sh\necho 'Error: Permission Denied: Try running again with sudo' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("bench.profile.tools", lambda: Tools(str(program), None))
    report = run(tmp_path, "relay", "--listeners", "2", "--duration", "1", "--profile")
    assert report["received"] > 0
    assert "profile" not in report
    assert any("CAP_SYS_PTRACE" in text for text in report["problems"])
