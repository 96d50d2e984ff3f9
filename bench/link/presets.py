"""Paths with names: P1 to P4 are the rural mobile links that a receiver must stand, the rest is for comparison.

The figures of P1-P4 (round trip, jitter, loss) are requirements of the project. How they are read here: half the
round trip each way is the least any packet takes; each direction has the whole jitter, as the standard deviation
of its delay, and the whole loss; packets stay in order, as mobile links keep them; and the delay wanders
(correlation 0.8) rather than jumps. That is harder than a path on which `ping` shows the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from loacodecs.errors import ConfigurationError

from .bottleneck import Bottleneck
from .delay import Delay
from .loss import Loss
from .model import LinkConfig, PathConfig
from .stalls import Stalls


def _both(name: str, link: LinkConfig) -> PathConfig:
    return PathConfig(link, link, name)


def _mobile(round_trip: float, jitter: float, loss: Loss) -> LinkConfig:
    return LinkConfig(loss, Delay(round_trip / 2, jitter, "normal", correlation=0.8))


_P2 = _mobile(0.120, 0.050, Loss(0.02, burst=3))

NONE: Final = _both("none", LinkConfig())
LAN: Final = _both("lan", LinkConfig(delay=Delay(0.000_2, 0.000_05, "pareto"), bottleneck=Bottleneck(1e9)))
WIFI: Final = _both(
    "wifi",
    LinkConfig(Loss(0.005, burst=2), Delay(0.002, 0.004, "pareto", 0.5), bottleneck=Bottleneck(20e6, 65_536)),
)
P1: Final = _both("P1", _mobile(0.050, 0.015, Loss(0.003)))
P2: Final = _both("P2", _P2)
P3: Final = _both("P3", _mobile(0.250, 0.120, Loss(0.05)))
P4: Final = _both("P4", replace(_P2, stalls=Stalls(every=600, duration=3)))

PRESETS: Final[Mapping[str, PathConfig]] = MappingProxyType(
    {path.name: path for path in (NONE, LAN, WIFI, P1, P2, P3, P4)}
)


def preset(name: str) -> PathConfig:
    """The path called `name`, in capitals or not. Raises ConfigurationError that lists the names."""
    for known, path in PRESETS.items():
        if known.lower() == name.lower():
            return path
    raise ConfigurationError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
