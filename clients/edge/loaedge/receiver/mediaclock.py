"""Exchanges of clocks on the way of the sound itself: RTCP extended reports over UDP (RFC 3611 §4.4, §4.5).

A lost segment of the control link holds up what is behind it, and its answers come late; here they come or they do not.
An exchange costs 176 octets, so there are many while the clock is uncertain and sound flows, and none otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from loacodecs import rtcp, rtcp_xr
from loacodecs.clocksync import Exchange
from loacodecs.rtp import unix_from_ntp

_ASKED_MAX: Final = 64
"""Questions without an answer that are remembered: 16 s of the quickest rhythm."""
_UNWANTED_S: Final = 10.0
"""How often it is looked whether this relay is the one whose clock is followed."""
_PATIENCE: Final = 4
"""So many questions may be on their way; from then on each that is not answered doubles the pause, `_DOUBLED` times at
most: a relay to which a thousand receivers have come back at once answers them by turns."""
_DOUBLED: Final = 3


class MediaClock:
    """The questions of one session and their answers; `ssrc` is the receiver's own.

    pause_s  (since, now): how long to wait for the next question, at local time `now`, `since` seconds into the sound;
             None: ask nothing
    """

    def __init__(self, ssrc: int, pause_s: Callable[[float, float], float | None]) -> None:
        self._ssrc = ssrc
        self._pause_s = pause_s
        self._began: float | None = None
        self._next = 0.0
        self._unanswered = 0
        # When each question left, by the short form of the time in it.
        self._asked: dict[int, float] = {}

    def silence(self) -> None:
        """Nothing flows any more; what comes next is a beginning."""
        self._began = None

    def due(self, now: float) -> bool:
        """Whether to ask now; to be called while sound flows, and then to be obeyed."""
        if self._began is None:
            self._began = self._next = now
        if now < self._next:
            return False
        pause = self._pause_s(now - self._began, now)
        doubled = min(_DOUBLED, max(0, self._unanswered - _PATIENCE))
        self._next = now + (_UNWANTED_S if pause is None else pause * 2**doubled)
        return pause is not None

    def question(self, now: float) -> bytes:
        """The compound packet that asks, with the local time `now`; it is to be sent at once.

        A report without blocks comes first, so that whoever knows no extended reports can read it, too.
        """
        ntp = round(now * 2**32) & 0xFFFF_FFFF_FFFF_FFFF
        if len(self._asked) >= _ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked[rtcp_xr.short(ntp)] = now
        self._unanswered += 1
        return rtcp.serialize(
            [rtcp.ReceiverReport(self._ssrc), rtcp_xr.ExtendedReport(self._ssrc, reference_time=ntp)]
        )

    def answer(self, packets: Sequence[rtcp.Packet], now: float) -> Exchange | None:
        """The exchange that a datagram which came at local time `now` completes, if it does.

        A question is answered once: what comes again could have been on its way for any time.
        """
        report = next((packet for packet in packets if isinstance(packet, rtcp.SenderReport)), None)
        if report is None or not report.ntp:
            return None
        replied = unix_from_ntp(report.ntp)
        for packet in packets:
            if not isinstance(packet, rtcp_xr.ExtendedReport):
                continue
            for delay in packet.delays:
                if delay.ssrc == self._ssrc and (sent := self._asked.pop(delay.last, None)) is not None:
                    self._unanswered = 0
                    return Exchange(sent, replied - delay.delay / 65536, replied, now)
        return None
