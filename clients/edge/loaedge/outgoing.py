"""The RTP of a publisher without its sockets: packets, sender reports, answers to NACK."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from loacodecs.rtcp import Goodbye, Nack, Packet, ReceptionReport, SenderReport, SourceDescription
from loacodecs.rtcp import serialize as serialize_rtcp
from loacodecs.rtp import (
    ABS_CAPTURE_TIME_URI,
    AUDIO_LEVEL_URI,
    RtpPacket,
    ntp_from_unix,
    pack_capture_time,
    pack_extension,
)

HISTORY_PACKETS = 256
"""Packets kept for answers to NACK: 5 s of 20 ms frames."""
CAPTURE_TIME_INTERVAL_S = 0.5
RESEND_INTERVAL_S = 0.02
"""The same packet is not sent again sooner: one NACK more must not cost one packet more."""
_VOICE_DBOV = 50


@dataclass(slots=True)
class _Kept:
    data: bytes
    resent: float


class OutgoingStream:
    """One stream of Opus packets on its way to a relay.

    `timestamp` arguments count samples from the start of the stream; monotonic `now` and unix `wall` seconds
    come from the caller. `sequence` wants to start in the lower half of its range (RFC 3711 §3.3.1).
    """

    def __init__(
        self,
        *,
        ssrc: int,
        cname: str,
        payload_type: int,
        extensions: Mapping[str, int],
        sequence: int,
        timestamp: int,
        history: int = HISTORY_PACKETS,
    ) -> None:
        """`extensions` are those accepted, by URI; `sequence` and `timestamp` the random first values."""
        self.packets = 0
        self.octets = 0
        self.resent = 0
        self.fraction_lost: float | None = None
        """Share of packets the relay missed lately, of its last report; None before the first."""
        self.round_trip_s: float | None = None
        self._ssrc = ssrc
        self._cname = cname
        self._payload_type = payload_type
        self._capture_id = extensions.get(ABS_CAPTURE_TIME_URI)
        self._level_id = extensions.get(AUDIO_LEVEL_URI)
        self._sequence = sequence & 0x7FFF
        self._first_timestamp = timestamp
        self._history_limit = history
        self._history: OrderedDict[int, _Kept] = OrderedDict()
        self._next_capture_time = float("-inf")
        self._talking = False

    def packet(self, payload: bytes, timestamp: int, *, level: int, now: float, captured: float) -> bytes:
        """The RTP packet of one Opus packet.

        `level` is that of RFC 6464 (0 loud … 127 silent), `captured` the unix time of its first sample.
        """
        elements: list[tuple[int, bytes]] = []
        voice = level <= _VOICE_DBOV
        if self._level_id is not None:
            elements.append((self._level_id, bytes((voice << 7 | level,))))
        if self._capture_id is not None and now >= self._next_capture_time:
            elements.append((self._capture_id, pack_capture_time(ntp_from_unix(captured))))
            self._next_capture_time = now + CAPTURE_TIME_INTERVAL_S
        profile, extension = pack_extension(elements)
        data = RtpPacket(
            payload_type=self._payload_type,
            marker=voice and not self._talking,  # the first of a talkspurt (RFC 7587 §4.2)
            sequence=self._sequence,
            timestamp=self._rtp_timestamp(timestamp),
            ssrc=self._ssrc,
            payload=payload,
            extension_profile=profile,
            extension=extension,
        ).to_bytes()
        self._talking = voice
        self._keep(self._sequence, data)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return data

    def report(self, timestamp: int, wall: float) -> bytes:
        """A sender report and the CNAME; `timestamp` is the sample being captured at unix time `wall`."""
        return serialize_rtcp([self._sender_report(timestamp, wall), self._description()])

    def goodbye(self, timestamp: int, wall: float) -> bytes:
        """The last compound packet: report, CNAME and BYE (RFC 3550 §6.6)."""
        return serialize_rtcp(
            [self._sender_report(timestamp, wall), self._description(), Goodbye((self._ssrc,))]
        )

    def on_rtcp(self, packet: Packet, now: float, wall: float) -> list[bytes]:
        """Take what the relay reports; gives the RTP packets to send again."""
        if isinstance(packet, Nack):
            return self._resend(packet, now) if packet.media_ssrc == self._ssrc else []
        for report in getattr(packet, "reports", ()):
            if isinstance(report, ReceptionReport) and report.ssrc == self._ssrc:
                self.fraction_lost = report.fraction_lost / 256
                self.round_trip_s = report.round_trip(ntp_from_unix(wall))
        return []

    def _resend(self, nack: Nack, now: float) -> list[bytes]:
        again: list[bytes] = []
        for sequence in nack.lost[: self._history_limit]:
            kept = self._history.get(sequence)
            if kept is not None and now - kept.resent >= RESEND_INTERVAL_S:
                kept.resent = now
                again.append(kept.data)
        self.resent += len(again)
        return again

    def _keep(self, sequence: int, data: bytes) -> None:
        self._history[sequence] = _Kept(data, float("-inf"))
        if len(self._history) > self._history_limit:
            self._history.popitem(last=False)

    def _sender_report(self, timestamp: int, wall: float) -> SenderReport:
        return SenderReport(
            self._ssrc,
            ntp_from_unix(wall),
            self._rtp_timestamp(timestamp),
            self.packets & 0xFFFFFFFF,
            self.octets & 0xFFFFFFFF,
        )

    def _description(self) -> SourceDescription:
        return SourceDescription(self._ssrc, self._cname)

    def _rtp_timestamp(self, timestamp: int) -> int:
        return (self._first_timestamp + timestamp) & 0xFFFFFFFF
