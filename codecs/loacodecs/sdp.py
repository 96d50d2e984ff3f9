"""Session descriptions for one Opus audio stream, offered here under one name.

`sdp_read` parses, `sdp_write` composes, `candidate` holds ICE candidates and trickle fragments, and
`description` the value they share.
"""

from __future__ import annotations

from .candidate import Candidate, IceFragment, make_fragment, parse_candidate, parse_fragment
from .description import AudioDescription, Delivery, MediaLine, answer_setup
from .sdp_read import parse_answer, parse_offer
from .sdp_write import make_answer, make_offer

__all__ = [
    "AudioDescription",
    "Candidate",
    "Delivery",
    "IceFragment",
    "MediaLine",
    "answer_setup",
    "make_answer",
    "make_fragment",
    "make_offer",
    "parse_answer",
    "parse_candidate",
    "parse_fragment",
    "parse_offer",
]
