"""Where an input stands between left and right: pan for mono, balance for stereo.

Both are coefficients of the routing matrix, so that they cost nothing of their own and are ramped with the matrix.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Coefficients = NDArray[np.float64]


def pan(place: float) -> tuple[float, float]:
    """Left and right gain of a mono sound at `place`, -1 (left) to 1 (right): equal power, -3 dB each in the middle."""
    angle = (min(max(place, -1.0), 1.0) + 1) * math.pi / 4
    # exactly nothing at the far end, where the cosine is 6e-17
    return (0.0 if place >= 1 else math.cos(angle), 0.0 if place <= -1 else math.sin(angle))


def balance(place: float) -> tuple[float, float]:
    """Left and right gain of a stereo sound: 0 dB in the middle, the far side goes down by the law of `pan`."""
    left, right = pan(place)
    return min(left * math.sqrt(2), 1.0), min(right * math.sqrt(2), 1.0)


def coefficients(inputs: int, outputs: int, place: float) -> Coefficients:
    """The gains from each channel of an input to each channel of a bus, shape (outputs, inputs), each 1 or 2.

    A mono bus hears half of each side of a stereo input, so that what is equal on both sides stays as loud as it is.
    """
    if inputs == 1:
        return np.array([[1.0]]) if outputs == 1 else np.array(pan(place)).reshape(2, 1)
    left, right = balance(place)
    return np.array([[left / 2, right / 2]]) if outputs == 1 else np.diag([left, right])
