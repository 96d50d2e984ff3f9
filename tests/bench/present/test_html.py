from __future__ import annotations

import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench import plan_report
from bench.errors import BenchError
from bench.plan import LISTENERS, RENDITIONS, Assumptions, make
from bench.present import html as html_module
from bench.present.html import write_html
from bench.present.render import html
from bench.wire import Rendition
from tests.support.reports import compare_report, envelope, join_figures, relay_report, soak_figures

VOID = {"meta", "br", "link", "img", "hr", "input"}


def plan_of(report: dict[str, Any]) -> dict[str, Any]:
    renditions = [Rendition.parse(text) for text in RENDITIONS]
    return plan_report.to_json(make(report, LISTENERS, renditions, Assumptions()), Path("relay.json"))


PAGES = {
    "relay": relay_report(),
    "profiled": relay_report(
        profile={"us_per_packet": {"kernel": 4.0, "crypto": 0.7, "header": 0.1, "Python": 1.2}}
    ),
    "bare": relay_report(distribution={}, segments=[], join_burst=None),
    "compare": compare_report(),
    "plan": plan_of(relay_report()),
    "join": envelope("join", **join_figures(distribution=relay_report()["distribution"])),
    "soak": envelope(
        "soak", **soak_figures(series={"interval_s": 60.0, "rss_mb": [1.0, 2.0, None], "name": []})
    ),
}


@cache
def page_of(name: str) -> str:
    """Each is drawn once: the charts take most of a second."""
    return html(PAGES[name])


class Page(HTMLParser):
    """What a reader of the page would find, and whether its tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self.labels: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                self.addresses.append(value or "")
            elif name == "aria-label":
                self.labels.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_needs_nothing_else(name: str) -> None:
    text = page_of(name)
    page = Page(text)
    assert not page.open
    assert len(page.ids) == len(set(page.ids)), "two charts share the inner ids of an SVG"
    assert all(address.startswith("#") for address in page.addresses)
    assert not {"script", "img", "iframe", "link", "object"} & set(page.tags)
    assert not re.search(r"url\((?!#)|@import|@font-face", text)
    assert len(text) < 400_000


@pytest.mark.parametrize("name", PAGES)
def test_every_page_tells_machine_versions_command_and_the_report_itself(name: str) -> None:
    report = PAGES[name]
    words = Page(page_of(name)).text
    for part in (
        "Test CPU",
        "24,000",
        "3.11.9",
        report["command"],
        '"schema": "loa.bench/1"',
        report["started"],
    ):
        assert part in words, part


@pytest.mark.parametrize("name", PAGES)
def test_charts_follow_the_page_in_light_and_dark(name: str) -> None:
    """Nothing is drawn in a colour of its own: not black, not one of the stand-ins."""
    for svg in re.findall(r"<svg.*?</svg>", page_of(name), re.DOTALL):
        assert set(re.findall(r"(?:fill|stroke): *(#\w+)", svg)) == set()
        assert "var(--" in svg


def test_a_relay_page_shows_distributions_cost_and_formulas() -> None:
    page = Page(page_of("relay"))
    for part in (
        *("Latency, percentiles", "Latency over time", "Jitter, percentiles", "Jitter over time"),
        *("CPU per delivered packet", "bare sendmmsg", "99.9", "percentile of packets", "ms", "p90 to p99"),
        *("✓ valid", "ratio to the floor", "median over the parts of the run", "1.33", "✓ goal met"),
    ):
        assert part in page.text, part
    assert any("p50 2.3, p99 7.6, max 17 ms" in label for label in page.labels)


def test_a_profile_is_shown_in_its_parts() -> None:
    words = Page(page_of("profiled")).text
    for part in ("kernel", "crypto", "header", "Python"):
        assert part in words


def test_a_missing_server_shows_the_command_that_installs_it() -> None:
    words = Page(page_of("compare")).text
    assert "not installed" in words
    assert "pip install 'loa[bench]'" in words
    assert "5.67 times" in words
    assert "goal met" not in words
    assert "✓ goal met" in Page(html(compare_report(listeners=200))).text


def test_a_plan_shows_capacity_hops_data_and_formulas() -> None:
    words = Page(page_of("plan")).text
    for part in (
        "10,000,000",
        "2,145 †",
        "tier 1 to receivers",
        "receivers per relay",
        "1.29 / 1.51 GB",
        "1 GB",
    ):
        assert part in words, part


def test_an_invalid_run_says_so_first_and_meets_no_goal() -> None:
    bad = relay_report(valid=False, invalid_because=["its pacer slept"], problems=["others were busy"])
    words = Page(html(bad)).text
    assert "✗ not valid" in words
    assert words.index("its pacer slept") < words.index("others were busy") < words.index("packets lost")
    assert "goal met" not in words
    assert "✓" not in words


def test_small_runs_are_not_judged_by_the_goals_of_large_ones() -> None:
    words = Page(html(relay_report(listeners=20, joined=20, ratio_to_floor=9.0))).text
    assert "goal missed" not in words
    assert "✗ goal missed" in Page(html(relay_report(ratio_to_floor=9.0))).text


def test_nothing_in_a_report_becomes_markup() -> None:
    evil = "<script>alert('x')</script>\"><b>&amp;"
    report = relay_report(
        command=evil,
        problems=[evil],
        machine={**relay_report()["machine"], "cpu": evil, evil: evil},
        profile={"us_per_packet": {evil: 1.0, "kernel": 2.0}},
        surprise={evil: {evil: [evil]}},
    )
    page = Page(html(report))
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert evil in page.text


def test_the_same_report_gives_the_same_page() -> None:
    assert html(PAGES["relay"]) == page_of("relay")


def test_a_page_is_written_and_a_broken_report_is_not(tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.html"
    write_html(relay_report(), file)
    assert file.read_text().startswith("<!doctype html>")
    with pytest.raises(BenchError, match="sent"):
        write_html(relay_report(sent=None), tmp_path / "broken.html")
    assert not (tmp_path / "broken.html").exists()


def test_a_missing_library_is_named_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_module, "find_spec", lambda name: None if name == "matplotlib" else object())
    with pytest.raises(BenchError, match=r"a page needs matplotlib; .* pip install 'loa\[bench\]'"):
        write_html(relay_report(), tmp_path / "x.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [None, 0.0])
def test_figures_that_were_not_measured_do_no_harm(value: float | None) -> None:
    nothing = {"p50": value, "p95": value, "p99": value, "max": value}
    timeline = {
        "interval_s": 1.0,
        "start_s": [0.0],
        "packets": [0],
        "latency_ms": {name: [value] for name in ("p50", "p90", "p99", "max")},
    }
    distribution = {"latency_ms": [(0.0, 0.0), (1.0, 0.0)], "timeline": timeline}
    report = relay_report(
        latency_ms=nothing, jitter_ms=nothing, distribution=distribution, sent=0, received=0
    )
    assert not Page(html(report)).open


def test_a_report_of_control_links_is_a_page_too() -> None:
    report = Path(__file__).parents[3] / "bench" / "reports" / "2026-11-26-links-2000.json"
    page = Page(html(json.loads(report.read_text(encoding="utf-8"))))
    assert page.open == []
    assert "restarted" in " ".join(page.words)
