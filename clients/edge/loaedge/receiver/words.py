"""Refusals in a receiver's own words: it has a file where `loa listen` has options."""

from __future__ import annotations

from loacodecs.errors import LoaError

from ..whip import SignallingError

_MENDS = {"token": "see token_file", "trust": "see ca_file"}


def spoken(error: LoaError) -> str:
    """The sentence of `error`."""
    if isinstance(error, SignallingError) and error.needs:
        return f"{error.sentence}; {_MENDS[error.needs]}"
    return str(error)
