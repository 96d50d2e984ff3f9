"""loacodecs.nack, driven by hand: which packets are asked for, when, and when they are given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loacodecs.nack import RESTART_GAP, NackScheduler


def scheduler(**changes: float) -> NackScheduler:
    settings = {
        "max_age_s": 0.5,
        "max_outstanding": 8,
        "min_interval_s": 0.1,
        "max_tries": 3,
        "reorder_s": 0.0,
    }
    settings.update(changes)
    return NackScheduler(
        max_age_s=settings["max_age_s"],
        max_outstanding=int(settings["max_outstanding"]),
        min_interval_s=settings["min_interval_s"],
        max_tries=int(settings["max_tries"]),
        reorder_s=settings["reorder_s"],
    )


def test_a_complete_stream_asks_for_nothing() -> None:
    nack = scheduler()
    for sequence in range(65_000, 66_000):
        assert not nack.on_packet(sequence, sequence * 0.02)
    assert nack.due(1e9) == []
    assert nack.next_deadline() is None


def test_a_gap_is_asked_for_and_its_arrival_counted() -> None:
    nack = scheduler()
    nack.on_packet(10, 0.0)
    nack.on_packet(13, 0.06)
    assert nack.next_deadline() == 0.06
    assert nack.due(0.06) == [11, 12]
    assert nack.on_packet(12, 0.07)
    assert nack.recovered == 1
    assert nack.due(0.16) == [11]
    assert nack.outstanding == 1


def test_requests_keep_their_distance_and_end_after_max_tries() -> None:
    nack = scheduler(max_age_s=10.0)
    nack.on_packet(1, 0.0)
    nack.on_packet(3, 0.0)
    asked_at = []
    for milliseconds in range(0, 2000, 10):
        if nack.due(milliseconds / 1000):
            asked_at.append(milliseconds)
    assert asked_at == [0, 100, 200]
    assert nack.next_deadline() is None
    assert nack.on_packet(2, 2.0), "an answer to the last request is still welcome"


def test_an_overtaken_packet_is_not_asked_for_within_its_grace() -> None:
    nack = scheduler(reorder_s=0.02)
    nack.on_packet(1, 0.0)
    nack.on_packet(3, 0.01)
    assert nack.due(0.01) == []
    assert nack.on_packet(2, 0.02)
    assert nack.recovered == 0, "it was never asked for"
    assert nack.due(1.0) == []
    assert nack.given_up == 0


def test_too_old_is_given_up_and_then_no_longer_fills_a_gap() -> None:
    nack = scheduler()
    nack.on_packet(1, 0.0)
    nack.on_packet(3, 0.0)
    assert nack.due(0.6) == []
    assert nack.given_up == 1
    assert not nack.on_packet(2, 0.61)


def test_no_request_is_scheduled_past_the_age_limit() -> None:
    nack = scheduler(max_age_s=0.15, max_tries=100)
    nack.on_packet(1, 0.0)
    nack.on_packet(3, 0.0)
    assert nack.due(0.0) == [2]
    assert nack.due(0.1) == [2]
    assert nack.next_deadline() is None


def test_a_long_gap_asks_for_the_newest_only() -> None:
    nack = scheduler(max_outstanding=4)
    nack.on_packet(0, 0.0)
    nack.on_packet(101, 0.0)
    assert nack.due(0.0) == [97, 98, 99, 100]
    assert nack.given_up == 96
    nack.on_packet(103, 0.01)
    assert nack.due(0.01) == [102]
    assert nack.outstanding == 4
    assert nack.given_up == 97


def test_a_sender_that_starts_afresh_is_followed_without_requests() -> None:
    for restart in (1000 + RESTART_GAP + 1, 1000 - RESTART_GAP - 1):
        nack = scheduler()
        nack.on_packet(998, 0.0)
        nack.on_packet(1000, 0.0)
        nack.on_packet(restart, 0.02)
        nack.on_packet(restart + 1, 0.04)
        assert nack.due(0.04) == []
        nack.on_packet(restart + 3, 0.06)
        assert nack.due(0.06) == [restart + 2]


@given(
    st.lists(
        st.tuples(st.integers(-20, 2000), st.floats(0, 0.2), st.booleans()),
        max_size=200,
    )
)
def test_whatever_arrives_the_bounds_hold(events: list[tuple[int, float, bool]]) -> None:
    nack = scheduler()
    now = 0.0
    highest: int | None = None
    asked: dict[int, list[float]] = {}
    for sequence, pause, ask in events:
        now += pause
        nack.on_packet(sequence, now)
        if highest is None or abs(sequence - highest) > RESTART_GAP:
            highest = sequence
            asked.clear()
        highest = max(highest, sequence)
        assert nack.outstanding <= 8
        if not ask:
            continue
        deadline = nack.next_deadline()
        due = nack.due(now)
        assert due == sorted(due)
        assert len(due) <= 8
        assert not due or (deadline is not None and deadline <= now)
        for wanted in due:
            assert wanted < highest
            times = asked.setdefault(wanted, [])
            assert not times or now - times[-1] >= 0.1 - 1e-9
            assert len(times) < 3
            times.append(now)
