"""Plain RTP as a decoder of another make gets it, from a socket of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from loacodecs import rtcp, rtp
from loacodecs.errors import ConfigurationError
from relay.channels.channel import Channel
from relay.outputs.rtp import RtpOutput, describe
from relay.outputs.settings import RtpConfig
from tests.support.on_air import Programme

UNIX = 1_700_000_000.0
IP_RECVTTL = 12
"""Of Linux; the socket module does not name it."""


@contextlib.contextmanager
def decoder(address: str = "127.0.0.1") -> Iterator[tuple[int, socket.socket, socket.socket]]:
    """A pair of ports and their sockets; in a multicast group of loopback if `address` is one."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control,
    ):
        for _ in range(50):
            media.bind((address, 0))
            port = media.getsockname()[1]
            with contextlib.suppress(OSError):
                if port % 2 == 0:
                    control.bind((address, port + 1))
                    break
            media.close()
            media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for each in (media, control):
            each.settimeout(2)
            if address.startswith("239."):
                group = socket.inet_aton(address) + socket.inet_aton("127.0.0.1")
                each.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        with media:
            yield port, media, control


def sending(channel: Channel, **settings: object) -> RtpOutput:
    return RtpOutput(channel, RtpConfig.model_validate(settings), ssrc=77, sequence=65_530, wall=lambda: UNIX)


@pytest.mark.parametrize("address", ["127.0.0.1", "239.255.77.1"])
def test_packets_come_as_they_were_with_reports_of_their_time(address: str) -> None:
    channel = Channel("xa")
    interface = {"interface": "lo"} if address.startswith("239.") else {}
    with decoder(address) as (port, media, control):
        output = sending(channel, address=address, port=port, payload_type=96, **interface)
        programme = Programme()
        sent = list(programme.take(0.4))
        for packet, now in sent:
            channel.capture.on_statement(packet.timestamp, UNIX + now - 1000)
            output.on_packet(packet, now)
        got = [rtp.parse(media.recv(2048)) for _ in sent]
        assert [each.payload for each in got] == [packet.payload for packet, _ in sent]
        assert [each.timestamp for each in got] == [packet.timestamp for packet, _ in sent]
        assert [each.sequence for each in got] == [(65_530 + n) & 0xFFFF for n in range(20)]
        assert {(each.ssrc, each.payload_type) for each in got} == {(77, 96)}
        report, description = rtcp.parse(control.recv(2048))
        assert isinstance(report, rtcp.SenderReport)
        assert description == rtcp.SourceDescription(77, "loa-xa")
        captured = (
            rtp.unix_from_ntp(report.ntp)
            - rtp.timestamp_delta(report.rtp_timestamp, sent[0][0].timestamp) / 48_000
        )
        assert captured == pytest.approx(UNIX + sent[0][1] - 1000, abs=1e-3)
        output.close()
        assert rtcp.Goodbye((77,)) in rtcp.parse(control.recv(2048))
        assert output.errors == 0


def test_what_the_network_does_not_take_is_counted_and_harms_nobody() -> None:
    output = sending(Channel("xa"), address="127.0.0.1", port=40_000)
    (packet, now), *_ = Programme().take(0.02)
    output.close()
    output.on_packet(packet, now)
    assert output.errors == 1


def test_multicast_stays_in_the_local_network_unless_told() -> None:
    with decoder("239.255.77.1") as (port, media, _):
        media.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        for ttl in (1, 3):
            output = sending(Channel("xa"), address="239.255.77.1", port=port, interface="lo", ttl=ttl)
            (packet, now), *_ = Programme().take(0.02)
            output.on_packet(packet, now)
            ancillary = media.recvmsg(2048, 64)[1]
            assert struct.unpack("i", ancillary[0][2])[0] == ttl
            output.close()


def test_an_interface_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match=r"channels\.xa\.rtp to 239\.255\.77\.1:5004 cannot be sent"):
        sending(Channel("xa"), address="239.255.77.1", port=5004, interface="nolink9")


def test_the_description_cannot_be_broken_by_a_title() -> None:
    output = sending(Channel("xa"), address="239.255.77.1", port=5004, ttl=2)
    text = describe(output, "Xã\r\na=evil", "192.0.2.1")
    assert text.splitlines()[1:4] == ["o=- 77 1 IN IP4 192.0.2.1", "s=Xã a=evil", "c=IN IP4 239.255.77.1/2"]
    assert "a=evil" not in text.splitlines()
    six = sending(Channel("xa"), address="ff15::77", port=5004)
    assert "c=IN IP6 ff15::77\r\n" in describe(six, "Xã", "2001:db8::1")
    assert six.target == "[ff15::77]:5004"
    output.close()
    six.close()
