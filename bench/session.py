"""One WHIP or WHEP session of the load generator: its peer, and how far it has come."""

from __future__ import annotations

import enum
import os
import secrets
from dataclasses import dataclass, field
from typing import Literal

from bench.drain import Table
from loacodecs import rtcp, rtp, sdp
from loacodecs.address import Address
from loacodecs.certificate import Certificate
from loacodecs.peer import Peer

Protocol = Literal["whip", "whep"]
CNAME = "loa-bench"


class State(enum.IntEnum):
    """The way of a session; larger is further, except for FAILED."""

    FAILED = -1
    PREPARED = 0
    OFFERED = 1
    CONNECTING = 2
    CONNECTED = 3
    HEARD = 4


@dataclass(slots=True, eq=False)
class Session:
    """Times are CLOCK_REALTIME nanoseconds; `row` is the session's receiver."""

    row: int
    channel: int
    protocol: Protocol
    peer: Peer
    offer: str
    ssrc: int
    sample: bool = False
    state: State = State.PREPARED
    problem: str = ""
    began_ns: int = 0
    connected_ns: int = 0
    source_ssrc: int = 0
    opened: int = 0
    wrong: int = 0
    payload_type: int = 0
    base: tuple[int, int] = (0, 0)  # RTP timestamp, packet number
    _last_sender_report: tuple[int, float] = (0, 0.0)
    _reported: tuple[int, int] = field(default=(0, 0))  # packets expected and received at the last report

    @classmethod
    def prepare(
        cls,
        row: int,
        address: Address,
        channel: int,
        protocol: Protocol,
        certificate: Certificate,
        *,
        sample: bool,
    ) -> Session:
        """A session that is ready to post its offer; `address` is its socket's."""
        ufrag, password = secrets.token_hex(4), secrets.token_hex(16)
        ssrc = secrets.randbits(32) or 1
        offer = sdp.make_offer(
            direction="sendonly" if protocol == "whip" else "recvonly",
            ice_ufrag=ufrag,
            ice_pwd=password,
            fingerprint=certificate.fingerprint,
            candidates=[address],
            ssrc=ssrc if protocol == "whip" else None,
            cname=CNAME if protocol == "whip" else None,
            extensions=[rtp.ABS_CAPTURE_TIME_URI],
            session_id=secrets.randbits(62),
        )
        peer = Peer.client(certificate=certificate, ufrag=ufrag, pwd=password, random=os.urandom)
        return cls(row, channel, protocol, peer, offer, ssrc, sample)

    def answered(self, text: str, now: float) -> None:
        """Take the relay's answer and begin ICE. Raises LoaError when it cannot be used."""
        answer = sdp.parse_answer(text)
        self.payload_type = answer.opus_payload_type
        self.state = State.CONNECTING
        self.peer.set_remote(answer, now)

    def fail(self, problem: str) -> None:
        """Give the session up."""
        self.state = State.FAILED
        self.problem = self.problem or problem

    def note_rtcp(self, data: bytes, now: float) -> None:
        """Remember the relay's sender report for the next receiver report."""
        for packet in rtcp.parse(data):
            if isinstance(packet, rtcp.SenderReport):
                self._last_sender_report = (packet.ntp >> 16 & 0xFFFFFFFF, now)

    def receiver_report(self, table: Table, now: float) -> bytes:
        """What a listener says every 5 s (RFC 3550 §6.4.2), from the receivers' accounts."""
        first, highest = int(table.first_sequence[self.row]), int(table.highest_sequence[self.row])
        expected, received = highest - first + 1, int(table.packets[self.row])
        since_expected, since_received = expected - self._reported[0], received - self._reported[1]
        self._reported = (expected, received)
        fraction = max(0, since_expected - since_received) * 256 // max(since_expected, 1)
        lsr, heard_at = self._last_sender_report
        report = rtcp.ReceptionReport(
            ssrc=self.source_ssrc,
            fraction_lost=min(fraction, 255),
            packets_lost=max(0, expected - received),
            highest_sequence=highest & 0xFFFFFFFF,
            jitter=int(table.jitter[self.row] * 48_000 / 1e9),
            lsr=lsr,
            dlsr=int((now - heard_at) * 65_536) & 0xFFFFFFFF if lsr else 0,
        )
        packets: list[rtcp.Packet] = [
            rtcp.ReceiverReport(self.ssrc, (report,)),
            rtcp.SourceDescription(self.ssrc, CNAME),
        ]
        return rtcp.serialize(packets)

    def sender_report(self, timestamp: int, packets: int, octets: int, unix_now: float) -> bytes:
        """What a publisher says every second (RFC 3550 §6.4.1)."""
        report = rtcp.SenderReport(
            ssrc=self.ssrc,
            ntp=rtp.ntp_from_unix(unix_now),
            rtp_timestamp=timestamp,
            packet_count=packets & 0xFFFFFFFF,
            octet_count=octets & 0xFFFFFFFF,
        )
        return rtcp.serialize([report, rtcp.SourceDescription(self.ssrc, CNAME)])
