"""What a rendition and the control traffic of `loa edge` weigh on the wire, per receiver: bytes of IP packets,
as SIM plans count.

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
# RFC 2198: four bytes for each copy of a packet before, one for the packet itself
RED_COPY_BYTES, RED_BYTES = 4, 1
# the control link: with timestamps (RFC 7323); record header, type and tag (RFC 8446); RFC 6455 for up to 64 KiB
TCP_BYTES, TLS_BYTES, WS_MASKED_BYTES, WS_BYTES = 32, 22, 8, 4
# JSON texts, as long as they get
TELEMETRY_BYTES, TIME_BYTES, TOKEN_BYTES = 200, 96, 320
HOURS_PER_MONTH = 730.0

_FRAMES_MS = (10, 20, 40, 60, 80, 100, 120)
_RENDITION = re.compile(r"(\d+(?:\.\d+)?)k/(\d+)ms(?:/(red2?))?")


@dataclass(frozen=True, slots=True)
class Control:
    """One kind of control packet of a receiver: bytes above IP, seconds between two, who gets it.

    `on_air_s` and `idle_s` are the seconds between two while sound plays and while none does; 0: there are none.
    """

    name: str
    bytes: int
    on_air_s: float
    idle_s: float
    down: bool

    def bytes_per_s(self, ip: int, *, on_air: bool) -> float:
        """With IP, bytes a second."""
        every_s = self.on_air_s if on_air else self.idle_s
        return (self.bytes + IP_BYTES[ip]) / every_s if every_s else 0.0


def controls(ip: int) -> Sequence[Control]:
    """All control traffic of `loa edge`: one media session and the control link."""
    upwards, downwards = WS_MASKED_BYTES + TLS_BYTES + TCP_BYTES, WS_BYTES + TLS_BYTES + TCP_BYTES
    return (
        Control("consent check (RFC 7675)", UDP_BYTES + 100, 5.0, 50.0, down=False),
        # the address it was asked from is 12 bytes longer in IPv6
        Control("its answer", UDP_BYTES + (64 if ip == 4 else 76), 5.0, 50.0, down=True),
        Control("receiver report with CNAME", UDP_BYTES + 60 + SRTCP_BYTES, 4.0, 0.0, down=False),
        Control("sender report with CNAME", UDP_BYTES + 44 + SRTCP_BYTES, 5.0, 0.0, down=True),
        Control("telemetry", upwards + TELEMETRY_BYTES, 10.0, 60.0, down=False),
        Control("its answer, the time", downwards + TIME_BYTES, 10.0, 60.0, down=True),
        Control("acknowledgement (TCP)", TCP_BYTES, 10.0, 60.0, down=False),
        Control("token to listen", downwards + TOKEN_BYTES, 3600.0, 3600.0, down=True),
        Control("acknowledgement (TCP)", TCP_BYTES, 3600.0, 3600.0, down=False),
    )


def control_bytes_per_s(ip: int, *, on_air: bool, down_only: bool = False) -> float:
    """Control traffic of one receiver, bytes a second, in both directions or only towards the receiver."""
    return sum(
        control.bytes_per_s(ip, on_air=on_air) for control in controls(ip) if control.down or not down_only
    )


@dataclass(frozen=True, slots=True)
class Rendition:
    """Opus at `kbps` in packets of `frame_ms`; each repeats the `red` packets before it (0, 1 or 2)."""

    kbps: float
    frame_ms: int
    red: int = 0

    @classmethod
    def parse(cls, text: str) -> Rendition:
        """From "24k/20ms", "24k/20ms/red" or "24k/20ms/red2". Raises BenchError, one line."""
        match = _RENDITION.fullmatch(text.strip())
        if match is None:
            raise BenchError(f"{text!r} is no rendition; write it like 24k/20ms, 24k/60ms or 24k/20ms/red2")
        kbps, frame_ms = float(match[1]), int(match[2])
        if frame_ms not in _FRAMES_MS:
            raise BenchError(f"{text}: a packet of Opus lasts {', '.join(map(str, _FRAMES_MS))} ms")
        if not 6 <= kbps <= 510:
            raise BenchError(f"{text}: Opus has 6k to 510k")
        return cls(kbps, frame_ms, {None: 0, "red": 1}.get(match[3], 2))

    def __str__(self) -> str:
        return f"{self.kbps:g}k/{self.frame_ms}ms{('', '/red', '/red2')[self.red]}"

    @property
    def packets_per_s(self) -> float:
        """Packets a second."""
        return 1000 / self.frame_ms

    @property
    def payload_bytes(self) -> int:
        """The RTP payload."""
        opus = ceil(self.kbps * self.frame_ms / 8)
        return opus + self.red * (opus + RED_COPY_BYTES) + RED_BYTES if self.red else opus

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

    `idle`: control traffic of all the hours without sound.
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
        """All month."""
        return self.sound + self.control + self.idle


def month(rendition: Rendition, ip: int, hours: float) -> Month:
    """The month of a receiver with `hours` of sound."""
    playing, silent = hours * 3600, (HOURS_PER_MONTH - hours) * 3600
    return Month(
        sound=rendition.media_bytes_per_s(ip) * playing,
        control=control_bytes_per_s(ip, on_air=True) * playing,
        idle=control_bytes_per_s(ip, on_air=False) * silent,
    )
