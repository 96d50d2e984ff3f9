from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.link.schedule import Schedule


@given(st.lists(st.floats(0, 100), max_size=200))
def test_items_come_out_by_time_and_those_of_one_time_in_the_order_they_went_in(times: list[float]) -> None:
    schedule: Schedule[int] = Schedule(1000, 1000)
    for index, due in enumerate(times):
        assert schedule.push(due, index, 1)
    out = [schedule.pop(100) for _ in times]
    assert out == sorted((due, index) for index, due in enumerate(times))
    assert schedule.pop(1e9) is None
    assert (len(schedule), schedule.bytes) == (0, 0)


def test_nothing_comes_out_before_its_time() -> None:
    schedule: Schedule[str] = Schedule(10, 1000)
    schedule.push(5.0, "later", 10)
    assert schedule.next_due() == 5.0
    assert schedule.pop(4.999) is None
    assert schedule.pop(5.0) == (5.0, "later")
    assert schedule.next_due() is None


def test_number_and_bytes_are_bounded_and_refusals_counted() -> None:
    schedule: Schedule[int] = Schedule(3, 100)
    assert [schedule.push(index, index, 10) for index in range(5)] == [True] * 3 + [False] * 2
    assert schedule.pop(10) == (0, 0)
    assert not schedule.push(9, 9, 81)
    assert schedule.push(9, 9, 80)
    assert schedule.refused == 3
