"""Reproducible randomness: one stream of draws for each process of each direction of each client.

A process takes the same number of draws for every packet whatever becomes of it, so the n-th packet meets the
same chance in every run of a seed, and changing one process leaves the others' draws alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable

Seed = int | str

Draw = Callable[[], float]
"""The next uniform value in [0, 1)."""


def derive(seed: Seed, *names: object) -> str:
    """The seed of a part of what `seed` stands for."""
    return "/".join((str(seed), *map(str, names)))


def draws(seed: Seed, name: str) -> Draw:
    """The stream of uniform values called `name`.

    Only `random()` of the generator is used: Python promises its sequence for a seed, and for no other method.
    """
    return random.Random(derive(seed, name)).random  # noqa: S311 - to be repeated, not to be kept secret
