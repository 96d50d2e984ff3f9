"""What Loa keeps of a session description: one Opus audio section and the lines an answer must echo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .candidate import Candidate

RECEIVER_CLOCK = "rtcp-xr:rcvr-rtt=all"
"""The session attribute that stands for `Delivery.clock`."""


class MediaLine(NamedTuple):
    """One `m=` line of an offer, kept so that an answer can echo or refuse it in its place."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the sound is to travel: wished for in an offer, agreed to in an answer.

    ptime_ms     milliseconds of sound in a packet (`a=ptime`, RFC 8866 §6.4), 0 when nothing is said
    redundancy   how many earlier payloads RED repeats by its fmtp (RFC 2198 §5), 0 without RED
    red_first    whether RED stands before Opus among the formats: it is preferred, not only possible
    adaptive     `a=x-loa-adaptive`: redundancy may come and go with the listener's receiver reports
    idle_s       `a=x-loa-idle`: seconds between two consent checks while no media flows, 0 when not said
    recent_ms    `a=x-loa-recent`: milliseconds of sound from before the listener came that are sent first, 0 for none
    clock        `a=rtcp-xr:rcvr-rtt=all` for the session (RFC 3611 §5.1): a listener's reference times are answered.
                 Browsers, which have no use for that, say it of their media section: that does not count
    """

    ptime_ms: int = 0
    redundancy: int = 0
    red_first: bool = False
    adaptive: bool = False
    idle_s: int = 0
    recent_ms: int = 0
    clock: bool = False


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
    delivery: Delivery = Delivery()


def answer_setup(offer: AudioDescription) -> str:
    """Return the `a=setup` to answer with: passive where the offer leaves a choice (RFC 8842 §5.3)."""
    return "active" if offer.setup == "passive" else "passive"
