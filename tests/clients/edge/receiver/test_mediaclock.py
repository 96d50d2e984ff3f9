"""Clock exchanges on the way of the sound, by a clock set by hand and the bench's model of bad links."""

from __future__ import annotations

import heapq
import itertools
from statistics import median

import pytest

from bench.link.presets import P2
from loacodecs import rtcp, rtcp_xr
from loacodecs.clocksync import SOUND_PAUSE_S, ClockSync, Exchange
from loacodecs.rtp import ntp_from_unix
from loaedge.receiver.linking import LINK_CLOCK_S, LinkClock
from loaedge.receiver.mediaclock import MediaClock

UNIX = 1_700_000_000.0
BOOT = 5_000.0


def reply(question: bytes, received: float, replied: float) -> list[rtcp.Packet]:
    """What a relay says to a question."""
    _, report = rtcp.parse(question)
    assert isinstance(report, rtcp_xr.ExtendedReport)
    assert report.reference_time is not None
    delay = rtcp_xr.Delay(
        report.ssrc, rtcp_xr.short(report.reference_time), rtcp_xr.delay_units(replied - received)
    )
    answer = rtcp_xr.ExtendedReport(77, delays=(delay,))
    return rtcp.parse(rtcp.serialize([rtcp.SenderReport(77, ntp_from_unix(replied), 0, 1, 1), answer]))


def test_question_and_answer_are_one_exchange() -> None:
    clock = MediaClock(5, lambda _since, _now: 1.0)
    assert clock.due(100.0)
    question = clock.question(100.25)
    told = clock.answer(reply(question, UNIX + 1.0, UNIX + 1.5), 100.875)
    assert told is not None
    assert (told.sent, told.arrived) == (100.25, 100.875)
    assert told.received == pytest.approx(UNIX + 1.0, abs=20e-6)
    assert told.replied == pytest.approx(UNIX + 1.5, abs=1e-6)


def test_what_answers_no_question_is_nothing() -> None:
    clock = MediaClock(5, lambda _since, _now: 1.0)
    packets = reply(clock.question(100.0), UNIX, UNIX)
    assert MediaClock(6, lambda _since, _now: 1.0).answer(packets, 100.1) is None
    assert clock.answer(packets[1:], 100.1) is None, "without a report it has no time"
    assert clock.answer(packets[:1], 100.1) is None
    assert clock.answer(packets, 100.1) is not None
    assert clock.answer(packets, 100.2) is None, "the same again may have been on its way for any time"


def test_questions_without_answers_take_no_memory() -> None:
    clock = MediaClock(5, lambda _since, _now: 1.0)
    questions = [clock.question(100.0 + number) for number in range(200)]
    told = [clock.answer(reply(question, UNIX, UNIX), 400.0) for question in questions]
    assert [one is not None for one in told] == [False] * 136 + [True] * 64


def test_it_asks_with_the_rhythm_it_is_told_and_begins_anew_with_the_sound() -> None:
    asked: list[float] = []
    since_begin: list[float] = []

    def pause(since: float, _now: float) -> float | None:
        since_begin.append(since)
        return None if 20 <= since < 25 else 2.0

    clock = MediaClock(5, pause)
    for step in range(400):
        if clock.due(now := 100.0 + step * 0.1):
            asked.append(now)
    assert asked[:10] == pytest.approx([100.0 + 2 * n for n in range(10)], abs=0.11)
    assert not [at for at in asked if 120.1 < at < 129.9]
    clock.silence()
    assert clock.due(200.0)
    assert since_begin[-1] == 0.0


def test_a_relay_that_does_not_answer_is_asked_less_until_it_does() -> None:
    clock = MediaClock(5, lambda _since, _now: 1.0)
    asked: list[float] = []
    now, question = 100.0, b""
    while now < 160.0:
        if clock.due(now):
            asked.append(now)
            question = clock.question(now)
        now += 0.5
    assert [after - before for before, after in itertools.pairwise(asked)][:10] == [1] * 5 + [2, 4, 8, 8, 8]
    assert clock.answer(reply(question, UNIX, UNIX), now) is not None
    asked.clear()
    for step in range(40):
        if clock.due(now + step * 0.5):
            asked.append(now + step * 0.5)
            clock.answer(reply(clock.question(asked[-1]), UNIX, UNIX), asked[-1])
    assert [after - before for before, after in itertools.pairwise(asked)] == [1.0] * (len(asked) - 1)


def simulate(seed: int, seconds: float) -> tuple[float, int]:
    """A receiver over P2: its clock's error (s) after so many seconds of sound, and how many questions it took."""
    up, down = P2.links(seed)(0, 0.0)
    sync = ClockSync()
    link = LinkClock(sync)
    clock = MediaClock(5, lambda since, now: link.sound_pause_s(0, since, now))
    events: list[tuple[float, int, str, object]] = [(0.0, 0, "sound", None)]
    order = itertools.count(1)
    asked = 0

    def later(at: float, kind: str, value: object) -> None:
        heapq.heappush(events, (at, next(order), kind, value))

    while events[0][0] < seconds:
        now, _, kind, value = heapq.heappop(events)
        local = BOOT + now * (1 + 40e-6)
        if kind == "sound":
            later(now + 0.06, "sound", None)
            down.fate(now, 190)
            if clock.due(local):
                asked += 1
                for at in up.fate(now, 48):
                    later(at, "question", clock.question(local))
        elif kind == "question":
            assert isinstance(value, bytes)
            packets = reply(value, UNIX + now, UNIX + now + 0.001)
            for at in down.fate(now + 0.001, 72):
                later(at, "answer", packets)
        elif kind == "answer":
            assert isinstance(value, list)
            told = clock.answer(value, local)
            if told is not None:
                link.told_by_sound(0, told)
    told_time = sync.relay_time(BOOT + seconds * (1 + 40e-6))
    assert told_time is not None
    return abs(told_time - UNIX - seconds), asked


def test_over_a_bad_mobile_link_the_clock_is_known_to_a_few_milliseconds_in_a_minute() -> None:
    results = [simulate(seed, 60.0) for seed in range(12)]
    errors = [error for error, _ in results]
    assert median(errors) < 2e-3
    assert max(errors) < 8e-3
    assert max(asked for _, asked in results) <= 4 * 15 + 2 * 45 + 2


def exchange(at: float, ahead: float = 0.0) -> Exchange:
    return Exchange(at - 0.01, UNIX + at + ahead - 0.005, UNIX + at + ahead - 0.005, at)


def test_the_time_is_that_of_the_link_s_relay_and_without_a_link_that_of_the_sound() -> None:
    sync = ClockSync()
    link = LinkClock(sync)
    link.relay = 0
    link.add(exchange(100.0))
    assert link.sound_pause_s(0, 0.0, 100.0) is not None
    assert link.sound_pause_s(1, 0.0, 100.0) is None
    link.told_by_sound(1, exchange(101.0, ahead=3.0))
    assert sync.relay_time(101.0) == pytest.approx(UNIX + 101.0, abs=0.01)

    gone = 101.0 + LINK_CLOCK_S
    link.told_by_sound(1, exchange(gone))
    assert link.sound_pause_s(1, 0.0, gone + 1) is not None
    assert link.sound_pause_s(0, 0.0, gone + 1) is None, "one clock at a time"
    link.told_by_sound(0, exchange(gone + 5, ahead=3.0))
    assert sync.relay_time(gone + 5) == pytest.approx(UNIX + gone + 5, abs=0.01)
    assert link.sound_pause_s(0, 0.0, gone + 40) is not None


def test_the_link_is_asked_less_while_the_sound_tells_the_time() -> None:
    sync = ClockSync()
    link = LinkClock(sync)
    link.relay = 0
    link.add(exchange(100.0))
    before = link.pause_s(True)
    link.told_by_sound(0, exchange(101.0))
    assert before < 1.0
    assert link.pause_s(True) >= 10.0
    assert link.pause_s(False) < 10.0
    link.add(exchange(140.0))
    assert link.pause_s(True) < 1.0


def test_sender_reports_count_only_where_nobody_answers() -> None:
    sync = ClockSync()
    link = LinkClock(sync)
    link.told_by_sound(0, exchange(100.0))
    link.told_one_way(exchange(110.0, ahead=5.0))
    assert sync.relay_time(110.0) == pytest.approx(UNIX + 110.0, abs=0.01)
    link.told_one_way(exchange(200.0))
    assert sync.refused == 0
    link.told_one_way(exchange(150.0))
    assert sync.refused == 1


def test_over_a_lan_little_is_asked() -> None:
    sync = ClockSync()
    at = 100.0
    for number in range(12):
        sync.add(Exchange(at, UNIX + at + 0.000_2 + number * 1e-6, UNIX + at + 0.000_3, at + 0.000_5))
        at += 0.25
    assert sync.sound_pause_s(3.0) == SOUND_PAUSE_S
