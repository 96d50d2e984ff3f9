from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.present import schema
from tests.support.reports import compare_report, envelope, join_figures, relay_report


def test_the_published_schemas_are_those_of_the_code() -> None:
    for path, text in schema.json_schemas().items():
        assert path.read_text() == text, "run `python -m bench.present`"


def test_every_scenario_has_a_published_schema_that_names_its_version() -> None:
    texts = {path.stem: json.loads(text) for path, text in schema.json_schemas().items()}
    assert set(texts) == {
        "relay",
        "ramp",
        "compare",
        "join",
        "soak",
        "links",
        "edge",
        "mixer",
        "live",
        "plan",
    }
    for name, text in texts.items():
        assert text["properties"]["schema"]["const"] == "loa.bench/1"
        assert text["properties"]["scenario"]["const"] == name


# what the issues promise to whoever reads the files
@pytest.mark.parametrize(
    "key",
    [
        *("listeners", "joined", "join_s", "sent", "received", "lost", "relay_cpu_us_per_packet"),
        *(
            "floor_us_per_packet",
            "ratio_to_floor",
            "latency_ms",
            "jitter_ms",
            "relay_rss_mb",
            "generator_saturated",
        ),
    ],
)
def test_a_relay_report_needs_what_the_issue_promises(key: str) -> None:
    report = relay_report()
    schema.validate(report)
    del report[key]
    with pytest.raises(BenchError, match=key):
        schema.validate(report)


@pytest.mark.parametrize("key", ["listeners", "servers", "floor_us_per_packet", "ratio"])
def test_a_comparison_needs_what_the_issue_promises(key: str) -> None:
    report = compare_report()
    schema.validate(report)
    del report[key]
    with pytest.raises(BenchError, match=key):
        schema.validate(report)


def test_a_missing_server_tells_the_command_and_no_figure() -> None:
    schema.validate(
        compare_report(servers={"loa": {"missing": "x"}, "janus": {"missing": "apt-get install janus"}})
    )
    with pytest.raises(BenchError, match=r"servers\.janus"):
        schema.validate(compare_report(servers={"janus": {"latency_ms": {"p50": 1.0, "p99": 2.0}}}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "loa.bench/2"}, "loa.bench/2.*only loa.bench/1"),
        ({"schema": "loa-bench-relay/1"}, "only loa.bench/1"),
        ({"scenario": "dance"}, "'dance' is not known"),
        ({"listeners": "many"}, "listeners: "),
        ({"valid": False}, "contradict"),
        ({"invalid_because": ["saturated"]}, "contradict"),
        ({"started": "yesterday"}, "started: "),
        ({"scenario": ["relay"]}, "is not known"),
        ({"relay_threads_us_per_packet": {"main": "much"}}, "relay_threads_us_per_packet.main: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BenchError, match=words) as caught:
        schema.validate(relay_report(**change))
    assert "\n" not in str(caught.value)


def test_further_keys_stay() -> None:
    schema.validate(relay_report(churn={"per_s": 20}))


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.json"
    schema.write(relay_report(), file)
    assert schema.read(file) == json.loads(json.dumps(relay_report()))


def test_what_does_not_fit_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BenchError):
        schema.write(envelope("relay"), tmp_path / "x.json")
    with pytest.raises(ValueError, match="JSON"):
        schema.write(relay_report(extra=float("nan")), tmp_path / "y.json")
    assert not list(tmp_path.iterdir())


def test_what_is_no_number_is_no_figure(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(relay_report(relay_rss_mb=float("nan"))))
    with pytest.raises(BenchError, match=r"report\.json: not JSON: NaN is no figure"):
        schema.read(file)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "{}", '{"schema": ["x"]}', "[" * 50_000, "\x00"])
def test_files_that_are_no_reports_are_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.json"
    file.write_text(text)
    with pytest.raises(BenchError, match=r"broken\.json: ") as caught:
        schema.read(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(BenchError, match="No such file"):
        schema.read(tmp_path / "none.json")


def test_a_header_is_what_every_scenario_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/loa", "bench", "relay", "--json", "my file"])
    head = schema.header("join", started=1_795_402_800.0, parameters={"listeners": 5})
    assert head["command"] == "loa bench relay --json 'my file'"
    assert head["started"] == "2026-11-23T03:00:00Z"
    schema.validate({**head, **join_figures()})
    bad = schema.header("join", started=0.0, parameters={}, invalid_because=["saturated"])
    assert bad["valid"] is False
    schema.validate({**bad, **join_figures()})
