from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bench.cli import bench
from bench.options import Seconds
from bench.procfs import process_tree
from bench.scenario_commands import carry_out
from tests.support.reports import relay_report


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(bench, ["relay", *arguments])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--listeners", "0"], "--listeners"),
        (["--listeners", "many"], "--listeners"),
        (["--listeners", "5", "--duration", "0"], "--duration"),
        (["--listeners", "5", "--duration", "3", "--frame", "30"], "--frame"),
        (["--listeners", "5", "--duration", "3", "--payload", "4"], "--payload"),
        (["--listeners", "5", "--duration", "3"], "--json"),
        (["--listeners", "5", "--duration", "3", "--json", "x", "--channels", "6"], "--channels"),
        (["--listeners", "5", "--duration", "3", "--json", "x", "--churn", "nan"], "--churn"),
    ],
)
def test_bad_arguments_are_named_and_end_with_2(arguments: list[str], word: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert word in result.stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5.0), ("5s", 5.0), ("1.5", 1.5), ("2m", 120.0), ("1h30m", 5400.0)]
)
def test_times_are_seconds_or_have_a_unit(text: str, seconds: float) -> None:
    assert Seconds(1, 86_400).convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("0.5", "must be 1s to 1d"),
        ("2d", "must be 1s to 1d"),
        ("nan", "must be"),
        ("5 minutes", "90s, 5m or 1h"),
    ],
)
def test_other_times_are_refused_with_the_mend(text: str, word: str) -> None:
    with pytest.raises(click.BadParameter, match=word):
        Seconds(1, 86_400).convert(text, None, None)


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_report_that_could_not_be_written_is_told_before_the_run(tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")
    files = {"--json": str(tmp_path / "x.json"), option: str(tmp_path / "file" / "x")}
    result = invoke(
        "--listeners", "5", "--duration", "1h", *(word for pair in files.items() for word in pair)
    )
    assert result.exit_code == 1
    assert "choose another file" in result.stderr
    assert "starting the relay" not in result.stderr


def test_a_full_disk_takes_the_file_and_not_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    report = relay_report()
    with pytest.raises(click.ClickException, match="/dev/full: No space left"):
        carry_out(lambda say: report, lambda found: f"{found['lost']} lost", Path("/dev/full"), None)
    assert capsys.readouterr().out == "0 lost\n"


def test_too_few_descriptors_end_with_1_and_the_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 1024))
    result = invoke("--listeners", "3000", "--duration", "3", "--json", str(tmp_path / "x.json"))
    assert result.exit_code == 1
    assert "ulimit" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def small_run(file: Path) -> tuple[Result, dict[str, Any]]:
    """The first run that the generator itself calls fit, of three, or the last: the machine may be busy elsewhere."""
    for _ in range(3):
        result = invoke(
            "--listeners", "20", "--duration", "3", "--channels", "2", "--join-burst", "5", "--json", str(file)
        )  # fmt: skip
        report = json.loads(file.read_text())
        if not report["generator_saturated"]:
            break
    return result, report


def test_a_small_run_against_the_real_relay(tmp_path: Path) -> None:
    result, report = small_run(tmp_path / "report.json")
    fit = not report["generator_saturated"]
    assert result.exit_code == (0 if fit else 1), result.output
    assert report["valid"] is fit
    assert report["joined"] == 20
    assert report["lost"] == 0
    assert 20 * 140 < report["sent"] == report["received"] < 20 * 170
    assert report["duplicates"] == 0
    assert report["sample"]["opened"] > 8 * 100
    assert report["sample"]["wrong"] == 0
    assert report["join_burst"]["joined"] == 5
    assert report["join_burst"]["lost_during"] == 0
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"] <= report["latency_ms"]["max"]
    assert "ratio to the floor" in result.stdout


def test_what_is_terminated_leaves_no_folder_and_no_process_behind(tmp_path: Path) -> None:
    words = ["live", "--inputs", "1", "--listeners", "1", "--json", str(tmp_path / "x.json")]
    with subprocess.Popen(
        [sys.executable, "-m", "loaedge", "bench", *words],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("listeners come in"):
                break
        (relay,) = process_tree(process.pid)[1:]
        process.terminate()
        said += process.stderr.readlines()
    assert process.returncode == 128 + signal.SIGTERM, said
    assert list(tmp_path.iterdir()) == []
    assert not Path(f"/proc/{relay}").exists()
