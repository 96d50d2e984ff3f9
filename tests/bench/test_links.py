"""`loa bench links`, small: everybody is up thrice, and the sound goes on."""

from __future__ import annotations

import pytest

from bench.links import scenario
from bench.present import schema
from bench.stage import Parameters


def test_links_come_come_back_and_outlive_the_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario, "SETTLE_S", 0.5)
    monkeypatch.setattr(scenario, "IDLE_S", 1.0)
    report = scenario.run(Parameters(2, 1.0), 5, lambda _text: None)
    schema.validate(report)
    assert {name: each["up"] for name, each in report["up"].items()} == {
        "first": 5,
        "again": 5,
        "restarted": 5,
    }
    assert all(each["sent"] > 0 and each["lost"] == 0 for each in report["sound"].values())
    shown = scenario.table(report)
    assert "5 links" in shown
    assert "restarted" in shown
    nothing = {"sent": 100, "lost": 100, "latency_ms": dict.fromkeys(("p50", "p99", "max"))}
    report["sound"]["storm"] = nothing | {"jitter_ms": nothing["latency_ms"]}
    (line,) = [line for line in scenario.table(report).splitlines() if line.startswith("storm")]
    assert line.split() == ["storm", "100", "-", "-", "-"]
