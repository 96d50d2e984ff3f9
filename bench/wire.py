"""What a rendition and its control traffic weigh on the wire, per receiver: bytes of IP packets, as SIM
plans count.

Layers below IP (Ethernet, LTE) are not counted. Sizes are those of this repository's own relay and
receiver; the tests build the datagrams and compare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from bench.errors import BenchError

IP_BYTES = {4: 20, 6: 40}
UDP_BYTES = 8
RTP_BYTES = 12
SRTP_TAG_BYTES = 16  # AES-128-GCM (RFC 7714); HMAC-SHA1-80 has 10
SRTCP_BYTES = 4 + 16  # index and tag
# abs-capture-time goes with one packet a second
CAPTURE_BYTES = 16
CAPTURE_INTERVAL_S = 1.0
# RFC 2198: four bytes for the copy of the packet before, one for the packet itself
RED_BYTES = 5
HOURS_PER_MONTH = 730.0

_FRAMES_MS = (10, 20, 40, 60, 80, 100, 120)
_RENDITION = re.compile(r"(\d+(?:\.\d+)?)k/(\d+)ms(/red)?")


@dataclass(frozen=True, slots=True)
class Control:
    """One kind of control datagram: UDP payload in bytes, seconds between two, whether the receiver gets or
    sends it.

    `on_air` ones stop when nothing plays.
    """

    name: str
    payload_bytes: int
    every_s: float
    down: bool
    on_air: bool = False

    def bytes_per_s(self, ip: int) -> float:
        """With UDP and IP, bytes a second."""
        return (self.payload_bytes + UDP_BYTES + IP_BYTES[ip]) / self.every_s


def controls(ip: int) -> Sequence[Control]:
    """All control traffic of one session."""
    return (
        Control("consent check (RFC 7675)", 100, 5.0, down=False),
        # the address it was asked from is 12 bytes longer in IPv6
        Control("its answer", 64 if ip == 4 else 76, 5.0, down=True),
        Control("receiver report with CNAME", 60 + SRTCP_BYTES, 2.0, down=False),
        Control("sender report with CNAME", 44 + SRTCP_BYTES, 5.0, down=True, on_air=True),
    )


def control_bytes_per_s(ip: int, *, on_air: bool, down_only: bool = False) -> float:
    """Control traffic of one session, bytes a second, in both directions or only towards the receiver."""
    return sum(
        control.bytes_per_s(ip)
        for control in controls(ip)
        if (on_air or not control.on_air) and (control.down or not down_only)
    )


@dataclass(frozen=True, slots=True)
class Rendition:
    """Opus at `kbps` in packets of `frame_ms`; with `red`, each packet repeats the one before it."""

    kbps: float
    frame_ms: int
    red: bool = False

    @classmethod
    def parse(cls, text: str) -> Rendition:
        """From "24k/20ms" or "24k/20ms/red". Raises BenchError, one line."""
        match = _RENDITION.fullmatch(text.strip())
        if match is None:
            raise BenchError(f"{text!r} is no rendition; write it like 24k/20ms, 24k/60ms or 24k/20ms/red")
        kbps, frame_ms = float(match[1]), int(match[2])
        if frame_ms not in _FRAMES_MS:
            raise BenchError(f"{text}: a packet of Opus lasts {', '.join(map(str, _FRAMES_MS))} ms")
        if not 6 <= kbps <= 510:
            raise BenchError(f"{text}: Opus has 6k to 510k")
        return cls(kbps, frame_ms, match[3] is not None)

    def __str__(self) -> str:
        return f"{self.kbps:g}k/{self.frame_ms}ms{'/red' if self.red else ''}"

    @property
    def packets_per_s(self) -> float:
        """Packets a second."""
        return 1000 / self.frame_ms

    @property
    def payload_bytes(self) -> int:
        """The RTP payload."""
        opus = ceil(self.kbps * self.frame_ms / 8)
        return 2 * opus + RED_BYTES if self.red else opus

    def packet_bytes(self, ip: int) -> int:
        """An IP packet of sound, without header extension."""
        return self.payload_bytes + RTP_BYTES + SRTP_TAG_BYTES + UDP_BYTES + IP_BYTES[ip]

    def media_bytes_per_s(self, ip: int) -> float:
        """The sound on the wire, bytes a second."""
        return self.packets_per_s * self.packet_bytes(ip) + CAPTURE_BYTES / CAPTURE_INTERVAL_S

    def down_kbps(self, ip: int) -> float:
        """What a relay sends one receiver while sound plays, kbit/s: sound and control."""
        control = control_bytes_per_s(ip, on_air=True, down_only=True)
        return (self.media_bytes_per_s(ip) + control) * 8 / 1000


@dataclass(frozen=True, slots=True)
class Month:
    """Data of one receiver in a month, both directions, bytes.

    `idle`: control traffic of a session that is held open in all the hours without sound.
    """

    sound: float
    control: float
    idle: float

    @property
    def with_sound(self) -> float:
        """What the hours with sound cost."""
        return self.sound + self.control

    @property
    def total(self) -> float:
        """With the session held open all month."""
        return self.sound + self.control + self.idle


def month(rendition: Rendition, ip: int, hours: float) -> Month:
    """The month of a receiver with `hours` of sound."""
    playing, silent = hours * 3600, (HOURS_PER_MONTH - hours) * 3600
    return Month(
        sound=rendition.media_bytes_per_s(ip) * playing,
        control=control_bytes_per_s(ip, on_air=True) * playing,
        idle=control_bytes_per_s(ip, on_air=False) * silent,
    )
