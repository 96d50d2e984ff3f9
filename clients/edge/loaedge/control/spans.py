"""From what is heard, moment by moment, to a receipt per programme, or per part of a long one. Time is an argument."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from loacodecs.control import Receipt

from .receipts import ReceiptBook

GAP_S: Final = 10.0
"""A programme that is not heard for so long has ended; pauses of speech are shorter."""
PART_S: Final = 6 * 3600.0
"""A programme that goes on for longer has a receipt for each such part: a channel may be on air for weeks."""
UPDATE_S: Final = 60.0
"""How often a running programme is written down: what a power cut may take."""
BLIND_S: Final = 3.0
"""Looks further apart than this tell nothing of the time between them."""
_FULL: Final = 0.995


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard at a moment.

    programme     "" while nothing is on; else its name: that of the channel for live sound
    unix          the time, None while unknown
    concealed_ms  a counter that only grows
    level_dbfs    mean output level since the last moment, None in silence
    hindered      why it is not heard although it is on ("quiet hours", "muted", "no sound device"), else ""
    """

    programme: str
    channel: str
    unix: float | None
    concealed_ms: float
    level_dbfs: float | None
    hindered: str = ""


class _Span:
    """A programme that runs."""

    def __init__(self, receipt_id: str, heard: Heard, now: float) -> None:
        self.id = receipt_id
        self.programme = heard.programme
        self.channel = heard.channel
        self.began = now
        self.last = now
        self.written = now
        self._seconds = 0.0
        self._played = 0.0
        self._concealed_at_first = heard.concealed_ms
        self._concealed = 0.0
        self._power = 0.0
        self._power_s = 0.0
        self._hindered: dict[str, float] = {}
        self._offset = None if heard.unix is None else heard.unix - now
        self._hindered_at_last = heard.hindered

    def add(self, heard: Heard, seconds: float, now: float) -> None:
        self.last = now
        self._seconds += seconds
        if heard.unix is not None:
            self._offset = heard.unix - now  # the latest is the best one
        self._concealed = max(self._concealed, heard.concealed_ms - self._concealed_at_first)
        self._hindered_at_last = heard.hindered
        if heard.hindered:
            self._hindered[heard.hindered] = self._hindered.get(heard.hindered, 0.0) + seconds
            return
        self._played += seconds
        if heard.level_dbfs is not None and seconds > 0:
            self._power += 10 ** (heard.level_dbfs / 10) * seconds
            self._power_s += seconds

    def end_before(self, heard: Heard, now: float) -> float:
        """Another programme is heard at `now`: end between the last look and this one, which is known no better, and
        return when. After a long time without a look it ended with the last."""
        if now - self.last > BLIND_S:
            return now
        middle = (self.last + now) / 2
        unix = None if heard.unix is None else heard.unix - (now - middle)
        self.add(replace(heard, unix=unix, hindered=self._hindered_at_last), middle - self.last, middle)
        return middle

    def receipt(self, ending: str) -> Receipt:
        concealed_s = min(self._played, self._concealed / 1000)
        ratio = (self._played - concealed_s) / self._seconds if self._seconds > 0 else 0.0
        offset = self._offset
        return Receipt(
            id=self.id,
            programme=self.programme,
            channel=self.channel,
            started=0.0 if offset is None else max(0.0, offset + self.began),
            ended=0.0 if offset is None else max(0.0, offset + self.last),
            played_ratio=max(0.0, min(1.0, ratio)),
            concealed_ms=min(1e9, self._concealed),
            level_dbfs=self._level(),
            outcome=self._outcome(ratio, ending) + ("; time unknown" if offset is None else ""),
        )

    def _level(self) -> float | None:
        if self._power <= 0:
            return None
        return round(max(-200.0, min(50.0, 10 * math.log10(self._power / self._power_s))), 1)

    def _outcome(self, ratio: float, ending: str) -> str:
        why = max(self._hindered, key=self._hindered.__getitem__, default="")
        if self._played <= 0 and why:
            return f"not heard: {why}"
        if self._power <= 0:
            return "silent"
        if why:
            return f"partly: {why}"
        if ending:
            return ending
        return "played" if ratio >= _FULL else "partly: concealed"


class SpanTracker:
    """Give it `note` about once a second, off the sound thread, since it writes to the disk.

    `new_id` makes an id no other receipt has, letters and digits.
    """

    def __init__(self, book: ReceiptBook, new_id: Callable[[], str]) -> None:
        self._book = book
        self._new_id = new_id
        self._span: _Span | None = None

    def note(self, heard: Heard, now: float) -> None:
        """This is heard at monotonic time `now`."""
        span = self._span
        if span is not None and heard.programme in ("", span.programme):
            if now - span.last >= GAP_S:
                self._finish("")
            elif heard.programme:
                # A pause since the last sound belongs to the programme.
                span.add(heard, now - span.last, now)
                if now - span.began >= PART_S:
                    self._finish("")
                elif now - span.written >= UPDATE_S:
                    span.written = now
                    self._book.update(span.receipt(""))
        elif span is not None:
            began = span.end_before(heard, now)
            self._finish("")
            heard = replace(heard, unix=None if heard.unix is None else heard.unix - (now - began))
            now = began
        if self._span is None and heard.programme:
            self._span = _Span(self._new_id(), heard, now)
            self._book.begin(self._span.receipt(""))

    def close(self, why: str = "receiver stopped") -> None:
        """The receiver ends: so does its programme."""
        self._finish(why)

    def _finish(self, ending: str) -> None:
        if self._span is not None:
            self._book.end(self._span.receipt(ending))
            self._span = None
