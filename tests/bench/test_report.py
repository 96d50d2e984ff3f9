from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.report import Generator, JoinBurst, Report, Sample, Segment

GENERATOR = Generator(
    cpu_us_per_packet=3.0,
    pacer_lag_ms={"p50": 0.1, "p99": 0.4, "max": 9.0},
    timer_lag_ms={"p50": 1.0, "p99": 30.0, "max": 200.0},
    socket_overflows=0,
    backlog_drops=0,
    not_handed_over=0,
    publish_failures=0,
    floor_lost=0,
    idle_share=0.3,
    steal_share=0.0,
    others_cores=0.0,
    join_cores=0.8,
)
REPORT = Report(
    parameters={"listeners": 100},
    machine={"cpu": "x", "cores": 2, "memory_mb": 1000, "kernel": "6.1", "architecture": "x86_64"},
    versions={"loa": "0.1.0"},
    command="loa bench relay",
    started="2026-11-23T00:00:00Z",
    listeners=100,
    joined=99,
    join_s=0.51234,
    join_ms={"p50": 200.0, "p99": 500.0, "max": 512.0},
    sound_after_dtls_ms={"p50": 10.0, "p99": 20.0, "max": 21.0},
    sent=10_000,
    received=9_990,
    duplicates=1,
    latency_ms={"p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0},
    jitter_ms={"p50": 0.1, "p99": 1.0, "max": 2.0},
    segments=[Segment(1000, 6.0, 4.0), Segment(3000, 10.0, 5.0), Segment(1000, 4.4, 4.0)],
    distribution={},
    datagram_bytes=148,
    relay_rss_mb=123.4,
    relay_kb_per_listener=55.5,
    relay_upkeep_us_per_listener_s=30.0,
    relay_threads_us_per_packet={"main": 0.1},
    softirq_threads_us_per_packet=0.01,
    generator=GENERATOR,
    sample=Sample(8, 400, 0),
    join_burst=None,
)
# what the issue promises to whoever reads the file
PROMISED = {
    "listeners", "joined", "join_s", "sent", "received", "lost", "relay_cpu_us_per_packet", "floor_us_per_packet",
    "ratio_to_floor", "latency_ms", "jitter_ms", "relay_rss_mb", "generator_saturated",
}  # fmt: skip


def test_the_file_has_the_promised_fields(tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.json"
    REPORT.write(file)
    written = json.loads(file.read_text())
    assert set(written) >= PROMISED
    assert set(written["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert {"p50", "p99"} <= set(written["jitter_ms"])
    assert (written["schema"], written["scenario"]) == ("loa.bench/1", "relay")
    assert written["lost"] == 10
    assert written["valid"] is True


def test_the_ratio_is_the_median_of_the_segments() -> None:
    assert REPORT.ratio_to_floor == pytest.approx(1.5)


def test_cpu_per_packet_weighs_segments_by_their_packets() -> None:
    assert REPORT.relay_cpu_us_per_packet == pytest.approx((6000 + 30_000 + 4400) / 5000)


def test_a_saturated_generator_makes_the_run_invalid() -> None:
    report = replace(REPORT, saturated_by=["its pacer slept"])
    assert report.to_json()["generator_saturated"] is True
    assert not report.valid
    assert "NOT VALID, the generator was the bottleneck: its pacer slept" in report.table()


@pytest.mark.parametrize("sample", [Sample(8, 400, 1), Sample(8, 0, 0)])
def test_streams_that_are_not_what_was_published_make_the_run_invalid(sample: Sample) -> None:
    report = replace(REPORT, sample=sample)
    assert not report.valid
    assert report.to_json()["generator_saturated"] is False
    assert "NOT VALID" in report.table()


def test_the_table_tells_a_burst() -> None:
    burst = JoinBurst(50, 50, 0.4, {"p50": 1.0}, 0, {"p99": 2.0}, {"p50": 0.5, "p99": 1.5}, 0.9, [])
    assert "50 of 50 in 0.40 s" in replace(REPORT, join_burst=burst).table()
    assert replace(REPORT, join_burst=burst).to_json()["join_burst"]["jitter_ms_during"]["p99"] == 1.5
