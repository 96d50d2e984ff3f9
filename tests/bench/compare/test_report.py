"""Figures, ratios and verdicts of a comparison from accounts that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.compare.report import Comparison, Found, Turn, middle, table
from bench.present import schema
from bench.report import Generator

GENERATOR = Generator(
    cpu_us_per_packet=5,
    pacer_lag_ms={"p50": 0.1, "p99": 0.5, "max": 1.0},
    timer_lag_ms={"p50": 1.0, "p99": 10.0, "max": 20.0},
    socket_overflows=0,
    backlog_drops=0,
    not_handed_over=0,
    publish_failures=0,
    floor_lost=0,
    idle_share=0.5,
    steal_share=0.0,
    others_cores=0.0,
    join_cores=0.5,
)


def found(title: str, *costs: float) -> Found:
    return Found(
        title=title,
        listeners=200,
        wanted=200,
        lost=0,
        turns=[Turn(1000, cost, 4.0) for cost in costs],
        upkeep_us_per_listener_s=50,
        latency_ms={"p50": 1.0, "p99": 2.0},
        jitter_ms={"p50": 0.1, "p99": 0.2},
        curves={"latency_ms": [(0.5, 1.0), (1.0, 2.0)], "jitter_ms": []},
        frame_ms=20,
        datagram_bytes=148,
        sampled=400,
        wrong=0,
        generator=GENERATOR,
        problems=[],
    )


def comparison(**servers: Found) -> Comparison:
    return Comparison(
        found=servers,
        mends={"aiortc_encode": "pip install aiortc"},
        started=1_795_000_000.0,
        parameters={"rounds": 3},
        environment="network namespace",
    )


USUAL = comparison(loa=found("Loa", 10, 5, 20), janus=found("Janus", 60, 20, 80))


def test_a_ratio_is_taken_within_each_round() -> None:
    # the machine was four times slower in the last round than in the second: both servers felt it
    assert USUAL.ratios("janus") == [6, 4, 4]
    others = dict.fromkeys(("janus_default", "aiortc_encode", "aiortc_packets"))
    assert USUAL.to_json()["ratio"] == {"janus": 4.5, **others}


def test_the_report_is_as_the_issue_says_and_fits_its_schema(tmp_path: Path) -> None:
    report = USUAL.to_json()
    schema.write(report, tmp_path / "report.json")
    assert schema.read(tmp_path / "report.json")["valid"] is True
    assert report["listeners"] == 200
    assert report["floor_us_per_packet"] == 4
    janus = report["servers"]["janus"]
    assert janus["cpu_us_per_packet"] == 55
    assert janus["latency_ms"] == {"p50": 1.0, "p99": 2.0}
    assert (janus["listeners"], janus["lost"]) == (200, 0)
    assert report["servers"]["aiortc_encode"] == {"missing": "pip install aiortc"}


def test_the_table_names_what_is_missing_and_its_mend() -> None:
    lines = table(USUAL.to_json()).splitlines()
    assert "not here: aiortc encoding; pip install aiortc" in lines
    (janus,) = [line for line in lines if line.startswith("Janus")]
    assert janus.split()[1:5] == ["200", "55.00", "13.75", "4.50"]


def test_the_middle_is_steady_and_not_moved_by_one_wild_round() -> None:
    assert middle([3, 3, 3, 3, 3, 3, 3, 30]) == 3
    assert middle([1, 2]) == 1.5
    assert middle([7]) == 7


@pytest.mark.parametrize(
    ("spoilt", "word"),
    [
        (replace(found("Janus", 1, 1, 1), generator=replace(GENERATOR, socket_overflows=3)), "overflow"),
        (replace(found("Janus", 1, 1, 1), wrong=2), "2 were not what was published"),
        (replace(found("Janus", 1, 1, 1), sampled=0), "of 0 packets"),
    ],
)
def test_what_cannot_be_believed_is_not_valid(spoilt: Found, word: str) -> None:
    report = comparison(loa=found("Loa", 1, 1, 1), janus=spoilt).to_json()
    assert report["valid"] is False
    assert word in report["invalid_because"][0]
    assert report["invalid_because"][0].startswith("Janus: ")


def test_the_worst_disturbance_is_told_once() -> None:
    disturbed = replace(found("Loa", 1, 1, 1), generator=replace(GENERATOR, others_cores=0.5))
    worse = replace(found("Janus", 1, 1, 1), generator=replace(GENERATOR, others_cores=0.9))
    (problem,) = comparison(loa=disturbed, janus=worse).problems
    assert "0.90 cores" in problem
