"""What offers and answers mean for one Opus stream (RFC 8829, RFC 8839, RFC 8122, RFC 9143, RFC 7587).

`sdp_grammar` gives sections and attributes; an attribute nobody needs cannot make a description unreadable
(RFC 8866 §5.13: unknown attributes are ignored), and everything is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import sdp_grammar
from .candidate import parse_candidates, valid_password, valid_ufrag
from .description import AudioDescription, Delivery, MediaLine
from .errors import NegotiationError, SdpError
from .red import MAX_BLOCKS
from .sdp_grammar import MediaSection, Section

FINGERPRINT_ALGORITHMS = ("sha-512", "sha-384", "sha-256")
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
SETUPS = ("actpass", "active", "passive")

IDLE_S = range(5, 301)
RECENT_MS = range(1, 1001)
"""Seconds between two consent checks that an idle listener may ask for."""

_MAX_EXTENSIONS = 32
_TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]{1,64}")
_RTPMAP = re.compile(r"([0-9]{1,3}) (opus|red)/48000/2", re.IGNORECASE)
_NUMBERED = re.compile(r"([0-9]{1,3}|\*) +(\S.*)")
_SSRC = re.compile(r"([0-9]{1,10}) cname:(\S.*)")
_EXTMAP = re.compile(r"([0-9]{1,3})(?:/\w+)? (\S+).*")
_NUMBER = re.compile(r"[0-9]{1,3}")
_RECEIVER_CLOCK = re.compile(r"rcvr-rtt=all(:[0-9]{1,10})?")
_FINGERPRINT = re.compile(r"(?:[0-9A-F]{2}:)*[0-9A-F]{2}")


@dataclass(slots=True)
class _Codec:
    """One payload type of the audio: "opus" or "red", its fmtp parameters and whether it takes generic NACK."""

    payload_type: int
    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    nack: bool = False


def parse_offer(text: str) -> AudioDescription:
    """Read an offer.

    Raises SdpError when it is malformed or oversized, NegotiationError when it has no audio, no Opus, no ICE
    credentials, no usable fingerprint or no rtcp-mux; nothing else, however hostile the text.
    """
    return _describe(*sdp_grammar.parse(text), default_setup="actpass")


def parse_answer(text: str) -> AudioDescription:
    """Read an answer; raises as `parse_offer` does, and NegotiationError when it refuses the audio."""
    description = _describe(*sdp_grammar.parse(text), default_setup="active")
    if description.setup not in ("active", "passive"):
        raise NegotiationError("the answer leaves the DTLS role open: a=setup must be active or passive")
    return description


def _describe(head: Section, sections: Sequence[MediaSection], *, default_setup: str) -> AudioDescription:
    media_lines = tuple(MediaLine(s.kind, s.protocol, s.formats, s.mid) for s in sections)
    if any(line.mid and not _TOKEN.fullmatch(line.mid) for line in media_lines):
        raise SdpError("an a=mid is not a token")
    groups = _bundles(head)
    index, opus, codecs = _choose(sections, groups)
    media = sections[index]
    together = _bundle_of(media, sections, groups)
    if not media.has("rtcp-mux"):
        raise NegotiationError("the audio has no a=rtcp-mux; Loa carries RTP and RTCP on one port")
    ufrag, pwd, carrier = _credentials(head, together)
    candidates = [*media.all("candidate"), *(carrier.all("candidate") if carrier is not media else ())]
    ssrc, cname = _source(media)
    red = _red(media, codecs, opus.payload_type)
    return AudioDescription(
        mid=media.mid,
        direction=_direction(media) or _direction(head) or "sendrecv",
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        fingerprints=_fingerprints(head, together),
        setup=_setup(head, together, default_setup),
        opus_payload_type=opus.payload_type,
        opus_parameters=opus.parameters,
        red_payload_type=red.payload_type if red is not None else None,
        nack=opus.nack,
        extensions=_extensions(media),
        candidates=parse_candidates(candidates),
        ice_lite=head.has("ice-lite"),
        ssrc=ssrc,
        cname=cname,
        media_kinds=media_lines,
        index=index,
        bundled=any(media.mid in mids for mids in groups),
        reduced_size_rtcp=media.has("rtcp-rsize"),
        delivery=_delivery(head, media, opus, red),
    )


def _choose(
    sections: Sequence[MediaSection], groups: Sequence[Sequence[str]]
) -> tuple[int, _Codec, dict[str, _Codec]]:
    """First audio section not refused that has Opus, its preferred Opus, and all its codecs by format."""
    audio = [(index, media) for index, media in enumerate(sections) if media.kind == "audio"]
    if not audio:
        raise NegotiationError("the session description has no audio section")
    for index, media in audio:
        if media.port == 0 and not _bundle_of(media, sections, groups)[1:]:
            continue
        if "SAVP" not in media.protocol:
            continue
        codecs = _codecs(media)
        for payload_type in media.formats:
            codec = codecs.get(payload_type)
            if codec is not None and codec.name == "opus" and codec.payload_type <= 127:
                return index, codec, codecs
    raise NegotiationError("no audio section offers Opus (opus/48000/2) over SRTP")


def _codecs(media: MediaSection) -> dict[str, _Codec]:
    """Opus and RED of a section, by format."""
    codecs = {
        str(int(match[1])): _Codec(int(match[1]), match[2].lower())
        for match in map(_RTPMAP.fullmatch, media.all("rtpmap"))
        if match
    }
    for match in filter(None, map(_NUMBERED.fullmatch, media.all("fmtp"))):
        if match[1] in codecs:
            parts = (part.strip().partition("=") for part in match[2].split(";"))
            codecs[match[1]].parameters = {key: value for key, _, value in parts if key}
    for match in filter(None, map(_NUMBERED.fullmatch, media.all("rtcp-fb"))):
        for codec in codecs.values():
            if match[1] in ("*", str(codec.payload_type)) and match[2] == "nack":
                codec.nack = True
    return codecs


def _bundles(head: Section) -> list[list[str]]:
    """Identification tags of each BUNDLE group (RFC 9143)."""
    groups = (value.split() for value in head.all("group"))
    return [group[1:] for group in groups if group and group[0] == "BUNDLE"]


def _bundle_of(
    media: MediaSection, sections: Sequence[MediaSection], groups: Sequence[Sequence[str]]
) -> list[MediaSection]:
    """Sections that share `media`'s transport, itself first."""
    mids = {mid for group in groups if media.mid in group for mid in group} if media.mid else set()
    return [media, *(other for other in sections if other is not media and other.mid in mids)]


def _credentials(head: Section, bundle: Sequence[MediaSection]) -> tuple[str, str, MediaSection]:
    for section in bundle:
        ufrag = section.last("ice-ufrag") or head.last("ice-ufrag")
        pwd = section.last("ice-pwd") or head.last("ice-pwd")
        if ufrag is not None and pwd is not None:
            if not valid_ufrag(ufrag) or not valid_password(pwd):
                raise SdpError("ice-ufrag must be 4 to 256 and ice-pwd 22 to 256 printable characters")
            return ufrag, pwd, section
    raise NegotiationError("the audio has no ICE credentials (a=ice-ufrag and a=ice-pwd)")


def _fingerprints(head: Section, bundle: Sequence[MediaSection]) -> tuple[tuple[str, str], ...]:
    for section in bundle:
        words = [value.split() for value in (*head.all("fingerprint"), *section.all("fingerprint"))]
        found = [(pair[0].lower(), pair[1].upper()) for pair in words[:16] if len(pair) == 2]
        usable = [
            pair for pair in found if pair[0] in FINGERPRINT_ALGORITHMS and _FINGERPRINT.fullmatch(pair[1])
        ]
        if usable:
            return tuple(dict.fromkeys(usable))
    raise NegotiationError("the audio has no a=fingerprint of sha-256, sha-384 or sha-512")


def _setup(head: Section, bundle: Sequence[MediaSection], default: str) -> str:
    said = (section.last("setup") for section in (*bundle, head))
    setup = next((value for value in said if value is not None), default)
    if setup not in SETUPS:
        raise SdpError(f"the session description cannot be read: a=setup:{setup[:16]} is not {SETUPS}")
    return setup


def _red(media: MediaSection, codecs: dict[str, _Codec], opus: int) -> _Codec | None:
    """The RED that repeats this Opus (RFC 2198), if it is offered."""
    for payload_type in media.formats:
        codec = codecs.get(payload_type)
        if codec is not None and codec.name == "red" and codec.payload_type <= 127:
            blocks = {part for key in codec.parameters for part in key.split("/")}
            if blocks <= {str(opus)}:
                return codec
    return None


def _delivery(head: Section, media: MediaSection, opus: _Codec, red: _Codec | None) -> Delivery:
    """What is said of packet time, redundancy and quiet sessions; what is out of its range is not said."""
    ptime, idle = media.last("ptime") or "", head.last("x-loa-idle") or ""
    recent = head.last("x-loa-recent") or ""
    redundancy = 0
    if red is not None:
        # "111/111/111": the primary and two before it. No fmtp, or one level alone, leaves it to the sender.
        levels = max((key.count("/") for key in red.parameters), default=0)
        redundancy = min(max(1, levels), MAX_BLOCKS - 1)
    place = [str(codec.payload_type) for codec in (red, opus) if codec is not None]
    return Delivery(
        ptime_ms=int(ptime) if _NUMBER.fullmatch(ptime) and int(ptime) <= 120 else 0,
        redundancy=redundancy,
        red_first=len(place) == 2 and media.formats.index(place[0]) < media.formats.index(place[1]),
        adaptive=head.has("x-loa-adaptive"),
        idle_s=int(idle) if _NUMBER.fullmatch(idle) and int(idle) in IDLE_S else 0,
        recent_ms=int(recent) if _NUMBER.fullmatch(recent) and int(recent) in RECENT_MS else 0,
        clock=any(_RECEIVER_CLOCK.fullmatch(word) for value in head.all("rtcp-xr") for word in value.split()),
    )


def _extensions(media: MediaSection) -> dict[str, int]:
    """Header extensions by URI; ids 1..14 fit the one-byte form, up to 255 the two-byte form (RFC 8285)."""
    found: dict[str, int] = {}
    matches = [match for match in map(_EXTMAP.fullmatch, media.all("extmap")) if match]
    for match in matches[:_MAX_EXTENSIONS]:
        number = int(match[1])
        if 1 <= number <= 255 and number != 15 and number not in found.values():
            found.setdefault(match[2], number)
    return found


def _source(media: MediaSection) -> tuple[int | None, str | None]:
    """SSRC and CNAME of the first source that names itself (RFC 5576)."""
    match = next(filter(None, map(_SSRC.fullmatch, media.all("ssrc"))), None)
    if match is None or int(match[1]) >= 2**32:
        return None, match[2] if match else None
    return int(match[1]), match[2]


def _direction(section: Section) -> str | None:
    return next((name for name, _ in reversed(section.attributes) if name in DIRECTIONS), None)
