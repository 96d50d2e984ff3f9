"""Which rows are taken."""

from __future__ import annotations

from relay.mixer.block import MixerFull


class RowPool:
    """Gives out rows 0 … `size` - 1, one or two neighbours at a time."""

    def __init__(self, size: int, what: str) -> None:
        self._taken = [False] * size
        self._what = what

    def take(self, count: int) -> int:
        """The first of `count` free rows that follow one another, the lowest there are. Raises MixerFull."""
        for first in range(len(self._taken) - count + 1):
            if not any(self._taken[first : first + count]):
                self._taken[first : first + count] = [True] * count
                return first
        raise MixerFull(f"no {count} of the mixer's {len(self._taken)} rows for {self._what} are free")

    def give_back(self, first: int, count: int) -> None:
        """These rows are free again."""
        self._taken[first : first + count] = [False] * count
