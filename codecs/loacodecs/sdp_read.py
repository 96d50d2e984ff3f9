"""Reading offers and answers (RFC 8866, RFC 8829, RFC 8839, RFC 8122).

The grammar is aiortc's. What we do not use is taken out first, so that an attribute nobody needs cannot make
a description unreadable (RFC 8866 §5.13: unknown attributes are ignored), and everything is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.sdp import MediaDescription, SessionDescription

from .candidate import parse_candidates, text_lines, valid_password, valid_ufrag
from .description import AudioDescription, MediaLine
from .errors import NegotiationError, SdpError

FINGERPRINT_ALGORITHMS = ("sha-512", "sha-384", "sha-256")
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")

_MAX_SECTIONS = 32
_MAX_SECTION_LINES = 512
_MAX_EXTENSIONS = 32
# Anything aiortc's grammar can raise on hostile text.
_GRAMMAR_ERRORS = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    StopIteration,
    RecursionError,
    OverflowError,
)
_TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]{1,64}")
_RTPMAP = re.compile(r"a=rtpmap:([0-9]{1,3}) (opus|red)/48000/2\s*", re.IGNORECASE)
_NUMBERED = re.compile(r"a=(?:fmtp|rtcp-fb):([0-9]{1,3}|\*) \S.*")
_SSRC = re.compile(r"a=ssrc:([0-9]{1,10}) cname:(\S.*)")
_EXTMAP = re.compile(r"a=extmap:([0-9]{1,3})(?:/\w+)? (\S+).*")
_FINGERPRINT = re.compile(r"(?:[0-9A-F]{2}:)*[0-9A-F]{2}")

_TRANSPORT = ("mid", "ice-ufrag", "ice-pwd", "fingerprint", "setup")
_SESSION = ("group", "ice-lite", "ice-ufrag", "ice-pwd", "fingerprint", "setup")
_AUDIO = (*_TRANSPORT, "rtcp-mux", "rtcp-rsize", *DIRECTIONS)


def parse_offer(text: str) -> AudioDescription:
    """Read an offer.

    Raises SdpError when it is malformed or oversized, NegotiationError when it has no audio, no Opus, no ICE
    credentials, no usable fingerprint or no rtcp-mux; nothing else, however hostile the text.
    """
    description = _parse(text, default_setup="actpass")
    if description.setup not in ("actpass", "active", "passive"):
        raise SdpError(f"a=setup:{description.setup} cannot stand in an offer")
    return description


def parse_answer(text: str) -> AudioDescription:
    """Read an answer; raises as `parse_offer` does, and NegotiationError when it refuses the audio."""
    description = _parse(text, default_setup="active")
    if description.setup not in ("active", "passive"):
        raise NegotiationError("the answer leaves the DTLS role open: a=setup must be active or passive")
    return description


def _parse(text: str, default_setup: str) -> AudioDescription:
    lines = text_lines(text)
    if not lines[0].startswith("v=0"):
        raise SdpError("a session description begins with v=0")
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    if len(sections) > _MAX_SECTIONS or any(len(section) > _MAX_SECTION_LINES for section in sections):
        raise SdpError("the session description has too many lines")
    head = _reduce(sections[0], _SESSION, default_setup)
    kept = [
        _reduce_audio(body) if body[0].startswith("m=audio ") else _reduce(body, _TRANSPORT)
        for body in sections[1:]
    ]
    try:
        source = SessionDescription.parse(
            "\r\n".join(line for body in [head, *kept] for line in body) + "\r\n"
        )
        return _describe(source, sections)
    except _GRAMMAR_ERRORS as error:
        raise SdpError(f"the session description cannot be read: {type(error).__name__}") from error


def _attribute(line: str) -> str:
    return line[2:].partition(":")[0].strip() if line.startswith("a=") else ""


def _reduce(section: list[str], names: Iterable[str], default_setup: str | None = None) -> list[str]:
    kept = [
        line.rstrip()
        for line in section
        if line[:2] in ("v=", "o=", "s=", "t=", "m=") or _attribute(line) in names
    ]
    if default_setup is not None and not any(_attribute(line) == "setup" for line in kept):
        kept.append(f"a=setup:{default_setup}")
    return kept


def _reduce_audio(section: list[str]) -> list[str]:
    """Keep of an audio section what concerns Opus, RED and the transport, in forms aiortc's grammar takes."""
    known = {match[1] for match in map(_RTPMAP.fullmatch, section) if match}
    kept = []
    for line in section:
        if line.startswith("m=") or _attribute(line) in _AUDIO:
            kept.append(line.rstrip())
        elif _RTPMAP.fullmatch(line):
            kept.append(line.strip())
        elif (match := _NUMBERED.fullmatch(line)) and (match[1] in known or line.startswith("a=rtcp-fb:*")):
            kept.append(re.sub(r"\s*;\s*", ";", line.strip().rstrip("; ")))
        elif match := _SSRC.fullmatch(line):
            kept.append(line.strip())
        elif match := _EXTMAP.fullmatch(line):
            kept.append(f"a=extmap:{match[1]} {match[2]}")
    return kept


def _describe(source: SessionDescription, sections: list[list[str]]) -> AudioDescription:
    media_lines = tuple(
        MediaLine(media.kind, media.profile, tuple(map(str, media.fmt)), media.rtp.muxId)
        for media in source.media
    )
    if any(line.mid and not _TOKEN.fullmatch(line.mid) for line in media_lines):
        raise SdpError("an a=mid is not a token")
    index, opus_payload_type, opus = _choose(source)
    media = source.media[index]
    raw = sections[index + 1]
    bundle = _bundle_of(source, media)
    if not media.rtcp_mux:
        raise NegotiationError("the audio has no a=rtcp-mux; Loa carries RTP and RTCP on one port")
    ufrag, pwd, carrier = _credentials(media, bundle)
    fingerprints = _fingerprints(media, bundle)
    candidate_lines = [*raw, *(sections[source.media.index(carrier) + 1] if carrier is not media else [])]
    ssrc = media.ssrc[0] if media.ssrc else None
    return AudioDescription(
        mid=media.rtp.muxId,
        direction=media.direction or _session_direction(sections[0]),
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        fingerprints=fingerprints,
        setup=_setup(media, bundle),
        opus_payload_type=opus_payload_type,
        opus_parameters={k: "" if v is None else str(v) for k, v in opus.parameters.items()},
        red_payload_type=_red(media, opus_payload_type),
        nack=any(feedback.type == "nack" and not feedback.parameter for feedback in opus.rtcpFeedback),
        extensions=_extensions(media),
        candidates=parse_candidates(
            line[len("a=candidate:") :] for line in candidate_lines if line.startswith("a=candidate:")
        ),
        ice_lite=any(_attribute(line) == "ice-lite" for line in sections[0]),
        ssrc=ssrc.ssrc if ssrc is not None and 0 <= ssrc.ssrc < 2**32 else None,
        cname=ssrc.cname if ssrc is not None else None,
        media_kinds=media_lines,
        index=index,
        bundled=any(group.semantic == "BUNDLE" and media.rtp.muxId in group.items for group in source.group),
        reduced_size_rtcp=any(_attribute(line) == "rtcp-rsize" for line in raw),
        source=source,
    )


def _choose(source: SessionDescription) -> tuple[int, int, RTCRtpCodecParameters]:
    """First audio section not refused that has Opus, its preferred Opus payload type and that codec."""
    audio = [(index, media) for index, media in enumerate(source.media) if media.kind == "audio"]
    if not audio:
        raise NegotiationError("the session description has no audio section")
    for index, media in audio:
        if media.port == 0 and not _bundle_of(source, media)[1:]:
            continue
        if "SAVP" not in media.profile:
            continue
        codecs = {codec.payloadType: codec for codec in media.rtp.codecs}
        for payload_type in media.fmt:
            codec = codecs.get(payload_type)
            if codec is not None and codec.mimeType.lower() == "audio/opus" and payload_type <= 127:
                return index, int(payload_type), codec
    raise NegotiationError("no audio section offers Opus (opus/48000/2) over SRTP")


def _bundle_of(source: SessionDescription, media: MediaDescription) -> list[MediaDescription]:
    """Sections that share `media`'s transport, itself first (RFC 9143)."""
    mids = [group.items for group in source.group if group.semantic == "BUNDLE"]
    together = (
        {mid for items in mids if media.rtp.muxId in items for mid in items} if media.rtp.muxId else set()
    )
    return [media, *(other for other in source.media if other is not media and other.rtp.muxId in together)]


def _credentials(
    media: MediaDescription, bundle: list[MediaDescription]
) -> tuple[str, str, MediaDescription]:
    for section in bundle:
        ufrag = section.ice.usernameFragment if section.ice else None
        pwd = section.ice.password if section.ice else None
        if ufrag is not None and pwd is not None:
            if not valid_ufrag(ufrag) or not valid_password(pwd):
                raise SdpError("ice-ufrag must be 4 to 256 and ice-pwd 22 to 256 printable characters")
            return ufrag, pwd, section
    raise NegotiationError("the audio has no ICE credentials (a=ice-ufrag and a=ice-pwd)")


def _fingerprints(media: MediaDescription, bundle: list[MediaDescription]) -> tuple[tuple[str, str], ...]:
    for section in bundle:
        found = [
            (f.algorithm.lower(), f.value.upper())
            for f in (section.dtls.fingerprints if section.dtls else [])
        ]
        usable = [
            pair
            for pair in found[:16]
            if pair[0] in FINGERPRINT_ALGORITHMS and _FINGERPRINT.fullmatch(pair[1])
        ]
        if usable:
            return tuple(dict.fromkeys(usable))
    raise NegotiationError("the audio has no a=fingerprint of sha-256, sha-384 or sha-512")


def _setup(media: MediaDescription, bundle: list[MediaDescription]) -> str:
    roles = {"auto": "actpass", "client": "active", "server": "passive"}
    return roles[next(section.dtls.role for section in bundle if section.dtls is not None)]


def _red(media: MediaDescription, opus: int) -> int | None:
    """Payload type of a RED that repeats this Opus (RFC 2198), if it is offered."""
    codecs = {codec.payloadType: codec for codec in media.rtp.codecs if codec.mimeType.lower() == "audio/red"}
    for payload_type in media.fmt:
        if payload_type in codecs and payload_type <= 127:
            blocks = {part for key in codecs[payload_type].parameters for part in key.split("/")}
            if blocks <= {str(opus)}:
                return int(payload_type)
    return None


def _extensions(media: MediaDescription) -> dict[str, int]:
    """Header extensions by URI; ids 1..14 fit the one-byte form, up to 255 the two-byte form (RFC 8285)."""
    found: dict[str, int] = {}
    for extension in media.rtp.headerExtensions[:_MAX_EXTENSIONS]:
        if 1 <= extension.id <= 255 and extension.id != 15 and extension.id not in found.values():
            found.setdefault(extension.uri, extension.id)
    return found


def _session_direction(head: list[str]) -> str:
    return next((name for name in map(_attribute, head) if name in DIRECTIONS), "sendrecv")
