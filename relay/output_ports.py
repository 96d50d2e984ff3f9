"""What the HTTP side knows of a channel's outputs besides WebRTC, and nothing more.

`relay.http` is written against `OutputDesk`; `relay.outputs.service` provides it. Values that cross are frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

RecordingActivity = Literal["off", "idle", "recording", "full", "failed"]


@dataclass(frozen=True, slots=True)
class Recording:
    """One file: `started` in unix seconds, `seconds` of sound, `finished` False while it is written."""

    name: str
    path: Path
    started: float
    local: str
    """When it began, as people there write it: ISO 8601 with the offset from UTC."""
    seconds: float
    size: int
    finished: bool


@dataclass(frozen=True, slots=True)
class RecordingStats:
    """A channel's recording since the relay started; `activity` "off" where none is configured."""

    activity: RecordingActivity = "off"
    fault: str = ""
    octets: int = 0
    seconds: float = 0.0
    missing_seconds: float = 0.0
    segments: int = 0
    errors: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RtpStats:
    """One RTP output since the relay started; `target` is address and port."""

    target: str
    packets: int
    errors: int


@dataclass(frozen=True, slots=True)
class OutputStats:
    """Everything the outputs count; a snapshot, by channel."""

    recordings: Mapping[str, RecordingStats] = field(default_factory=dict)
    rtp: Mapping[str, Sequence[RtpStats]] = field(default_factory=dict)
    recordings_deleted: int = 0


class PageStream(Protocol):
    """A channel as Ogg pages, the same for everybody who hears it."""

    title: str
    """Of the channel."""

    def welcome(self) -> bytes:
        """What a new client is sent first: headers, and the sound of the last moments."""
        ...

    def turn(self, now: float) -> bytes:
        """The pages since the last call; `now` is monotonic. To be called about ten times a second."""
        ...

    def farewell(self) -> bytes:
        """The end of the stream for one client, after the pages of the last turn; it goes on for the others."""
        ...

    def close(self) -> bytes:
        """The end of the stream, when nobody is to hear more."""
        ...


class OutputDesk(Protocol):
    """Recordings, streams and RTP outputs as the HTTP surface sees them."""

    async def open_stream(self, channel: str) -> PageStream:
        """Begin to page a channel for clients; raises ChannelNotFound, also where the stream is switched off."""
        ...

    async def close_stream(self, channel: str, stream: PageStream) -> None:
        """Nobody hears `stream` any more."""
        ...

    def recordings(self, channel: str, since: float, until: float, limit: int) -> Sequence[Recording]:
        """Those that began in `since` ≤ t < `until`, the newest first. Blocks on the disk; raises ChannelNotFound and
        Unavailable."""
        ...

    def recording(self, channel: str, name: str) -> Recording | None:
        """The recording of that name. Blocks on the disk; raises ChannelNotFound and Unavailable."""
        ...

    def sdp(self, channel: str, number: int, origin: str) -> str | None:
        """The session description (RFC 8866) of the channel's RTP output of that number, from 0, if there is one;
        `origin` is this relay's IP address."""
        ...

    def stats(self) -> OutputStats:
        """A snapshot of all counters."""
        ...
