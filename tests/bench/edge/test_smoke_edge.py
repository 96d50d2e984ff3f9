"""Two real receivers on a LAN, judged by what they played."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.edge.scenario import Parameters
from bench.errors import BenchError
from bench.present import schema


@pytest.mark.alone
def test_two_receivers_on_a_lan_play_everything_in_step(tmp_path: Path) -> None:
    """Shares and presence only, for others may use the machine meanwhile; figures are for a quiet one."""
    file, page = tmp_path / "edge.json", tmp_path / "edge.html"
    command = ["edge", "--edges", "2", "--link", "lan", "--duration", "6", "--settle", "2"]
    result = CliRunner().invoke(bench, [*command, "--json", str(file), "--html", str(page)])
    assert file.exists(), result.output
    report = schema.read(file)
    assert report["edges"] == 2
    assert report["link_lost_ratio"] == 0
    # A machine that stands still for half a second may take this much
    assert report["concealed_ratio"] < 0.15
    assert abs(report["delay_ms"]["p50"] - 700) < 60
    assert report["skew_ms"]["p50"] < 5
    assert 4000 < report["data_bytes_per_s"] < 10_000
    assert 0 < report["edge_cpu_percent"] < 50
    assert 10 < report["edge_mb"] < 120
    # Six seconds begin anywhere within a frame of 20 ms
    assert {one["frames"] for one in report["receivers"]} <= {300, 301}
    assert page.read_text().startswith("<!doctype html>")


def test_what_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    file = str(tmp_path / "edge.json")
    for words, said in (
        (["--edges", "3", "--output", "pulse"], "two sinks"),
        (["--kill", "20"], "before the end"),
        (["--delay", "700"], "not a duration"),
        (["--delay", "9s"], "between 150ms and 3s"),
        (["--link", "P9"], "there is no preset"),
        (["--keep", str(tmp_path)], "a folder that is not there yet"),
    ):
        result = CliRunner().invoke(bench, ["edge", "--duration", "10", "--json", file, *words])
        assert result.exit_code != 0
        assert said in result.output


def test_what_cannot_speak_is_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[object] = []
    monkeypatch.setattr("bench.edge.scenario.run", lambda *given: ran.append(given))
    monkeypatch.setenv("PATH", "/nowhere")
    words = ["edge", "--duration", "10", "--quality", "--json", str(tmp_path / "edge.json")]
    result = CliRunner().invoke(bench, words)
    assert result.exit_code == 1
    assert "sudo apt-get install espeak-ng" in result.output
    assert not ran


def test_what_is_kept_is_kept_where_the_command_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receivers take the paths in their files from their own folders, and would play into another one."""
    asked: list[Parameters] = []

    def run(parameters: Parameters, say: object) -> None:
        asked.append(parameters)
        raise BenchError("enough")

    monkeypatch.setattr("bench.edge.scenario.run", run)
    monkeypatch.chdir(tmp_path)
    words = ["edge", "--duration", "10", "--keep", "kept", "--json", "edge.json"]
    assert "enough" in CliRunner().invoke(bench, words).output
    (parameters,) = asked
    assert parameters.keep == str(tmp_path / "kept")
