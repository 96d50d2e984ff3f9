"""The routing matrix against `gains @ block` in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from relay.mixer.block import FRAME
from relay.mixer.matrix import Matrix

TOLERANCE = 1e-6
GAINS = arrays(
    np.float32, st.tuples(st.integers(1, 11), st.just(13)), elements=st.sampled_from([0, 0.03, 0.07])
)


def noise(rows: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, (rows, FRAME)).astype(np.float32)


def set_all(matrix: Matrix, gains: NDArray[np.float32]) -> None:
    for place, gain in np.ndenumerate(gains):
        matrix.set(place[0], place[1], float(gain))


@given(GAINS, st.sets(st.integers(0, 12)))
@settings(deadline=None)
def test_the_mix_is_the_sum_of_what_sounds(gains: NDArray[np.float32], silent: set[int]) -> None:
    outputs, inputs = gains.shape
    matrix = Matrix(inputs, outputs)
    set_all(matrix, gains)
    block, out = noise(inputs), np.full((outputs, FRAME), 9, np.float32)
    rows = np.array([row for row in range(inputs) if row not in silent], np.int64)
    everything = np.arange(outputs, dtype=np.int64)
    for _ in range(2):
        matrix.process(block, rows, out, everything)
    expected = gains[:, rows].astype(np.float64) @ block[rows]
    assert np.abs(out - expected).max() <= TOLERANCE
    assert (matrix.sounding == (gains[:, rows] != 0).any(axis=1)).all()


def test_many_inputs_and_buses_with_mix_minus() -> None:
    rng = np.random.default_rng(2)
    gains = (rng.random((64, 256)) / 128).astype(np.float32)
    gains[np.arange(64), np.arange(64)] = 0
    matrix = Matrix(256, 64)
    set_all(matrix, gains)
    block, out = noise(256), np.zeros((64, FRAME), np.float32)
    for _ in range(2):
        matrix.process(block, np.arange(256, dtype=np.int64), out, np.arange(64, dtype=np.int64))
    expected = gains.astype(np.float64) @ block
    assert np.abs(expected).max() <= 1
    assert np.abs(out - expected).max() <= TOLERANCE


@pytest.mark.parametrize("buses", [1, 4])
def test_a_changed_cell_moves_evenly_through_one_block(buses: int) -> None:
    matrix = Matrix(2, buses)
    rows, outputs = np.arange(2, dtype=np.int64), np.arange(buses, dtype=np.int64)
    block, out = noise(2), np.zeros((buses, FRAME), np.float32)
    for output in range(buses):
        matrix.set(output, 0, 0.25)
        matrix.set(output, 1, 0.5)
    matrix.process(block, rows, out, outputs)
    for output in range(buses):
        matrix.set(output, 0, 0.75)
        matrix.set(output, 1, 0.0)
    matrix.process(block, rows, out, outputs)
    place = np.arange(1, FRAME + 1) / FRAME
    exact = block.astype(np.float64)
    expected = (0.25 + 0.5 * place) * exact[0] + (0.5 - 0.5 * place) * exact[1]
    assert np.abs(out - expected).max() <= TOLERANCE
    matrix.process(block, rows, out, outputs)
    assert np.abs(out - 0.75 * exact[0]).max() <= TOLERANCE


def test_a_cleared_row_is_not_heard_any_more() -> None:
    matrix = Matrix(2, 2)
    set_all(matrix, np.full((2, 2), 0.5, np.float32))
    rows = np.arange(2, dtype=np.int64)
    block, out = noise(2), np.zeros((2, FRAME), np.float32)
    matrix.process(block, rows, out, rows)
    matrix.clear_input(0)
    matrix.clear_output(1)
    matrix.process(block, rows, out, rows)
    assert np.abs(out[0] - 0.5 * block[1].astype(np.float64)).max() <= TOLERANCE
    assert not out[1].any()
    assert matrix.sounding.tolist() == [True, False]
