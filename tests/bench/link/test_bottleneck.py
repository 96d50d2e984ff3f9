from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.link.bottleneck import Bottleneck, Queue
from loacodecs.errors import ConfigurationError


def never(at: float) -> float:
    """A line that always works."""
    return at


def test_the_line_takes_its_time_for_each_byte() -> None:
    queue = Queue(Bottleneck(rate=8000, queue=1000, overhead=28), never)
    assert queue.admit(10.0, 72) == pytest.approx(10.1)
    assert queue.admit(10.0, 72) == pytest.approx(10.2)
    assert queue.admit(10.15, 72) == pytest.approx(10.3)
    assert queue.admit(20.0, 72) == pytest.approx(20.1)


def test_a_full_queue_drops_its_tail_and_takes_again_when_there_is_room() -> None:
    queue = Queue(Bottleneck(rate=8000, queue=250, overhead=28), never)
    assert [queue.admit(0, 72) is None for _ in range(4)] == [False, False, True, True]
    assert queue.admit(0.1, 72) == pytest.approx(0.3)


@given(
    st.lists(st.tuples(st.floats(0, 0.05), st.integers(0, 1500)), min_size=1, max_size=300),
    st.floats(1e4, 1e7),
    st.integers(100, 20_000),
)
def test_the_backlog_is_bounded_order_kept_and_the_rate_never_exceeded(
    arrivals: list[tuple[float, int]], rate: float, limit: int
) -> None:
    queue = Queue(Bottleneck(rate, limit), never)
    now, first, sent, last = 0.0, None, 0, 0.0
    for pause, size in arrivals:
        now += pause
        departure = queue.admit(now, size)
        assert queue.backlog(now) <= limit
        if departure is None:
            assert size + 28 > limit or queue.backlog(now) + size + 28 > limit
            continue
        first = now if first is None else first
        sent += size + 28
        assert departure >= max(last, now)
        assert departure - now <= limit * 8 / rate * 1.000001
        assert sent * 8 <= rate * (departure - first) * 1.000001
        last = departure


def test_a_line_that_stands_still_lets_the_queue_fill_to_its_limit() -> None:
    queue = Queue(Bottleneck(queue=1000, overhead=0), lambda at: max(at, 5.0))
    departures = [queue.admit(1.0, 100) for _ in range(12)]
    assert departures == [5.0] * 10 + [None] * 2
    assert queue.admit(5.5, 100) == 5.5


def test_empty_datagrams_fill_a_standing_queue_too() -> None:
    queue = Queue(Bottleneck(queue=50, overhead=0), lambda at: max(at, 5.0))
    assert sum(queue.admit(1.0, 0) is not None for _ in range(100)) == 50


@pytest.mark.parametrize(
    ("values", "key"), [({"rate": 0}, "rate"), ({"queue": 28}, "queue"), ({"overhead": -1}, "overhead")]
)
def test_impossible_bottlenecks_are_refused_by_key(values: dict[str, int], key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{key}: "):
        Bottleneck(**values)
