"""Why a source does not sound.

SourceError (LoaError)      it cannot be opened or read; `.passing` tells whether trying again may help
└── SourceForbidden         the policy does not let it be opened; trying again never helps
"""

from __future__ import annotations

from loacodecs.errors import LoaError


class SourceError(LoaError):
    """The source cannot be opened or read; one sentence names it and the reason.

    passing  whether the same may work a little later: a stream that is off the air, a busy device
    """

    def __init__(self, sentence: str, *, passing: bool = False) -> None:
        super().__init__(sentence)
        self.passing = passing


class SourceForbidden(SourceError):  # noqa: N818 - named by what happened
    """The policy does not let this source be opened."""
