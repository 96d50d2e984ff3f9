"""Files, streams, line inputs and the test tone as inputs of the mixer, within what the configuration allows.

Reading and decoding are `loamedia`'s, each source in a thread of its own; here is what the mixer and the API see of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loamedia.feeding import PlayerSettings
from loamedia.player import Player, State
from loamedia.policy import ANYTHING, Policy
from loamedia.spec import parse_spec
from relay.config import SourcesConfig

CHANNELS: Final = 2

OPERATOR: Final = ANYTHING
"""The policy of sources that the configuration file names: the operator may use whatever there is."""


def api_policy(config: SourcesConfig) -> Policy:
    """The policy of sources that somebody names by the API."""
    return Policy(
        allow_files=config.allow_files,
        allow_hosts=config.allow_hosts,
        allow_private=config.allow_private,
        allow_devices=config.allow_devices,
    )


@dataclass(frozen=True, slots=True)
class SourceCounters:
    """What became of a source so far; but for the last two they only grow.

    damaged    packets left out because they could not be decoded
    cleaned    samples that were no numbers, or far beyond full scale
    changes    changes of sample rate or channels in mid-stream
    opened     times that it was opened
    failures   times that it could not be opened, or broke off
    dry        times that it had nothing ready, and went on later
    dropped_s  seconds passed over because they came faster than they were played
    drift_ppm  by how much its clock is found to be faster than ours
    buffer_s   seconds that are ready
    """

    damaged: int
    cleaned: int
    changes: int
    opened: int
    failures: int
    dry: int
    dropped_s: float
    drift_ppm: float
    buffer_s: float


class StreamFeed:
    """A source as an input of the mixer (its `Feed`): `read` and `take` are for the mixer's thread and never block."""

    def __init__(self, player: Player) -> None:
        """`player` gives two channels and is closed with this."""
        self._player = player

    def read(self, out: NDArray[np.float32]) -> bool:
        """Fill `out` (2, 960), silence where there is nothing; False when all of it is silence for want of sound."""
        count = self._player.take(out)
        out[:, count:] = 0.0
        return count > 0

    def take(self, out: NDArray[np.float32]) -> int:
        """Fill the beginning of `out` (2, n); gives how many samples. The next file can follow on at exactly there."""
        return self._player.take(out)

    def play(self) -> None:
        """Let it be heard from the next block on."""
        self._player.play()

    def pause(self) -> None:
        """Keep it ready: a file stands still, a live source goes on unheard."""
        self._player.pause()

    def close(self) -> None:
        """Let go of it, at once."""
        self._player.close()

    @property
    def state(self) -> State:
        """opening (not heard yet, or being tried again), playing, paused, ended, failed."""
        return self._player.state

    @property
    def reason(self) -> str:
        """One sentence on why it failed or is not heard just now; "" when all is well."""
        return self._player.reason

    @property
    def ready(self) -> bool:
        """Whether it would be heard at once: what `paused=True` waits for before a switch."""
        return self._player.state in ("playing", "paused")

    @property
    def live(self) -> bool:
        """Whether it comes at a pace of its own and has no end; known once it is open."""
        return self._player.live

    @property
    def title(self) -> str:
        """What is on: what the source says, else its name. Holds no password."""
        return self._player.title

    @property
    def position_s(self) -> float:
        """How far it was played."""
        return self._player.position_s

    @property
    def duration_s(self) -> float | None:
        """How long it is, None where nobody knows."""
        return self._player.duration_s

    @property
    def counters(self) -> SourceCounters:
        """For state and metrics."""
        player, stats = self._player, self._player.stats
        return SourceCounters(
            damaged=stats.decoded.damaged,
            cleaned=stats.decoded.cleaned,
            changes=stats.decoded.changes,
            opened=stats.connections,
            failures=stats.failures,
            dry=stats.dry,
            dropped_s=player.dropped_s,
            drift_ppm=round((stats.ratio - 1) * 1e6, 1),
            buffer_s=player.buffered_s,
        )


def open_source(
    text: str,
    policy: Policy,
    *,
    paused: bool = False,
    loop: bool = False,
    reconnect: bool = True,
    start_s: float = 0.0,
) -> StreamFeed:
    """Begin to open what `text` names; returns at once, and what becomes of it is told by the feed's `state`.

    With `paused` it is made ready and waits for `play`. Files loop with `loop` and begin at `start_s`; streams come
    back with `reconnect`. Raises ConfigurationError when `text` is no source at all.
    """
    settings = PlayerSettings(channels=CHANNELS, loop=loop, reconnect=reconnect, start_s=start_s)
    return StreamFeed(Player(parse_spec(text), policy, settings, paused=paused))
