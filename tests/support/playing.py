"""Let a source play without waiting for the clock: the consumer takes as soon as there is something."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from loamedia.feeding import PlayerSettings
from loamedia.player import Player
from loamedia.policy import ANYTHING, Policy, Resolve, system_resolve
from loamedia.spec import parse_spec

QUICK = PlayerSettings(open_timeout_s=5.0, read_timeout_s=5.0, backoff_first_s=0.02, backoff_limit_s=0.05)


@contextlib.contextmanager
def playing(
    text: str,
    policy: Policy = ANYTHING,
    settings: PlayerSettings = QUICK,
    *,
    paused: bool = False,
    clock: Callable[[], float] = time.monotonic,
    resolve: Resolve = system_resolve,
) -> Iterator[Player]:
    player = Player(parse_spec(text), policy, settings, paused=paused, clock=clock, resolve=resolve)
    try:
        yield player
    finally:
        player.close()


def pulled(player: Player, samples: int = 1 << 40) -> NDArray[np.float32]:
    """The next `samples`, or all to the end, as (channels, n)."""
    blocks: list[NDArray[np.float32]] = []
    left = samples
    while left:
        blocks.append(player.pull(min(960, left)))
        left -= blocks[-1].shape[1]
        if blocks[-1].shape[1] < 960:
            break
    return np.concatenate(blocks, axis=1)
