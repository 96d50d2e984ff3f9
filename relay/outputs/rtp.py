"""A channel's packets as plain RTP, for decoders that know nothing newer: to a multicast group or to one machine.

Packets leave in the media thread as they come: a datagram to a socket that never waits costs less than to wake another
thread for it, and can neither block nor fail the channel. Sender reports tie the sample clock to the wall clock, so
that receivers of one group can play together (RFC 3550 §6.4.1).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from loacodecs.errors import ConfigurationError, reason
from loacodecs.rtcp import Goodbye, Packet, SenderReport, SourceDescription, serialize
from loacodecs.rtp import ntp_from_unix
from relay.channels.channel import Channel
from relay.net import fanout
from relay.outputs.settings import RtpConfig

REPORT_S: Final = 5.0
_HEADER: Final = struct.Struct("!BBHII")
_MULTICAST_ALL: Final = "0.0.0.0"  # noqa: S104 - means "choose by the interface's index"


class RtpOutput:
    """Give `on_packet` to `Channel.tap`. `sequence` and `ssrc` are random where the configuration names none.

    Raises ConfigurationError when there is no such interface or address family.
    """

    def __init__(
        self,
        channel: Channel,
        settings: RtpConfig,
        *,
        ssrc: int,
        sequence: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.ssrc = settings.ssrc or ssrc
        self.packets = 0
        self.octets = 0
        self.errors = 0
        """Datagrams that the kernel did not take."""
        self._channel = channel
        self.cname = f"loa-{channel.name}"
        self._sequence = sequence
        self._wall = wall
        self._report_due = 0.0
        self._media = settings.address, settings.port
        self._control = settings.address, settings.port + 1
        try:
            self._socket = _open(settings)
        except OSError as error:
            raise ConfigurationError(
                f"channels.{channel.name}.rtp to {self.target} cannot be sent: {reason(error)}"
            ) from None

    @property
    def target(self) -> str:
        """Address and port, as people write them."""
        host = f"[{self.settings.address}]" if ":" in self.settings.address else self.settings.address
        return f"{host}:{self.settings.port}"

    def on_packet(self, packet: fanout.Packet, now: float) -> None:
        """Send one packet of the channel, and a report when it is time."""
        header = _HEADER.pack(
            0x80,
            self.settings.payload_type | packet.marker << 7,
            packet.sequence + self._sequence & 0xFFFF,
            packet.timestamp,
            self.ssrc,
        )
        self._send(header + packet.payload, self._media)
        self.packets += 1
        self.octets += len(packet.payload)
        if now >= self._report_due:
            self._report_due = now + REPORT_S
            self._report()

    def close(self) -> None:
        """Say that the stream ends."""
        self._report(Goodbye((self.ssrc,)))
        self._socket.close()

    def _report(self, *more: Packet) -> None:
        wall = self._wall()
        timestamp = self._channel.capture.timestamp_at(wall)
        if timestamp is None:
            return
        report = SenderReport(self.ssrc, ntp_from_unix(wall), timestamp, self.packets, self.octets)
        described = SourceDescription(self.ssrc, self.cname)
        self._send(serialize([report, described, *more]), self._control)

    def _send(self, data: bytes, target: tuple[str, int]) -> None:
        try:
            self._socket.sendto(data, target)
        except OSError:  # buffer full, no route, cable out: the next one may get through
            self.errors += 1


def _open(settings: RtpConfig) -> socket.socket:
    address = ipaddress.ip_address(settings.address)
    six = address.version == 6
    opened = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        if address.is_multicast:
            _prepare_multicast(opened, six, settings)
    except OSError:
        opened.close()
        raise
    return opened


def _prepare_multicast(opened: socket.socket, six: bool, settings: RtpConfig) -> None:
    index = socket.if_nametoindex(settings.interface) if settings.interface else 0
    if six:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, settings.ttl)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        return
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, settings.ttl)
    if index:
        everywhere = socket.inet_aton(_MULTICAST_ALL)
        opened.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", everywhere, everywhere, index)
        )


def describe(output: RtpOutput, title: str, origin: str) -> str:
    """The session description for receivers (RFC 8866, RFC 7587 §7). `origin` is this relay's IP address."""
    settings = output.settings
    version = ipaddress.ip_address(settings.address).version
    group = ipaddress.ip_address(settings.address).is_multicast
    scope = f"/{settings.ttl}" if group and version == 4 else ""
    name = " ".join(title.split()) or "-"
    lines = (
        "v=0",
        f"o=- {output.ssrc} 1 IN IP{ipaddress.ip_address(origin).version} {origin}",
        f"s={name}",
        f"c=IN IP{version} {settings.address}{scope}",
        "t=0 0",
        "a=tool:loa",
        "a=recvonly",
        f"m=audio {settings.port} RTP/AVP {settings.payload_type}",
        f"a=rtpmap:{settings.payload_type} opus/48000/2",
        f"a=rtcp:{settings.port + 1}",
        f"a=ssrc:{output.ssrc} cname:{output.cname}",
    )
    return "\r\n".join(lines) + "\r\n"
