"""The grammar of a session description as far as it is used here: sections and their attributes (RFC 8866 §5, §6).

Why it is ours: docs/adr/008-own-sdp-and-rtcp-grammar.md. What an attribute means is `sdp_read`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .candidate import text_lines
from .errors import SdpError

MAX_SECTIONS = 32
MAX_SECTION_LINES = 512

_MEDIA = re.compile(r"m=([!-~]{1,32}) ([0-9]{1,5}) ([A-Z/]{1,64}) ([!-~][ -~]*)")
_PAYLOAD_TYPE = re.compile(r"[0-9]{1,3}")
# RTCP packet types seen as RTP payload types with the marker bit set (RFC 5761 §4).
_FORBIDDEN_PAYLOAD_TYPES = range(72, 77)


@dataclass(frozen=True, slots=True)
class Section:
    """Attributes of one section in their order, as (name, value); the value is "" where there is no colon."""

    attributes: tuple[tuple[str, str], ...]

    def all(self, name: str) -> Iterator[str]:
        """Values of every attribute of that name."""
        return (value for found, value in self.attributes if found == name)

    def last(self, name: str) -> str | None:
        """Value of the last attribute of that name, None when there is none."""
        return next((value for found, value in reversed(self.attributes) if found == name), None)

    def has(self, name: str) -> bool:
        """Whether the attribute is there."""
        return self.last(name) is not None


@dataclass(frozen=True, slots=True)
class MediaSection(Section):
    """A section with its `m=` line; the formats of audio and video are payload types without leading zeros."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]

    @property
    def mid(self) -> str:
        """The section's identification tag (RFC 5888), "" when it has none."""
        return self.last("mid") or ""


def parse(text: str) -> tuple[Section, tuple[MediaSection, ...]]:
    """The session's own part and its media sections. Raises SdpError when malformed or oversized."""
    lines = text_lines(text)
    if not lines[0].startswith("v=0"):
        raise SdpError("a session description begins with v=0")
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    if len(parts) > MAX_SECTIONS or any(len(part) > MAX_SECTION_LINES for part in parts):
        raise SdpError("the session description has too many lines")
    return Section(_attributes(parts[0])), tuple(_media(part) for part in parts[1:])


def _attributes(lines: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = (line[2:].partition(":") for line in lines if line.startswith("a="))
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


def _media(lines: list[str]) -> MediaSection:
    match = _MEDIA.fullmatch(lines[0].rstrip())
    if match is None:
        raise SdpError("the session description cannot be read: an m= line is malformed")
    kind, port, protocol, formats = match.groups()
    values = formats.split()
    if kind in ("audio", "video"):
        values = [_payload_type(value) for value in values]
    return MediaSection(_attributes(lines[1:]), kind, int(port), protocol, tuple(values))


def _payload_type(value: str) -> str:
    if not _PAYLOAD_TYPE.fullmatch(value) or int(value) > 255 or int(value) in _FORBIDDEN_PAYLOAD_TYPES:
        raise SdpError(f"the session description cannot be read: {value[:16]} is no payload type")
    return str(int(value))
