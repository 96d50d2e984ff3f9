from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.commands import plan as command
from bench.errors import BenchError
from bench.plan import Assumptions, Capacity, Measured, capacity, make
from bench.present import schema
from bench.wire import Rendition
from tests.support.reports import MACHINE, compare_report, relay_report

KBPS = (136 * 50 + 16 + (124 + 112) / 5 + 194 / 10 + 418 / 3600) * 8 / 1000
R24 = Rendition.parse("24k/20ms")
R60 = Rendition.parse("24k/60ms")


def of(receivers: int, rendition: Rendition = R24, **more: Any) -> Capacity:
    return capacity(receivers, rendition, Measured.of(relay_report(**more)), Assumptions())


def test_the_cost_of_a_receiver_by_hand() -> None:
    """6 µs a packet at 50 packets a second with 50 µs upkeep a second: 5 µs a packet and 50 µs a second."""
    measured = Measured.of(relay_report())
    assert measured.us_per_packet == pytest.approx(6 - 50 / 50)
    assert measured.us_per_receiver_s(R24) == pytest.approx(5 * 50 + 50)
    assert measured.us_per_receiver_s(R60) == pytest.approx(5 * 50 / 3 + 50)


def test_kernel_threads_are_charged_too() -> None:
    assert Measured.of(relay_report(softirq_threads_us_per_packet=0.5)).us_per_packet == pytest.approx(5.5)


def test_a_report_of_long_packets_splits_its_upkeep_by_its_own_rate() -> None:
    parameters = {"listeners": 1000, "frame_ms": 60}
    assert Measured.of(relay_report(parameters=parameters)).us_per_packet == pytest.approx(
        6 - 50 / (1000 / 60)
    )


def test_the_limits_of_one_relay_by_hand() -> None:
    measured = Measured.of(relay_report(relay_threads_us_per_packet={"main": 0.1, "3 python": 3.7}))
    limits = measured.limits(R24, Assumptions())
    assert limits["CPU"] == int(2 * 0.7 * 1e6 / 300) == 4666
    # the busiest thread: 3.7 - 1 µs a packet and all the upkeep
    assert limits["busiest thread"] == int(0.7e6 / (2.7 * 50 + 50)) == 3783
    # 136 bytes x 50 + 16, an answer of 124 and a sender report of 112 every 5 s, the time in 194
    # every 10 s, a token in 418 every hour: 55.0617 kbit/s
    assert limits["link"] == int(700_000 / KBPS) == 12_713
    # 24,000 MiB x 0.7 less 260 MiB - 1,000 x 65 KiB, at 65 KiB each
    assert limits["memory"] == int((24_000 * 1024 * 0.7 - (260 * 1024 - 65_000)) / 65)


def test_one_machine_suffices_for_a_district() -> None:
    found = of(250)
    assert [tier.relays for tier in found.tiers] == [1]
    assert found.cores == pytest.approx(250 * 300e-6 / 0.7)
    assert found.tiers[0].mbps_out == pytest.approx(250 * KBPS / 1000)
    assert not found.extrapolated


def test_a_province_needs_a_second_tier() -> None:
    """5,000 / 4,666 are two relays, and one more feeds those two."""
    found = of(5_000)
    assert [tier.relays for tier in found.tiers] == [2, 1]
    assert found.relays == 3
    assert found.tiers[0].most == 2500
    assert found.cores == pytest.approx((5_000 + 2) * 300e-6 / 0.7)
    assert found.tiers[1].mbps_out == pytest.approx(2 * KBPS / 1000)
    assert found.extrapolated


def test_ten_million_and_a_small_machine_need_more_tiers() -> None:
    """At 100 times the cost one relay carries 46: 10,000,000 -> 217,392 -> 4,726 -> 103 -> 3 -> 1."""
    slow = of(10_000_000, relay_cpu_us_per_packet=600.0, relay_upkeep_us_per_listener_s=0.0)
    assert slow.per_relay == int(1.4e6 / 30_000) == 46
    assert [tier.relays for tier in slow.tiers] == [217_392, 4_726, 103, 3, 1]
    assert [tier.relays for tier in of(10_000_000).tiers] == [2_144, 1]


def test_the_narrowest_limit_is_named() -> None:
    thin = capacity(5_000, R24, Measured.of(relay_report()), Assumptions(link_mbps=10))
    assert (thin.limited_by, thin.per_relay) == ("link", int(10_000 / KBPS))
    small = of(5_000, machine={**MACHINE, "memory_mb": 400})
    assert small.limited_by == "memory"


def test_long_packets_cost_a_third_of_the_packets() -> None:
    assert of(100_000, R60).cores / of(100_000).cores == pytest.approx((5 * 50 / 3 + 50) / 300, rel=1e-3)


def test_more_upkeep_than_cost_is_not_subtracted() -> None:
    assert Measured.of(relay_report(relay_upkeep_us_per_listener_s=500.0)).us_per_packet == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (compare_report(), "needs a report of `loa bench relay`"),
        (relay_report(valid=False, invalid_because=["its pacer slept"]), "not valid .its pacer slept."),
        (relay_report(joined=0), "no listener heard"),
        (relay_report(parameters={"frame_ms": 0}), "frame_ms: 0 is none"),
        (relay_report(relay_cpu_us_per_packet=1e6), "carries 0 receivers"),
    ],
)
def test_reports_that_carry_no_plan_are_refused(report: dict[str, Any], words: str) -> None:
    with pytest.raises(BenchError, match=words):
        make(report, [250], [R24], Assumptions())


def invoke(tmp_path: Path, *arguments: str, report: dict[str, Any] | None = None) -> Result:
    (tmp_path / "relay.json").write_text(json.dumps(report or relay_report()))
    return CliRunner().invoke(command, [str(tmp_path / "relay.json"), *arguments])


def test_the_command_prints_the_table_and_writes_a_valid_report(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    result = invoke(tmp_path, "--json", str(file), "--rendition", "24k/20ms,24k/60ms")
    assert result.exit_code == 0, result.output
    written = schema.read(file)
    assert written["scenario"] == "plan"
    assert [(row["receivers"], row["rendition"]) for row in written["capacity"]] == [
        (receivers, rendition)
        for rendition in ("24k/20ms", "24k/60ms")
        for receivers in (250, 5_000, 100_000, 10_000_000)
    ]
    province = written["capacity"][1]
    assert province["relays"] == 3
    assert [(hop["from"], hop["to"]) for hop in province["hops"]] == [
        ("station", "relay of tier 2"),
        ("tier 2", "relays of tier 1"),
        ("tier 1", "receivers"),
    ]
    assert province["hops"][2]["mbps_per_sender"] == pytest.approx(2500 * KBPS / 1000, abs=1e-3)
    assert written["machine"] == relay_report()["machine"]
    for part in ("10,000,000", "2,145 †", "receivers by CPU = cores *", "1.29 / 1.51 GB", "31 / 36 MB"):
        assert part in result.stdout
    assert "hours without sound, and the limit" not in result.stdout


def test_assumptions_change_the_plan(tmp_path: Path) -> None:
    result = invoke(
        tmp_path, "--listeners", "4000", "--core-share", "0.35", "--json", str(tmp_path / "x.json")
    )
    assert result.exit_code == 0
    assert schema.read(tmp_path / "x.json")["capacity"][0]["receivers_per_relay"] == 2333


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--listeners", "many"], 2, "--listeners"),
        (["--listeners", "0"], 2, "--listeners"),
        (["--listeners", ""], 2, "--listeners"),
        (["--core-share", "2"], 2, "--core-share"),
        (["--ip", "5"], 2, "--ip"),
        (["--link", "inf"], 2, "--link"),
        (["--hours", "nan"], 2, "--hours"),
        (["--rendition", "24k/20ms,fast"], 2, "'fast' is no rendition"),
    ],
)
def test_bad_arguments_are_named(tmp_path: Path, arguments: list[str], code: int, word: str) -> None:
    result = invoke(tmp_path, *arguments)
    assert result.exit_code == code
    assert word in result.stderr


def test_another_version_of_the_schema_is_refused_in_one_line(tmp_path: Path) -> None:
    result = invoke(tmp_path, report=relay_report(schema="loa.bench/2"))
    assert result.exit_code == 1
    assert "loa.bench/2" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
