"""The operators of a mixer on air; apart from `operators` because scipy, which designs filters, comes with it."""

from __future__ import annotations

from relay.mixer.filters import HornFilter
from relay.mixer.leveller import Leveller
from relay.mixer.limiter import Limiter
from relay.mixer.loudness import LoudnessMeter
from relay.mixer.makeup import Makeup
from relay.mixer.operators import Operators


def standard(inputs: int, buses: int) -> Operators:
    """All operators for so many rows of inputs and buses."""
    leveller, loudness = Leveller(buses), LoudnessMeter(buses)
    makeup = Makeup(buses, leveller.power, loudness.power)
    return Operators(HornFilter(inputs), leveller, makeup, Limiter(buses), loudness)
