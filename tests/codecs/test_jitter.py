"""loacodecs.jitter, driven by hand: order, patience with gaps, bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loacodecs.jitter import RESTART_GAP, Insertion, ReorderBuffer


def popped(buffer: ReorderBuffer[str], now: float) -> list[int]:
    out = []
    while (entry := buffer.pop(now)) is not None:
        assert entry[1] == str(entry[0])
        out.append(entry[0])
    return out


def insert(buffer: ReorderBuffer[str], sequence: int, now: float) -> Insertion:
    return buffer.insert(sequence, str(sequence), now)


def test_packets_in_order_pass_at_once() -> None:
    buffer = ReorderBuffer[str]()
    for sequence in range(5, 500):
        assert insert(buffer, sequence, 0.0) is Insertion.ACCEPTED
        assert popped(buffer, 0.0) == [sequence]
    assert buffer.next_deadline() is None
    assert buffer.skipped == 0


def test_an_overtaken_packet_takes_its_place() -> None:
    buffer = ReorderBuffer[str](hold_s=0.1)
    insert(buffer, 1, 0.0)
    insert(buffer, 3, 0.01)
    assert popped(buffer, 0.01) == [1]
    insert(buffer, 2, 0.02)
    assert popped(buffer, 0.02) == [2, 3]
    assert buffer.skipped == 0


def test_a_gap_holds_packets_back_for_hold_s_and_no_longer() -> None:
    buffer = ReorderBuffer[str](hold_s=0.1)
    insert(buffer, 1, 0.0)
    assert popped(buffer, 0.0) == [1]
    insert(buffer, 4, 0.02)
    insert(buffer, 3, 0.09)
    assert buffer.next_deadline() == 0.02 + 0.1, "counted from when the gap was known"
    assert popped(buffer, 0.119) == []
    assert popped(buffer, 0.02 + 0.1) == [3, 4]
    assert buffer.skipped == 1
    assert insert(buffer, 2, 0.13) is Insertion.LATE
    assert buffer.late == 1


def test_two_gaps_are_waited_for_each_in_its_own_time() -> None:
    buffer = ReorderBuffer[str](hold_s=0.1)
    for sequence, now in ((1, 0.0), (3, 0.02), (5, 0.06)):
        insert(buffer, sequence, now)
    assert popped(buffer, 0.02) == [1]
    assert popped(buffer, 0.125) == [3]
    assert buffer.next_deadline() == 0.06 + 0.1
    assert popped(buffer, 0.165) == [5]
    assert buffer.skipped == 2


def test_a_full_buffer_does_not_wait() -> None:
    buffer = ReorderBuffer[str](capacity=3, hold_s=100.0)
    insert(buffer, 1, 0.0)
    assert popped(buffer, 0.0) == [1]
    for sequence in (3, 4, 5):
        insert(buffer, sequence, 0.0)
        assert popped(buffer, 0.0) == []
    insert(buffer, 6, 0.0)
    assert popped(buffer, 0.0) == [3, 4, 5, 6]


def test_duplicates_are_told_from_late_packets() -> None:
    buffer = ReorderBuffer[str](hold_s=0.0)
    insert(buffer, 1, 0.0)
    insert(buffer, 3, 0.0)
    assert insert(buffer, 3, 0.0) is Insertion.DUPLICATE
    assert popped(buffer, 0.0) == [1, 3]
    assert insert(buffer, 1, 0.0) is Insertion.DUPLICATE
    assert insert(buffer, 2, 0.0) is Insertion.LATE
    assert (buffer.duplicates, buffer.late) == (2, 1)


def test_a_fresh_start_is_believed_when_its_successor_comes() -> None:
    for restart in (10_000 + RESTART_GAP + 10, 10_000 - RESTART_GAP - 10):
        buffer = ReorderBuffer[str]()
        insert(buffer, 10_000, 0.0)
        assert popped(buffer, 0.0) == [10_000]
        assert insert(buffer, restart, 0.02) is Insertion.DOUBTFUL
        assert popped(buffer, 0.02) == []
        assert insert(buffer, restart + 1, 0.04) is Insertion.ACCEPTED
        assert popped(buffer, 0.04) == [restart, restart + 1]
        assert (buffer.restarts, buffer.skipped) == (1, 0)


def test_a_single_stray_packet_disturbs_nothing() -> None:
    buffer = ReorderBuffer[str]()
    insert(buffer, 10_000, 0.0)
    insert(buffer, 50_000, 0.01)
    insert(buffer, 10_001, 0.02)
    assert popped(buffer, 0.02) == [10_000, 10_001]
    assert buffer.skipped == 0


def test_the_end_of_the_stream_gives_what_is_held() -> None:
    buffer = ReorderBuffer[str]()
    for sequence in (1, 3, 4, 7):
        insert(buffer, sequence, 0.0)
    assert [sequence for sequence, _ in buffer.drain()] == [1, 3, 4, 7]
    assert buffer.skipped == 3
    assert len(buffer) == 0


@given(st.lists(st.tuples(st.integers(-50, 20_000), st.floats(0, 0.1)), max_size=300))
def test_whatever_arrives_comes_out_rising_bounded_and_once(events: list[tuple[int, float]]) -> None:
    buffer = ReorderBuffer[str](capacity=10, hold_s=0.1)
    now = 0.0
    last: int | None = None
    restarts = 0
    for sequence, pause in events:
        now += pause
        insert(buffer, sequence, now)
        if buffer.restarts > restarts:
            restarts, last = buffer.restarts, None
        for out in popped(buffer, now):
            assert last is None or out > last
            last = out
        assert len(buffer) <= 10
        deadline = buffer.next_deadline()
        assert (deadline is None) == (len(buffer) == 0)
        assert deadline is None or now < deadline <= now + 0.1
