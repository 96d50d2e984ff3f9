"""Writing offers and answers for one Opus stream (RFC 8829, RFC 9143, RFC 7587); `sdp_read` reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .address import Address
from .candidate import host_candidates
from .description import RECEIVER_CLOCK, AudioDescription, Delivery, answer_setup
from .errors import NegotiationError

OPUS_PAYLOAD_TYPE = 111
RED_PAYLOAD_TYPE = 63

# What a publisher asks for itself and we agree to; a listener's answer repeats it as well, so that a browser
# that asked for stereo decodes stereo (RFC 7587 §6.1).
_ECHOED = (
    "stereo",
    "sprop-stereo",
    "maxplaybackrate",
    "sprop-maxcapturerate",
    "maxaveragebitrate",
    "cbr",
    "usedtx",
)
_NOTHING_AGREED = Delivery()
_OPUS_DEFAULTS = {"minptime": "10", "useinbandfec": "1"}
_REVERSED = {"sendonly": "recvonly", "recvonly": "sendonly", "sendrecv": "sendrecv", "inactive": "inactive"}


def make_answer(
    offer: AudioDescription,
    *,
    direction: str,
    ice_ufrag: str,
    ice_pwd: str,
    fingerprint: str,
    candidates: Sequence[Address],
    ice_lite: bool = True,
    setup: str | None = None,
    ssrc: int | None = None,
    cname: str | None = None,
    nack: bool = True,
    extensions: Collection[str] = (),
    session_id: int,
    session_version: int = 1,
    delivery: Delivery = _NOTHING_AGREED,
    opus_parameters: Mapping[str, str] | None = None,
) -> str:
    """Answer `offer`: its Opus section in `direction` (ours), every other section refused with port 0.

    `fingerprint` is "sha-256 AA:BB…". `setup` None answers by `answer_setup`. `extensions` are the URIs to
    accept of those offered. `delivery` is what is agreed to of the offer's; RED only if it was offered.
    `opus_parameters` replaces the fmtp that is otherwise the offer's own wishes.
    `candidates` are host addresses, the most preferred first (FFmpeg tries only the first).
    Raises NegotiationError when the directions exclude each other.
    """
    if setup is None:
        setup = answer_setup(offer)
    elif setup == offer.setup or setup not in ("active", "passive"):
        raise NegotiationError(f"a=setup:{setup} cannot answer a=setup:{offer.setup}")
    _check_direction(offer.direction, direction)
    lines = ["v=0", f"o=- {session_id} {session_version} IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if offer.bundled and offer.mid:
        lines.append(f"a=group:BUNDLE {offer.mid}")
    if ice_lite:
        lines.append("a=ice-lite")
    lines += ["a=extmap-allow-mixed", "a=msid-semantic: WMS *"]
    lines += _session_attributes(delivery)
    red_type = offer.red_payload_type if delivery.redundancy else None
    formats = [offer.opus_payload_type] + ([red_type] if red_type is not None else [])
    if delivery.red_first:
        formats.reverse()
    for index, media in enumerate(offer.media_kinds):
        if index != offer.index:
            lines += [f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}", "c=IN IP4 0.0.0.0"]
            lines += [f"a=mid:{media.mid}"] if media.mid else []
            lines.append("a=inactive")
            continue
        lines += _head(media.protocol, formats, candidates)
        lines += [f"a=mid:{media.mid}"] if media.mid else []
        lines += _transport(ice_ufrag, ice_pwd, fingerprint, setup)
        lines += _audio(
            direction,
            opus=offer.opus_payload_type,
            red=red_type,
            red_distance=delivery.redundancy,
            parameters=_answer_parameters(offer) if opus_parameters is None else opus_parameters,
            nack=nack and offer.nack,
            extensions={uri: number for uri, number in offer.extensions.items() if uri in extensions},
            ssrc=ssrc,
            cname=cname,
        )
        lines += [f"a=ptime:{delivery.ptime_ms}"] if delivery.ptime_ms else []
        lines += [*host_candidates(candidates), "a=end-of-candidates"]
    return "\r\n".join(lines) + "\r\n"


def make_offer(
    *,
    direction: str,
    ice_ufrag: str,
    ice_pwd: str,
    fingerprint: str,
    candidates: Sequence[Address] = (),
    ssrc: int | None = None,
    cname: str | None = None,
    extensions: Sequence[str] = (),
    nack: bool = True,
    red: int = 0,
    red_first: bool = False,
    ptime: int | None = None,
    session_attributes: Sequence[str] = (),
    session_id: int,
    session_version: int = 1,
    opus_parameters: Mapping[str, str] | None = None,
) -> str:
    """Offer one Opus section, `a=setup:actpass`; header extensions get the ids 1, 2, … in their order.

    `red` is how many earlier packets RED repeats (0: none offered), `red_first` prefers it to plain Opus.
    `ptime` asks for packets of so many milliseconds; `session_attributes` are further lines without "a=".
    """
    formats = [OPUS_PAYLOAD_TYPE] + ([RED_PAYLOAD_TYPE] if red else [])
    if red_first:
        formats.reverse()
    lines = ["v=0", f"o=- {session_id} {session_version} IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines += ["a=group:BUNDLE 0", "a=extmap-allow-mixed", "a=msid-semantic: WMS *"]
    lines += [f"a={attribute}" for attribute in session_attributes]
    lines += _head("UDP/TLS/RTP/SAVPF", formats, candidates)
    lines += ["a=mid:0", *_transport(ice_ufrag, ice_pwd, fingerprint, "actpass")]
    lines += _audio(
        direction,
        opus=OPUS_PAYLOAD_TYPE,
        red=RED_PAYLOAD_TYPE if red else None,
        red_distance=int(red),
        parameters=_OPUS_DEFAULTS if opus_parameters is None else opus_parameters,
        nack=nack,
        extensions={uri: number for number, uri in enumerate(extensions, start=1)},
        ssrc=ssrc,
        cname=cname,
    )
    lines += [f"a=ptime:{ptime}"] if ptime else []
    lines += host_candidates(candidates)
    return "\r\n".join(lines) + "\r\n"


def _session_attributes(delivery: Delivery) -> list[str]:
    lines = [f"a=x-loa-idle:{delivery.idle_s}"] if delivery.idle_s else []
    lines += [f"a=x-loa-recent:{delivery.recent_ms}"] if delivery.recent_ms else []
    lines += [f"a={RECEIVER_CLOCK}"] if delivery.clock else []
    return [*lines, "a=x-loa-adaptive"] if delivery.adaptive else lines


def _check_direction(offered: str, ours: str) -> None:
    theirs = _REVERSED[offered]
    for verb in ("send", "recv"):
        if verb in ours and verb not in theirs:
            raise NegotiationError(f"the offer is {offered}, so the answer cannot be {ours}")


def _head(protocol: str, formats: Sequence[int], candidates: Sequence[Address]) -> list[str]:
    """The m= and c= lines with the default candidate (RFC 8839 §4.2.1.2), port 9 when there is none yet."""
    host, port = candidates[0] if candidates else ("0.0.0.0", 9)  # noqa: S104 (the placeholder of RFC 8840)
    version = 6 if ":" in host else 4
    return [f"m=audio {port} {protocol} {' '.join(map(str, formats))}", f"c=IN IP{version} {host}"]


def _transport(ufrag: str, pwd: str, fingerprint: str, setup: str) -> list[str]:
    return [
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{pwd}",
        "a=ice-options:trickle",
        f"a=fingerprint:{fingerprint}",
        f"a=setup:{setup}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
    ]


def _audio(
    direction: str,
    *,
    opus: int,
    red: int | None,
    red_distance: int = 1,
    parameters: Mapping[str, str],
    nack: bool,
    extensions: Mapping[str, int],
    ssrc: int | None,
    cname: str | None,
) -> list[str]:
    lines = [f"a={direction}"]
    if "send" in direction:
        lines.append("a=msid:loa loa-audio")
    lines.append(f"a=rtpmap:{opus} opus/48000/2")
    if parameters:
        lines.append(f"a=fmtp:{opus} " + ";".join(f"{k}={v}" if v else k for k, v in parameters.items()))
    if nack:
        lines.append(f"a=rtcp-fb:{opus} nack")
    if red is not None:
        lines += [
            f"a=rtpmap:{red} red/48000/2",
            f"a=fmtp:{red} " + "/".join([str(opus)] * (red_distance + 1)),
        ]
    lines += [f"a=extmap:{number} {uri}" for uri, number in extensions.items()]
    if ssrc is not None and "send" in direction:
        lines += [f"a=ssrc:{ssrc} cname:{cname or 'loa'}", f"a=ssrc:{ssrc} msid:loa loa-audio"]
    return lines


def _answer_parameters(offer: AudioDescription) -> dict[str, str]:
    """The offer's own wishes about its Opus, as far as they are numbers, over our defaults."""
    wished = {key: offer.opus_parameters.get(key, "") for key in _ECHOED}
    return _OPUS_DEFAULTS | {
        key: v for key, v in wished.items() if v.isascii() and v.isdigit() and len(v) <= 9
    }
