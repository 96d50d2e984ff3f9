"""What a listener tells the relay by RTCP: reports, its name, requests and goodbye (RFC 3550 §6, RFC 4585 §6.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from loacodecs import rtcp

REPORT_INTERVAL_S = 2.0


class Feedback:
    """The reports on one source at a time; `statistics` is to be fed with its packets.

    ssrc, cname  the listener's own
    random       gives as many random bytes as asked for
    """

    def __init__(
        self, ssrc: int, cname: str, random: Callable[[int], bytes], interval_s: float = REPORT_INTERVAL_S
    ) -> None:
        self.statistics = rtcp.ReceptionStatistics()
        self.source: int | None = None
        self.next_report: float | None = None
        """When a report is due; None while there is nothing to report on."""
        self._ssrc = ssrc
        self._cname = cname
        self._random = random
        self._interval_s = interval_s

    def follow(self, source: int, now: float) -> None:
        """Report on the stream `source` from now on, and at once."""
        self.statistics = rtcp.ReceptionStatistics()
        self.source = source
        self.next_report = now

    def due(self, now: float) -> bytes | None:
        """The report with the CNAME when it is time for one."""
        if self.next_report is None or now < self.next_report:
            return None
        # 0.5 … 1.5, so that listeners that came together do not report together (RFC 3550 §6.3.1).
        spread = 0.5 + int.from_bytes(self._random(2), "big") / 65536
        self.next_report = now + self._interval_s * spread
        return rtcp.serialize([self._report(now), rtcp.SourceDescription(self._ssrc, self._cname)])

    def request(self, sequences: Iterable[int]) -> bytes:
        """A request for packets of the source by (extended) sequence number; only while there is a source.

        Reduced-size RTCP (RFC 5506) would do, but a compound packet is understood by all. Its report is empty: the
        share that was lost counts from report to report, and of the few packets around a gap it would be huge.
        """
        assert self.source is not None
        wanted = tuple(sequence & 0xFFFF for sequence in sequences)
        return rtcp.serialize([rtcp.ReceiverReport(self._ssrc), rtcp.Nack(self._ssrc, self.source, wanted)])

    def goodbye(self, now: float) -> bytes:
        """The last compound packet: report, CNAME and BYE."""
        description = rtcp.SourceDescription(self._ssrc, self._cname)
        return rtcp.serialize([self._report(now), description, rtcp.Goodbye((self._ssrc,))])

    def _report(self, now: float) -> rtcp.ReceiverReport:
        if self.source is None:
            return rtcp.ReceiverReport(self._ssrc)
        return rtcp.ReceiverReport(self._ssrc, (self.statistics.report(self.source, now),))
