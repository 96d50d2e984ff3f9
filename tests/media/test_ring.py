"""The ring gives back what was put in, in order; a writer that does not wait costs the oldest, counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loamedia.ring import Ring


def numbered(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)[None].repeat(2, 0)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60))
def test_in_order_and_whole_for_a_writer_that_waits(steps: list[tuple[int, int]]) -> None:
    ring = Ring(2, 100)
    given_out: list[float] = []
    written = 0
    for put, get in steps:
        put = min(put, ring.room)
        ring.write(numbered(written, put))
        written += put
        out = np.full((2, get), -1, np.float32)
        count = ring.take(out)
        assert np.array_equal(out[0, :count], out[1, :count])
        assert (out[:, count:] == -1).all()
        given_out += out[0, :count].tolist()
    assert given_out == list(range(len(given_out)))
    assert (ring.dropped, ring.fill) == (0, written - len(given_out))


def test_the_oldest_is_lost_and_counted() -> None:
    ring = Ring(2, 100)
    for start in range(0, 1000, 20):
        ring.write(numbered(start, 20))
    out = np.zeros((2, 10), np.float32)
    assert ring.take(out) == 10
    assert out[0].tolist() == list(range(925, 935)), "three quarters of the ring are kept"
    assert ring.dropped == 925
    ring.skip_to(5)
    assert ring.take(out) == 5
    assert out[0, :5].tolist() == list(range(995, 1000))
    assert ring.dropped == pytest.approx(925 + 60)
