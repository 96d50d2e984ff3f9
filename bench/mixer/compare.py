"""The engine and other mixers in turns, on the same samples."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.mixer import amix, audiomixer, timing
from bench.mixer.console import Bare, Console, Mapped, full, loops, plain
from bench.mixer.rival import Noise, Rival, noise

INPUTS_MAX: Final = 64
ROUNDS: Final = 3
SECONDS: Final = 60.0
"""Of sound: their mixing costs more than one start of theirs differs from the next."""
_BLOCKS: Final = 500

_MISSING: Final = {"amix": amix.MISSING, "audiomixer": audiomixer.MISSING}
_RIVALS: Final[dict[str, Callable[[Noise, int], Rival]]] = {
    "amix": amix.Amix,
    "audiomixer": audiomixer.Audiomixer,
}


def compare(inputs: int, seconds: float = SECONDS) -> dict[str, Any]:
    """CPU of every rival divided by ours, for as many inputs up to INPUTS_MAX and one bus.

    The ratios of one that is not installed are None. Raises BenchError when one is there and fails.
    """
    inputs = min(inputs, INPUTS_MAX)
    there = [name for name, is_there in _installed().items() if is_there]
    found: dict[str, Any] = {"amix_inputs": inputs}
    found |= {f"{name}_ratio_{key}": None for name in _RIVALS for key in ("sum", "full")}
    found["missing"] = {name: mend for name, mend in _MISSING.items() if name not in there}
    if not there:
        return found
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        sound = noise(Path(folder), seconds)
        rivals = {name: _RIVALS[name](sound, inputs) for name in there}
        ours = _consoles(sound, inputs)
        rounds = [
            (
                {name: rival.costs() for name, rival in rivals.items()},
                {key: timing.cpu_us(console, _BLOCKS) for key, console in ours.items()},
            )
            for _ in range(ROUNDS)
        ]
    for name in there:
        found |= _figures(name, [(theirs[name], mine) for theirs, mine in rounds])
    return found


def _installed() -> dict[str, bool]:
    return {"amix": amix.installed(), "audiomixer": audiomixer.installed()}


def _consoles(sound: Noise, inputs: int) -> dict[str, Console]:
    """What is measured of ours, warm."""
    consoles: dict[str, Console] = {
        "sum": plain([Mapped(sound.long, number) for number in range(inputs)], 1)[0],
        "sum_copied": plain(loops(inputs), 1)[0],
        "full": full(loops(inputs), 1, filters=False, leveller=False)[0],
        "matrix": Bare(inputs),
    }
    for console in consoles.values():
        timing.cpu_us(console, timing.WARM_UP)
    return consoles


def _figures(name: str, rounds: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, Any]:
    """Medians of the rounds: what a block cost, and the ratios to all of ours; fed otherwise, to our sum and matrix."""
    theirs, ours = rounds[0]
    costs = [one | mine for one, mine in rounds]
    found: dict[str, Any] = {
        f"{name}_us_per_block": {key: statistics.median(one[key] for one in costs) for key in costs[0]}
    }
    for way in theirs:
        for key in ours if way == name else ("sum", "matrix"):
            ratio = statistics.median(one[way] / one[key] for one in costs)
            found[f"{way}_ratio_{key}"] = ratio
    return found
