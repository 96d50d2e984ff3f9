"""`loa bench live`: a short run is whole, and latency is that of the sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import numpy as np
import pytest
from click.testing import CliRunner

from bench.drain import Table
from bench.live.command import live
from bench.live.counters import Counters
from bench.live.hearing import LATEST_NS, Arrived, clicks, latency
from bench.live.scenario import counted, expected
from bench.live.speakers import CLICKERS, FRAME, LOOP, click_at, loop
from bench.present import schema
from bench.present.headlines import headlines
from bench.session import Protocol, Session
from bench.sessions import Sessions

REPORTS = Path(__file__).resolve().parents[3] / "bench" / "reports"


def test_clicks_are_found_where_they_are_heard() -> None:
    said = loop(1, 4)
    packets = [Arrived(i, i * 20_000_000, packet) for i, packet in enumerate(said.packets)]
    (heard,) = clicks(packets)
    assert heard == said.click_packet * 20_000_000 + said.click_sample * 1_000_000_000 // 48_000
    assert abs(said.click_packet - LOOP // 4 - 7) <= 1
    (without,) = clicks([packet for packet in packets if packet.sequence % 10 != 3])
    assert without == heard, "what is lost moves nothing"


def test_a_click_is_paired_with_the_first_heard_after_it() -> None:
    second = 1_000_000_000
    heard = [30_000_000, 10 * second + 40_000_000, 22 * second]
    found = latency([0, 10 * second, 20 * second], heard, [5 * second])
    assert found.seconds.tolist() == pytest.approx([0.03, 0.04])
    assert found.even.tolist() == pytest.approx([0.03])
    assert (found.sent, found.heard) == (3, 3)


class Moment(int):
    """A time that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        Moment.compared += 1
        return int(self) < int(other)

    def __gt__(self, other: int) -> bool:
        Moment.compared += 1
        return int(self) > int(other)


def test_hours_of_clicks_are_paired_in_a_moment() -> None:
    sent = [number * 333_000_000 for number in range(2000)]
    heard = [Moment(moment + 30_000_000) for moment in sent]
    found = latency(sent, heard, [Moment(moment) for moment in range(0, sent[-1], 500_000_000)])
    assert found.seconds.tolist() == pytest.approx([0.03] * 2000)
    assert len(found.even) == 0
    assert Moment.compared < 2000 * 100


@pytest.mark.parametrize("sources", [1, 2, 8, 12, 13, 50, 100, 256])
def test_each_click_is_heard_before_the_next_one_comes_however_many_speak(sources: int) -> None:
    places = sorted(at for number in range(sources) if (at := click_at(number, sources)) is not None)
    assert len(places) == min(sources, CLICKERS)
    sent = [(place + turn * LOOP * FRAME) * 1_000_000_000 // 48_000 for turn in range(3) for place in places]
    assert all(later - earlier > LATEST_NS for earlier, later in pairwise(sent))
    # one that is lost is not taken for the next
    found = latency(sent, [moment + 30_000_000 for moment in sent[1:]], [])
    assert found.seconds.tolist() == pytest.approx([0.03] * (len(sent) - 1))


def test_a_source_that_has_no_turn_only_speaks() -> None:
    said = loop(1, 256)
    assert said.click_packet is None
    assert clicks([Arrived(i, i * 20_000_000, packet) for i, packet in enumerate(said.packets)]) == []


def test_shares_of_a_histogram() -> None:
    counters = Counters({}, {0.001: 90.0, 0.002: 100.0, float("inf"): 100.0})
    assert counters.jitter_ms(0.45) == pytest.approx(0.5)
    assert counters.jitter_ms(0.95) == pytest.approx(1.5)
    later = Counters({"a": 3.0}, {0.001: 92.0, 0.002: 102.0, float("inf"): 103.0}).since(counters)
    assert later.values == {"a": 3.0}
    assert later.buckets[float("inf")] == 3.0


def test_no_goal_is_reached_by_what_was_not_measured() -> None:
    report = schema.read(REPORTS / "2026-11-28-live-500-10min.json")
    label = "packet in to packet out p99, even publishers"
    (told,) = [each for each in headlines(report) if each.label == label]
    assert told.met is True
    none = dict.fromkeys(("p50", "p99", "max"), 0.0)
    report |= {"clicks": report["clicks"] | {"even": 0}, "latency_even_ms": none}
    (told,) = [each for each in headlines(report) if each.label == label]
    assert (told.value, told.met) == ("not measured", None)


def test_a_listener_whose_packets_end_early_has_lost_the_rest() -> None:
    assert expected(np.array([500, 499, 500, 496])) == 1995, "the ends of the measured part are not sharp"
    assert expected(np.array([500, 120, 0])) == 1500
    assert expected(np.array([], np.int64)) == 0


class Arriving:
    """Of one listener, whose fifth packet comes just after the first look."""

    highest_sequence, first_sequence = np.array([11]), np.array([7])

    def __init__(self) -> None:
        self.looks = 0

    @property
    def packets(self) -> np.ndarray:
        self.looks += 1
        return np.array([min(3 + self.looks, 5)])


def test_a_packet_that_comes_while_they_are_counted_is_not_lost() -> None:
    packets, spans = counted(cast(Table, Arriving()), np.array([0]))
    assert (packets.sum(), spans.sum()) == (5, 5)


class Dropping(Sessions):
    """Two listeners and a publisher lose their session when 2 s are being measured."""

    met: Final[list[Session]] = []

    def prepare(
        self, rows: Iterable[int], protocol: Protocol, *, channels: int, samples: int = 0
    ) -> list[Session]:
        made = super().prepare(rows, protocol, channels=channels, samples=samples)
        self.met.extend(made[1:])
        return made

    def wait(self, done: Callable[[], bool], timeout_s: float, watch: Callable[[], None]) -> bool:
        if timeout_s == 2 + 1:
            for session in self.met:
                self.leave(session)
        return super().wait(done, timeout_s, watch)


def test_who_loses_his_session_is_told_and_his_packets_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.live.scenario.Sessions", Dropping)
    file = tmp_path / "live.json"
    words = ["--inputs", "2", "--listeners", "2", "--seconds", "2", "--no-record", "--json", str(file)]
    result = CliRunner().invoke(live, words)
    assert file.exists(), result.output
    report = schema.read(file)
    assert report["lost"] > 2 * 80
    assert any(text.startswith("1 of 2 publishers lost their session") for text in report["problems"])
    assert "problem: 2 of 3 listeners lost their session" in result.output


def test_a_short_run_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "live.json"
    words = ["--inputs", "2", "--listeners", "3", "--seconds", "5", "--json", str(file)]
    result = CliRunner().invoke(live, [*words, "--html", str(tmp_path / "live.html")])
    report = schema.read(file) if file.exists() else {}
    assert report, result.output
    assert report["ticks"] >= 240
    assert report["clicks"]["timed"] >= 1
    assert 8 < report["latency_ms"]["p50"] < 150
    assert report["packets"] > 3 * 240
    assert {each.label for each in headlines(report)} >= {
        "ticks late p99",
        "packet in to packet out p99, even publishers",
    }
    assert "by the sound" in result.output
