"""A comparison in small, against the real servers: everything arrives, and every figure is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.compare import janus_server
from bench.compare.booth import BOOTHS, Booth
from bench.present import schema


def compared(servers: str, folder: Path) -> dict[str, Any]:
    """A short run. The tests' machine may be busy elsewhere, and the 99th percentile of so few packets is the latest of
    them: that the generator was late is no failure here.
    """
    file = folder / "report.json"
    words = (
        f"compare --listeners 5 --duration 1.2 --rounds 2 --servers {servers} --aiortc-listeners 2 5".split()
    )
    files = ["--json", str(file), "--html", str(folder / "report.html")]
    result = CliRunner().invoke(bench, [*words, *files])
    assert file.exists(), result.output
    report: dict[str, Any] = json.loads(file.read_text())
    assert result.exit_code == (0 if report["valid"] else 1), result.output
    assert not [text for text in report["invalid_because"] if not re.search("late at p99|were busy", text)]
    schema.validate(report)
    return report


def check(report: dict[str, Any], name: str, listeners: int = 5) -> None:
    server = report["servers"][name]
    assert server["listeners"] == listeners, report["problems"]
    # aiortc decodes and encodes in one thread with all the rest, and drops what that holds up on a busy machine.
    encodes = name == "aiortc_encode"
    assert 0 <= server["lost"] < (100 if encodes else 1)
    assert server["cpu_us_per_packet"] > 1
    assert 0 < server["latency_ms"]["p50"] <= server["latency_ms"]["p99"]
    assert server["datagram_bytes"] == pytest.approx(report["servers"]["loa"]["datagram_bytes"], abs=8)
    # a phase plays 0.6 s at 50 packets a second, with a little sound before and after
    for turn in server["turns"]:
        assert listeners * (10 if encodes else 40) < turn["packets"] < listeners * 80
        assert turn["floor_us_per_packet"] > 0


@pytest.mark.alone
def test_loa_and_aiortc_side_by_side(tmp_path: Path) -> None:
    report = compared("loa,aiortc_packets,aiortc_encode", tmp_path)
    check(report, "loa")
    check(report, "aiortc_packets")
    check(report, "aiortc_encode", 2)
    assert report["ratio"]["aiortc_encode"] > report["ratio"]["aiortc_packets"] > 0
    assert report["ratio"]["janus"] is None
    # aiortc's jitter buffer holds four packets back before it decodes
    assert 75 < report["servers"]["aiortc_encode"]["latency_ms"]["p50"] < 5000
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.skipif(janus_server.missing() is not None, reason=f"no Janus: {janus_server.missing()}")
def test_janus_in_a_network_of_its_own(tmp_path: Path) -> None:
    report = compared("loa,janus,janus_default", tmp_path)
    check(report, "loa")
    check(report, "janus")
    check(report, "janus_default")
    assert report["environment"] == "network namespace"
    assert report["ratio"]["janus"] > 0
    assert report["ratio"]["janus_default"] > 0


def test_a_server_that_is_not_here_is_named_and_nothing_invented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.compare.janus_server.shutil.which", lambda name: None)
    monkeypatch.setattr("bench.compare.compare_scenario.namespace_missing", lambda: "sudo loa bench compare")
    report = compared("loa,janus", tmp_path)
    check(report, "loa")
    assert report["servers"]["janus"] == {"missing": "apt-get install janus"}
    assert report["ratio"]["janus"] is None
    assert report["environment"] == "loopback"


class Forgetful(Booth):
    """A server that loses a listener before its last turn."""

    def take_turn(self, seconds: float) -> None:
        if self.phases:
            self.sessions.leave(self.playing()[0])
        super().take_turn(seconds)


def test_what_a_listener_misses_whose_session_is_lost_counts_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.compare.compare_scenario.namespace_missing", lambda: "sudo loa bench compare")
    monkeypatch.setitem(BOOTHS, "loa", Forgetful)
    report = compared("loa", tmp_path)
    server = report["servers"]["loa"]
    assert server["listeners"] == 5
    assert 20 <= server["lost"] <= 40
    assert "Loa: 1 of 5 listeners lost their session meanwhile" in report["problems"][0]
