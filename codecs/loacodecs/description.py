"""What Loa keeps of a session description: one Opus audio section and the lines an answer must echo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from aiortc.sdp import SessionDescription

from .candidate import Candidate


class MediaLine(NamedTuple):
    """One `m=` line of an offer, kept so that an answer can echo or refuse it in its place."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str


@dataclass(frozen=True)
class AudioDescription:
    """The one audio section Loa uses of an offer or answer."""

    mid: str
    direction: str
    ice_ufrag: str
    ice_pwd: str = field(repr=False)
    fingerprints: tuple[tuple[str, str], ...]
    setup: str
    opus_payload_type: int
    opus_parameters: dict[str, str]
    red_payload_type: int | None
    nack: bool
    extensions: dict[str, int]
    candidates: tuple[Candidate, ...]
    ice_lite: bool
    ssrc: int | None
    cname: str | None
    media_kinds: tuple[MediaLine, ...]
    #: Which of `media_kinds` this is.
    index: int
    bundled: bool
    reduced_size_rtcp: bool
    source: SessionDescription = field(repr=False, compare=False)


def answer_setup(offer: AudioDescription) -> str:
    """Return the `a=setup` to answer with: passive where the offer leaves a choice (RFC 8842 §5.3)."""
    return "active" if offer.setup == "passive" else "passive"
