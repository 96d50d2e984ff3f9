"""What a person writes to name a source, and what it means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from loacodecs.errors import ConfigurationError

Kind = Literal["file", "http", "rtsp", "srt", "alsa", "tone"]

_SCHEMES: Final[dict[str, Kind]] = {
    "http": "http",
    "https": "http",
    "icecast": "http",
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "srt": "srt",
}
_LONGEST: Final = 2048


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source by its kind.

    target  a file's path, an address with its scheme, a device's name, or the hertz of a tone
    """

    kind: Kind
    target: str

    @property
    def name(self) -> str:
        """How to call it before it has told a title itself; shows no password."""
        if self.kind == "file":
            return PurePath(self.target).name or self.target
        if self.kind == "tone":
            return f"tone {float(self.target):g} Hz"
        return f"line input {self.target}" if self.kind == "alsa" else shown(self.target)

    @property
    def network(self) -> bool:
        """Whether it comes through the network."""
        return self.kind in ("http", "rtsp", "srt")


def parse_spec(text: str) -> SourceSpec:
    """Read `path`, `file:path`, an address of http, https, rtsp, rtsps or srt, `alsa:device`, or `tone:hertz`.

    A file that is called like one of them is reached as `./tone`. An `icecast://` address is taken for http. Raises
    ConfigurationError.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST or "\0" in text:
        raise ConfigurationError("a source is a file, an address, alsa:DEVICE or tone:HERTZ")
    word, colon, rest = text.partition(":")
    word = word.lower()
    if word == "tone":
        return SourceSpec("tone", _hertz(rest))
    if colon and word == "alsa":
        return SourceSpec("alsa", rest or "default")
    if colon and word == "file":
        path = unquote(rest[2:]) if rest.startswith("///") else rest
        if not path or rest.startswith("//") != rest.startswith("///"):
            raise ConfigurationError(f"{text} names no file; write file:/folder/name or only the path")
        return SourceSpec("file", path)
    if rest.startswith("//"):
        return _address(word, text)
    return SourceSpec("file", text)


def shown(address: str) -> str:
    """An address as a person or a log may see it: without name, password and query, which may hold secrets."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "an address"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))[:300]


def _address(scheme: str, text: str) -> SourceSpec:
    kind = _SCHEMES.get(scheme)
    if kind is None:
        known = ", ".join(f"{name}://" for name in _SCHEMES if name != "icecast")
        raise ConfigurationError(f"{scheme}:// is no kind of source; there are {known}")
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(character.isspace() or not character.isprintable() for character in text):
        raise ConfigurationError(f"{shown(text)} is not an address, as {scheme}://host/path is")
    if scheme == "icecast":
        text = "http" + text[len("icecast") :]
    return SourceSpec(kind, text)


def _hertz(text: str) -> str:
    try:
        frequency = float(text or 440)
    except ValueError:
        frequency = math.nan
    if not 20 <= frequency <= 20000:
        raise ConfigurationError(f"tone:{text} is not a tone; write tone:440, between 20 and 20000 Hz")
    return f"{frequency:g}"
