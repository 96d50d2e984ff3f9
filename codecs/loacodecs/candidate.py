"""ICE candidates in SDP (RFC 8839 §5.1) and the trickle-ice-sdpfrag bodies that carry them (RFC 8840)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .address import Address, canonical, is_unicast
from .errors import SdpError

# One peer's candidates beyond these are ignored; browsers with many interfaces send about twenty.
MAX_CANDIDATES = 32
MAX_TEXT = 65536
_MAX_LINE = 1024

# RFC 8839 §5.4 allows ALPHA, DIGIT, "+" and "/"; all that cannot break a line or a USERNAME is let in.
_UFRAG = re.compile(r"[!-9;-~]{4,256}")
_PASSWORD = re.compile(r"[!-~]{22,256}")

# Component 1 over UDP; what follows the type (raddr, rport and extensions) is nothing to us.
_CANDIDATE = re.compile(
    r"\s*(?P<foundation>\S{1,64})\s+0*1\s+udp\s+(?P<priority>[0-9]{1,10})\s+(?P<host>\S+)\s+(?P<port>[0-9]{1,5})"
    r"\s+typ\s+(?P<type>\S{1,16})(?:\s|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One UDP candidate of component 1 with a unicast IP literal; a higher `priority` is tried first."""

    foundation: str
    priority: int
    address: Address
    type: str


@dataclass(frozen=True, slots=True)
class IceFragment:
    """What a trickle PATCH says (RFC 8840 §4): credentials of the generation and further candidates."""

    ufrag: str | None
    pwd: str | None = field(repr=False)
    candidates: tuple[Candidate, ...] = ()
    end: bool = False


def host_priority(index: int) -> int:
    """Priority of the `index`-th host candidate, RFC 8445 §5.1.2.1 local preference from 65535 down."""
    return (126 << 24) | (max(0, 65535 - index) << 8) | 255


def host_candidates(addresses: Iterable[Address]) -> list[str]:
    """Return `a=candidate:` lines for host addresses, the most preferred first."""
    return [
        f"a=candidate:{index + 1} 1 udp {host_priority(index)} {host} {port} typ host"
        for index, (host, port) in enumerate(addresses)
    ]


def parse_candidate(value: str) -> Candidate | None:
    """Parse what follows `a=candidate:`.

    None for what this project cannot use and what RFC 8839 lets an agent ignore: other components, TCP, mDNS
    and other names, multicast and unspecified addresses, and lines that are malformed.
    """
    if len(value) > _MAX_LINE:
        return None
    match = _CANDIDATE.match(value)
    if match is None or int(match["priority"]) >= 2**32:
        return None
    try:
        address = canonical(match["host"], int(match["port"]))
    except ValueError:
        return None
    if address[1] == 0 or not is_unicast(address[0]):
        return None
    return Candidate(match["foundation"], int(match["priority"]), address, match["type"])


def parse_candidates(values: Iterable[str]) -> tuple[Candidate, ...]:
    """Parse many, skip the unusable and the repeated, keep the first MAX_CANDIDATES."""
    kept: dict[Address, Candidate] = {}
    for value in values:
        candidate = parse_candidate(value)
        if candidate is not None and len(kept) < MAX_CANDIDATES:
            kept.setdefault(candidate.address, candidate)
    return tuple(kept.values())


def valid_ufrag(value: str) -> bool:
    """Tell whether `value` can be an `ice-ufrag`: 4 to 256 printable characters without a colon."""
    return _UFRAG.fullmatch(value) is not None


def valid_password(value: str) -> bool:
    """Tell whether `value` can be an `ice-pwd`: 22 to 256 printable characters."""
    return _PASSWORD.fullmatch(value) is not None


def text_lines(text: str) -> list[str]:
    """Split SDP text at CRLF or LF; raises SdpError when oversized or holding other control characters."""
    if len(text) > MAX_TEXT or len(text.encode("utf-8", "replace")) > MAX_TEXT:
        raise SdpError(f"the description is longer than {MAX_TEXT} bytes")
    lines = text.replace("\r\n", "\n").strip("\n").split("\n")
    if any(line.splitlines() not in ([], [line]) or "\0" in line for line in lines):
        raise SdpError("the description contains control characters")
    return lines


def parse_fragment(text: str) -> IceFragment:
    """Parse an `application/trickle-ice-sdpfrag` body; raises SdpError and nothing else."""
    ufrag: str | None = None
    pwd: str | None = None
    end = False
    values: list[str] = []
    for line in text_lines(text):
        name, _, value = line[2:].strip().partition(":")
        if line and line[1:2] != "=":
            raise SdpError("the fragment has a line that is not of the form x=value")
        if not line.startswith("a="):
            continue
        if name == "ice-ufrag" and ufrag is None:
            ufrag = value
        elif name == "ice-pwd" and pwd is None:
            pwd = value
        elif name == "candidate":
            values.append(value)
        elif name == "end-of-candidates":
            end = True
    if ufrag is not None and not valid_ufrag(ufrag):
        raise SdpError("the fragment's ice-ufrag is not 4 to 256 printable characters")
    if pwd is not None and not valid_password(pwd):
        raise SdpError("the fragment's ice-pwd is not 22 to 256 printable characters")
    return IceFragment(ufrag, pwd, parse_candidates(values), end)


def make_fragment(
    *, ufrag: str, pwd: str, candidates: Sequence[Address] = (), mid: str = "0", end: bool = True
) -> str:
    """Return a fragment with this side's credentials and host candidates (RFC 8840 §4.4, RFC 9725 §4.3)."""
    lines = [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd}", "m=audio 9 UDP/TLS/RTP/SAVPF 0", f"a=mid:{mid}"]
    lines += host_candidates(candidates)
    if end:
        lines.append("a=end-of-candidates")
    return "\r\n".join(lines) + "\r\n"
