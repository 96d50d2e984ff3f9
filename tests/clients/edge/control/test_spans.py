"""A receipt per programme, or per part of a long one, from what is heard each second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loacodecs.control import Receipt
from loaedge.control.receipts import INTERRUPTED, ReceiptBook
from loaedge.control.spans import GAP_S, PART_S, Heard, SpanTracker
from tests.support.fake_link_relay import RELAY_TIME

LIVE = Heard("commune-1", "commune-1", RELAY_TIME, 0.0, -20.0)
NOTHING = Heard("", "commune-1", RELAY_TIME, 0.0, None)


class Evening:
    """A tracker and a hand clock; `receipts` are those of programmes that are over."""

    def __init__(self, folder: Path) -> None:
        self.book = ReceiptBook(folder / "r.bin")
        self.now = 50.0
        self._numbers = iter(range(1000))
        self.tracker = SpanTracker(self.book, lambda: f"r{next(self._numbers)}")

    def hear(self, heard: Heard, seconds: float, *, clock: bool = True) -> None:
        for _ in range(round(seconds)):
            unix = RELAY_TIME + self.now if clock else None
            self.tracker.note(replace(heard, unix=unix), self.now)
            self.now += 1.0

    def receipts(self) -> list[Receipt]:
        found = []
        while (receipt := self.book.next_unsent()) is not None:
            found.append(receipt)
            self.book.acknowledge(receipt.id)
        return found


@pytest.fixture
def evening(tmp_path: Path) -> Evening:
    return Evening(tmp_path)


def test_a_programme_that_was_heard(evening: Evening) -> None:
    evening.hear(NOTHING, 5)
    evening.hear(LIVE, 61)
    evening.hear(NOTHING, GAP_S + 1)
    (receipt,) = evening.receipts()
    assert receipt == Receipt(
        "r0", "commune-1", "commune-1", RELAY_TIME + 55, RELAY_TIME + 115, 1.0, 0.0, -20.0, "played"
    )


def test_pauses_of_speech_are_part_of_it(evening: Evening) -> None:
    for _ in range(3):
        evening.hear(LIVE, 20)
        evening.hear(NOTHING, GAP_S - 2)
    evening.hear(NOTHING, GAP_S)
    assert len(evening.receipts()) == 1


def test_a_channel_that_is_on_air_for_days_has_a_receipt_for_each_part(evening: Evening) -> None:
    evening.hear(replace(LIVE, concealed_ms=300.0), PART_S + 1)
    evening.hear(replace(LIVE, concealed_ms=800.0), PART_S)
    evening.hear(replace(LIVE, concealed_ms=800.0, hindered="muted"), 60)
    evening.hear(NOTHING, GAP_S + 1)
    first, second, third = evening.receipts()
    assert (first.started, first.ended) == (RELAY_TIME + 50, RELAY_TIME + 50 + PART_S)
    assert (second.started, second.ended) == (first.ended, first.ended + PART_S)
    assert (third.started, third.ended) == (second.ended, second.ended + 60)
    assert [part.outcome for part in (first, second, third)] == ["played", "played", "not heard: muted"]
    assert [part.concealed_ms for part in (first, second, third)] == [0.0, 500.0, 0.0]
    assert second.played_ratio == pytest.approx(1 - 0.5 / PART_S)


def test_another_programme_is_another_receipt(evening: Evening) -> None:
    evening.hear(LIVE, 20)
    evening.hear(replace(LIVE, programme="news"), 20)
    evening.hear(NOTHING, GAP_S + 1)
    assert [receipt.programme for receipt in evening.receipts()] == ["commune-1", "news"]


def test_a_programme_seen_once_ended_halfway_to_the_next_look(evening: Evening) -> None:
    evening.hear(replace(LIVE, programme="jingle"), 1)
    evening.hear(replace(LIVE, programme="news", hindered="muted"), 2)
    evening.hear(NOTHING, GAP_S + 1)
    jingle, news = evening.receipts()
    assert (jingle.started, jingle.ended) == (RELAY_TIME + 50, RELAY_TIME + 50.5)
    assert (jingle.played_ratio, jingle.outcome) == (1.0, "played")
    assert (news.started, news.ended) == (RELAY_TIME + 50.5, RELAY_TIME + 52)
    assert (news.played_ratio, news.outcome) == (0.0, "not heard: muted")


def test_nothing_is_known_of_the_time_between_looks_far_apart(evening: Evening) -> None:
    evening.hear(replace(LIVE, programme="morning"), 2)
    evening.hear(NOTHING, 5)
    evening.hear(replace(LIVE, programme="news"), 20)
    evening.hear(NOTHING, GAP_S + 1)
    morning, news = evening.receipts()
    assert (morning.ended, news.started) == (RELAY_TIME + 51, RELAY_TIME + 57)


def test_what_was_concealed_counts_as_not_played(evening: Evening) -> None:
    evening.hear(replace(LIVE, concealed_ms=1000.0), 51)
    evening.hear(replace(LIVE, concealed_ms=6000.0), 50)
    evening.hear(NOTHING, GAP_S + 1)
    (receipt,) = evening.receipts()
    assert receipt.played_ratio == pytest.approx(0.95, abs=0.001)
    assert receipt.concealed_ms == 5000.0
    assert receipt.outcome == "partly: concealed"


@pytest.mark.parametrize(
    ("parts", "outcome", "ratio"),
    [
        ([("quiet hours", 41)], "not heard: quiet hours", 0.0),
        ([("", 21), ("no sound device", 20)], "partly: no sound device", 0.5),
        ([("", 1), ("muted", 30), ("quiet hours", 10)], "not heard: muted", 0.0),
    ],
)
def test_why_it_was_not_heard(
    evening: Evening, parts: list[tuple[str, int]], outcome: str, ratio: float
) -> None:
    for hindered, seconds in parts:
        evening.hear(replace(LIVE, hindered=hindered), seconds)
    evening.hear(NOTHING, GAP_S + 1)
    (receipt,) = evening.receipts()
    assert receipt.outcome == outcome
    assert receipt.played_ratio == pytest.approx(ratio)


def test_a_programme_without_sound_is_silent(evening: Evening) -> None:
    evening.hear(replace(LIVE, level_dbfs=None), 30)
    evening.hear(NOTHING, GAP_S + 1)
    (receipt,) = evening.receipts()
    assert (receipt.outcome, receipt.level_dbfs) == ("silent", None)


def test_the_level_is_the_mean_of_the_power(evening: Evening) -> None:
    evening.hear(replace(LIVE, level_dbfs=-10.0), 51)
    evening.hear(replace(LIVE, level_dbfs=-90.0), 50)
    evening.tracker.close()
    (receipt,) = evening.receipts()
    assert receipt.level_dbfs == pytest.approx(-13.0, abs=0.1)
    assert receipt.outcome == "receiver stopped"


def test_a_crash_leaves_a_receipt_that_says_so(evening: Evening, tmp_path: Path) -> None:
    evening.hear(LIVE, 130)
    (receipt,) = Evening(tmp_path).receipts()
    assert receipt.outcome == INTERRUPTED
    assert receipt.started == RELAY_TIME + 50
    assert 120 <= receipt.ended - receipt.started <= 130


def test_a_receiver_that_stood_still_heard_nothing_meanwhile(evening: Evening) -> None:
    evening.hear(LIVE, 20)
    evening.now += 3600
    evening.hear(LIVE, 20)
    evening.tracker.close()
    first, second = evening.receipts()
    assert first.ended - first.started < 25
    assert second.started - first.ended > 3500


def test_a_clock_that_comes_late_dates_the_beginning(evening: Evening) -> None:
    evening.hear(LIVE, 20, clock=False)
    evening.hear(LIVE, 20)
    evening.tracker.close()
    (receipt,) = evening.receipts()
    assert receipt.started == pytest.approx(RELAY_TIME + 50)


def test_without_a_clock_it_says_so(evening: Evening) -> None:
    evening.hear(LIVE, 20, clock=False)
    evening.hear(NOTHING, GAP_S + 1, clock=False)
    (receipt,) = evening.receipts()
    assert (receipt.started, receipt.ended) == (0.0, 0.0)
    assert receipt.outcome == "played; time unknown"
